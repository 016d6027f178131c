"""Which hardware port does what: the owner's words ("1", "last", "rest", a MAC address, a name) become ports.

Values in, values out; ``inventory.py`` reads what is there. This module must never touch the kernel.

A position counts all physical Ethernet ports in the order of the PCI bus, from 1. Once resolved, the WAN's port is called
as ``wan.interface`` says (where the WAN is untagged) and every other one ``portN``, N being its position.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from gateway.config import Config

MAC = re.compile(r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$")
POSITION = re.compile(r"^[1-9][0-9]{0,2}$")
PCI_ADDRESS = re.compile(r"^[0-9a-f]{4,5}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")
LAST, REST = "last", "rest"


class PortError(ValueError):
    """A port cannot be found, or two uses of one exclude each other. Names the setting, what is there and the remedy."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem


class PortGone(PortError):
    """A port that the box was set up with is not there any more."""


@dataclass(frozen=True)
class Port:
    """A physical Ethernet port as it is found. ``path`` is its device's place below /sys/devices, without its name."""

    name: str
    mac: str  # its permanent one, lower case with colons
    path: str
    index: int = 0  # which port of that device (dev_port)
    carrier: bool = False
    other_names: tuple[str, ...] = ()  # what it is also called (ip-link(8), altname)
    rank: int = 0  # its position when the box was set up; 0 where nothing is remembered
    new: bool = False  # it came after the box was set up
    gone: bool = False  # the box was set up with it and it is not there


@dataclass(frozen=True)
class Assignment:
    """Who uses which port, by the names that the ports have after renaming; empty where the settings leave it as it is."""

    names: tuple[str, ...] = ()  # of all ports after renaming, in the order of their positions
    macs: Mapping[str, str] = field(default_factory=dict)  # hardware address by name after renaming
    wan: str = ""
    lan: tuple[str, ...] = ()
    trunk: str = ""
    access: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()  # (name now, name then), where they differ
    remembered: bool = False  # whether the positions are those that the box was set up with
    gone: tuple[PortGone, ...] = ()  # what is used for nothing, because it is not there any more


@dataclass(frozen=True)
class Use:
    """What a port is used for: its words, the setting that says so, and the VLAN (0: untagged, -1: the whole port)."""

    words: str
    setting: str
    port: Port
    tag: int


def in_order(ports: Iterable[Port]) -> list[Port]:
    """The ports by position: as the PCI bus has them; what hangs on USB comes last, so that plugging it in moves nobody."""

    def key(port: Port) -> tuple[int, bool, tuple[tuple[tuple[str, int], ...], ...], int, str]:
        return port.rank, "/usb" in port.path, tuple(_place(part) for part in port.path.split("/")), port.index, port.mac

    return sorted(ports, key=key)


def as_remembered(ports: Sequence[Port], macs: Sequence[str]) -> list[Port]:
    """The ports at the positions that they had when the box was set up (``macs``, in order).

    So a port that dies, or whose driver is late, never makes another one the WAN. One that is gone keeps its position; one that
    is new comes after all others, and so does one with a hardware address that another has (of two, the one that is soldered
    in counts, not the one on USB). Where none of the remembered ones is there (the disk moved to another machine), or their
    hardware addresses were never unique, nothing is remembered.
    """
    by_mac: dict[str, Port] = {}
    for port in in_order(ports):
        by_mac.setdefault(port.mac, port)
    if len(set(macs)) < len(macs) or not by_mac.keys() & set(macs):
        return list(ports)
    known = [
        replace(by_mac[mac], rank=rank) if mac in by_mac else Port("", mac, "", rank=rank, gone=True)
        for rank, mac in enumerate(macs, 1)
    ]
    rest = [port for port in ports if port.mac not in macs or by_mac[port.mac] is not port]
    return known + [replace(port, rank=len(macs) + 1, new=True) for port in rest]


def _place(part: str) -> tuple[tuple[str, int], ...]:
    """A part of a device's path in a form that sorts as people count: PCI addresses as they are, other numbers by value."""
    if PCI_ADDRESS.match(part):
        return ((part, 0),)
    return tuple((text, int(number or 0)) for text, number in re.findall(r"([^0-9]*)([0-9]*)", part))


def listing(ports: Sequence[Port]) -> str:
    """The ports that are there, in words: position, name, hardware address, link."""
    if not ports:
        return "this box has no Ethernet port"
    return "this box has " + ", ".join(
        f"{position}: {port.name} {port.mac} ({_state(port)})".replace("  ", " ") for position, port in enumerate(ports, 1)
    )


def _state(port: Port) -> str:
    return "gone" if port.gone else "link" if port.carrier else "no link"


def uses(config: Config, ports: Iterable[Port]) -> list[Use]:
    """Everything that the settings use a port for, ports that are gone included. Raises PortError."""
    found = in_order(ports)
    dmz, lan, wan = config.dmz, config.lan, config.wan
    taken: list[Use] = []
    if wan.port:
        taken.append(Use("WAN", "wan.port", _find("wan.port", wan.port, found), wan.vlan_id))
    else:
        taken += [Use("WAN", "wan.interface", port, -1) for port in found if port.name == wan.interface]
    if dmz.mode == "vlan" and dmz.trunk and (managed(config) or _is_spec(dmz.trunk)):
        taken.append(Use("DMZ", "dmz.trunk", _find("dmz.trunk", dmz.trunk, found), dmz.vlan_id))
    elif dmz.mode == "bridge" and (managed(config) or any(_is_spec(spec) for spec in dmz.ports)):
        taken += [Use("DMZ", "dmz.ports", port, -1) for port in _find_all("dmz.ports", dmz.ports, found)]
    elif dmz.mode == "port" and managed(config):
        taken.append(Use("DMZ", "dmz.interface", _find("dmz.interface", dmz.interface, found), -1))
    named = [spec for spec in lan.ports if spec != REST]
    mine = _find_all("lan.ports", named, found)
    if REST in lan.ports:
        others = [use.port for use in taken]
        mine += [port for port in found if port not in others and port not in mine]
        if not mine:  # no port is left: it shares the trunk
            mine = [use.port for use in taken if use.setting == "dmz.trunk"]
        if not mine:
            raise PortError("lan.ports", f'"rest" leaves no port for the LAN; {listing(found)}; name its port')
    taken += [Use("LAN", "lan.ports", port, lan.vlan_id) for port in mine]
    return taken


def managed(config: Config) -> bool:
    """Whether the settings give hardware ports to WAN or LAN; otherwise every interface stays what it is and how it is called."""
    return bool(config.wan.port or config.lan.ports)


def resolve(config: Config, ports: Iterable[Port]) -> Assignment:
    """Which port does what. Raises PortError where one is missing, or where two uses of one port exclude each other."""
    found = in_order(ports)
    taken = uses(config, found)
    _refuse_sharing(config, taken, found)
    gone = tuple(
        PortGone(use.setting, f"the port for the {use.words} ({use.port.mac}) has gone; {listing(found)}; {_GONE}")
        for use in taken
        if use.port.gone
    )
    taken = [use for use in taken if not use.port.gone]
    wan = next((use.port for use in taken if use.setting == "wan.port"), None)
    then = {port: port.name for port in found}
    if managed(config):
        then = {port: f"port{position}" for position, port in enumerate(found, 1)}
        if wan is not None and not config.wan.vlan_id:
            then[wan] = config.wan.interface
        elif wan is None:
            then |= {use.port: use.port.name for use in taken if use.setting == "wan.interface"}
        _refuse_names(config, set(then.values()), wan)
    found, positions = [port for port in found if not port.gone], then
    then = {port: positions[port] for port in found}
    named = {setting: tuple(then[use.port] for use in taken if use.setting == setting) for setting in _SETTINGS}
    return Assignment(
        names=tuple(then[port] for port in found),
        macs={then[port]: port.mac for port in found},
        wan=then[wan] if wan is not None else "",
        lan=named["lan.ports"],
        trunk=next(iter(named["dmz.trunk"]), ""),
        access=named["dmz.ports"] or named["dmz.interface"],
        renames=tuple((port.name, name) for port, name in then.items() if port.name != name),
        remembered=any(port.rank for port in found),
        gone=gone,
    )


_GONE = "plug it in; where it is gone for good, run `mudroom box ports --anew`, then `mudroom box apply`"


_SETTINGS = ("lan.ports", "dmz.trunk", "dmz.ports", "dmz.interface")


def resolved(config: Config, assignment: Assignment) -> Config:
    """The same settings with the ports' names in place of the owner's words. Raises ValueError where they break a rule."""
    replace = msgspec.structs.replace
    dmz = config.dmz
    if dmz.mode == "vlan" and assignment.trunk:
        dmz = replace(dmz, trunk=assignment.trunk)
    elif dmz.mode == "bridge" and assignment.access:
        dmz = replace(dmz, ports=assignment.access)
    elif dmz.mode == "port" and assignment.access:
        dmz = replace(dmz, interface=assignment.access[0])
    return replace(
        config,
        dmz=dmz,
        wan=replace(config.wan, port=assignment.wan),
        lan=replace(config.lan, ports=assignment.lan),
    )


def rows(config: Config, ports: Iterable[Port]) -> list[dict[str, object]]:
    """For `mudroom box ports`: each port with position, name, hardware address, link and use. Raises PortError."""
    found = in_order(ports)
    taken = uses(config, found)
    return [
        {
            "position": position,
            "name": port.name,
            "mac": port.mac,
            "link": _state(port),
            "use": ", ".join(f"{use.words} (VLAN {use.tag})" if use.tag > 0 else use.words for use in taken if use.port == port),
        }
        for position, port in enumerate(found, 1)
    ]


def _is_spec(spec: str) -> bool:
    return spec == LAST or bool(POSITION.match(spec) or MAC.match(spec))


def _find(setting: str, spec: str, found: Sequence[Port]) -> Port:
    """The port that the owner's word means. Raises PortError."""
    remedy = "name one of these by its number, its hardware address or its name, or plug it in"
    if spec == LAST and found:
        return [port for port in found if not port.new][-1]
    if spec == REST:
        raise PortError(setting, f'"rest" is for lan.ports only; {listing(found)}; {remedy}')
    if MAC.match(spec):
        mac = spec.lower().replace("-", ":")
        matching = [port for port in found if port.mac == mac]
    elif POSITION.match(spec):
        matching = list(found[int(spec) - 1 : int(spec)])
    else:
        matching = [port for port in found if port.name == spec] or [port for port in found if spec in port.other_names]
        if not matching and spec.startswith("port") and POSITION.match(spec[4:]):  # as we shall call it
            matching = list(found[int(spec[4:]) - 1 : int(spec[4:])])
    if len(matching) > 1:
        raise PortError(setting, f"{spec} is the hardware address of several ports; {listing(found)}; name one by its number")
    if not matching:
        raise PortError(setting, f"there is no port {spec}; {listing(found)}; {remedy}")
    return matching[0]


def _find_all(setting: str, specs: Iterable[str], found: Sequence[Port]) -> list[Port]:
    """The ports that the words mean, each once."""
    return list(dict.fromkeys(_find(setting, spec, found) for spec in specs))


def _refuse_sharing(config: Config, taken: Sequence[Use], found: Sequence[Port]) -> None:
    """One port may carry LAN (untagged or tagged) and DMZ (tagged); the WAN shares only where everybody on it is tagged."""
    for port in dict.fromkeys(use.port for use in taken):
        users = [use for use in taken if use.port == port]
        if len(users) < 2:
            continue
        who = " and ".join(use.words for use in users)
        at = f"{who} share the port {port.name} ({port.mac})"
        whole = next((use for use in users if use.tag < 0), None)
        if whole is not None:
            raise PortError(
                whole.setting, f"{at}, but {whole.words} needs it alone; {listing(found)}; give each a port of its own"
            )
        tags = [use.tag for use in users]
        if any(use.words == "WAN" for use in users) and not all(tags):
            untagged = ", ".join(f"{use.words.lower()}.vlan_id" for use in users if not use.tag)
            raise PortError(
                users[0].setting,
                f"{at}, and beside the WAN everybody needs a VLAN of its own there; {listing(found)}; set {untagged}, "
                "or use another port",
            )
        if len(set(tags)) < len(tags):
            raise PortError(
                users[0].setting,
                f"{at} with the same VLAN number ({', '.join(map(str, tags))}); give each vlan_id its own number",
            )


def _refuse_names(config: Config, then: set[str], wan: Port | None) -> None:
    """What is made on top of the ports must not be called like one."""
    made = []
    if config.lan.ports:
        made.append(("lan.interface", config.lan.interface))
    if wan is not None and config.wan.vlan_id:
        made.append(("wan.interface", config.wan.interface))
    if config.dmz.mode != "port":
        made.append(("dmz.interface", config.dmz.interface))
    for setting, name in made:
        if name in then:
            raise PortError(setting, f"{name} is the name of a hardware port; choose another, like the default")
