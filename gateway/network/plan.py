"""What the gateway's network must look like, and the steps from what it is to that. Values in, values out.

The guards (blackhole rules of both families, then the firewall) always come first, before any link comes up, and go last.
This module must never touch the kernel, a file or a socket; ``apply.py`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_interface

from gateway.config import Config
from gateway.network.errors import MissingPort, NetworkError

# docs/architecture.md, "Marks, tables and rules"
MARK_DOOR = 0x4D01
MARK_REPLY = 0x4D02
MARK_LAN = 0x4D03  # set by the table of gateway/network/opened.py
TABLE_DOOR = 7701
TABLE_REPLY = 7702
TABLE_HOME = 7703
PRIORITY_DOOR = 7700
PRIORITY_REPLY = 7701
PRIORITY_BLACKHOLE = 7709
PRIORITY_HOME = 7710  # behind the blackhole: nothing that a device sent gets as far
PRIORITIES = range(PRIORITY_DOOR, PRIORITY_HOME + 1)  # ours alone: whatever else stands there is removed
TABLES = (TABLE_DOOR, TABLE_REPLY, TABLE_HOME)
FAMILIES = (4, 6)


class Action(StrEnum):
    """What a step does with its part."""

    ADD = "add"
    SET = "set"
    REMOVE = "remove"


class Firewall(StrEnum):
    """The state of our nftables table."""

    ABSENT = "absent"
    CHANGED = "changed"  # somebody altered it, or the settings did
    SAME = "same"


@dataclass(frozen=True)
class Rule:
    """A policy rule for packets that come in through ``iif`` (empty: any) and go ``to`` a prefix (empty: anywhere).

    ``table`` 0 means blackhole, ``mark`` 0 any.
    """

    family: int
    priority: int
    iif: str
    mark: int = 0
    table: int = 0
    to: str = ""

    def __str__(self) -> str:
        mark = f" fwmark {self.mark:#x}" if self.mark else ""
        to = f" to {self.to}" if self.to else ""
        iif = f" iif {self.iif}" if self.iif else ""
        action = f"lookup {self.table}" if self.table else "blackhole"
        return f"rule{mark}{to}{iif} {action} (IPv{self.family})"


@dataclass(frozen=True)
class Route:
    """A route of one of our tables; ``destination`` is "default" or a prefix, ``device`` empty for a blackhole."""

    family: int
    table: int
    kind: str  # "local", "unicast" or "blackhole"
    destination: str
    device: str = ""

    def __str__(self) -> str:
        device = f" dev {self.device}" if self.device else ""
        kind = "" if self.kind == "unicast" else f"{self.kind} "
        return f"route {kind}{self.destination}{device} table {self.table} (IPv{self.family})"


@dataclass(frozen=True)
class Address:
    """An address (with its prefix length, as ip(8) writes it) on an interface."""

    device: str
    address: str

    def __str__(self) -> str:
        return f"address {self.address} on {self.device}"


@dataclass(frozen=True)
class Sysctl:
    """A value under /proc/sys; ``path`` in its parts, for an interface's name may hold dots."""

    path: tuple[str, ...]
    value: str

    def __str__(self) -> str:
        return f"sysctl {'/'.join(self.path)} = {self.value}"


@dataclass(frozen=True)
class Bridge:
    """A bridge without spanning tree or multicast snooping, with a hardware address of its own that never changes."""

    device: str
    mac: str

    def __str__(self) -> str:
        return f"bridge {self.device} ({self.mac})"


@dataclass(frozen=True)
class Vlan:
    """An 802.1Q interface on a trunk port."""

    device: str
    trunk: str
    number: int

    def __str__(self) -> str:
        return f"VLAN {self.number} on {self.trunk} as {self.device}"


@dataclass(frozen=True)
class Port:
    """An access port in the bridge; isolated, so that no frame goes from one such port to another."""

    device: str
    bridge: str

    def __str__(self) -> str:
        return f"isolated port {self.device} in {self.bridge}"


@dataclass(frozen=True)
class Up:
    """A link that is up."""

    device: str

    def __str__(self) -> str:
        return f"link {self.device} up"


@dataclass(frozen=True)
class Table:
    """Our nftables table."""

    ruleset: str = field(repr=False)

    def __str__(self) -> str:
        return "nftables table inet mudroom"


@dataclass(frozen=True)
class Opened:
    """The nftables table of who in the LAN may reach which device; steering writes it (gateway/network/opened.py)."""

    def __str__(self) -> str:
        return "nftables table inet mudroom_lan"


@dataclass(frozen=True)
class Hook:
    """The clsact qdisc that holds the eBPF programs."""

    device: str

    def __str__(self) -> str:
        return f"eBPF hooks of {self.device}"


Part = Rule | Route | Address | Sysctl | Bridge | Vlan | Port | Up | Table | Opened | Hook


@dataclass(frozen=True)
class Step:
    """One change to the kernel's network; ``str`` gives it in words."""

    action: Action
    part: Part
    because: str = ""

    def __str__(self) -> str:
        because = f" ({self.because})" if self.because else ""
        return f"{self.action} {self.part}{because}"


@dataclass(frozen=True)
class LinkState:
    """A link as the kernel shows it."""

    up: bool
    mac: str = ""
    kind: str = ""  # "bridge", "vlan", …; empty for hardware
    master: str = ""
    trunk: str = ""
    vlan_id: int = 0
    isolated: bool = False
    learning: bool = True
    plain_bridge: bool = False  # a bridge without spanning tree, multicast snooping or netfilter calls


@dataclass(frozen=True)
class Observed:
    """The running kernel's network, as far as it concerns us."""

    links: Mapping[str, LinkState] = field(default_factory=dict)
    addresses: frozenset[Address] = frozenset()  # without IPv6 link-local ones
    rules: frozenset[Rule] = frozenset()  # those at our priorities
    routes: frozenset[Route] = frozenset()  # those in our tables
    sysctls: Mapping[tuple[str, ...], str] = field(default_factory=dict)  # those we set, where they exist
    firewall: Firewall = Firewall.ABSENT
    hooked: bool = False  # whether the DMZ's interface has a clsact qdisc
    opened: bool = False  # whether there is a table of who in the LAN may reach which device


@dataclass(frozen=True)
class Desired:
    """The network that the settings ask for."""

    guards: tuple[Rule, ...]
    table: Table
    rules: tuple[Rule, ...]
    routes: tuple[Route, ...]
    addresses: tuple[Address, ...]
    sysctls: tuple[Sysctl, ...]


def desired(config: Config, ruleset: str) -> Desired:
    """The network that ``config`` asks for; ``ruleset`` comes from nft.render."""
    dmz, lan = config.dmz, config.lan
    lans = {4: str(lan.ipv4.network), 6: str(lan.ipv6.network)}
    homes = {
        4: {lan.interface: lans[4], dmz.interface: str(dmz.ipv4.network)},
        6: {lan.interface: lans[6], dmz.interface: str(dmz.ipv6.network)},
    }
    return Desired(
        guards=tuple(Rule(family, PRIORITY_BLACKHOLE, dmz.interface) for family in FAMILIES),
        table=Table(ruleset),
        routes=tuple(
            route
            for family in FAMILIES
            for route in (
                Route(family, TABLE_DOOR, "local", "default", "lo"),
                Route(family, TABLE_REPLY, "blackhole", "default"),
                Route(family, TABLE_REPLY, "unicast", lans[family], lan.interface),
                *(Route(family, TABLE_HOME, "unicast", prefix, device) for device, prefix in homes[family].items()),
            )
        ),
        rules=tuple(
            rule
            for family in FAMILIES
            for rule in (
                Rule(family, PRIORITY_DOOR, dmz.interface, MARK_DOOR, TABLE_DOOR),
                Rule(family, PRIORITY_REPLY, dmz.interface, MARK_REPLY, TABLE_REPLY),
                # The way home is ours to say: a longer prefix from the WAN's DHCP or router advertisement changes nothing.
                *(Rule(family, PRIORITY_HOME, "", 0, TABLE_HOME, prefix) for prefix in homes[family].values()),
            )
        ),
        addresses=tuple(
            Address(device, str(ip_interface(address)))
            for device, address in (
                (dmz.interface, dmz.address4),
                (dmz.interface, dmz.address6),
                (lan.interface, lan.address4),
                (lan.interface, lan.address6),
            )
        ),
        sysctls=_sysctls(config),
    )


def _sysctls(config: Config) -> tuple[Sysctl, ...]:
    """Kernel switches, in the order in which they must be written: forwarding resets others."""
    dmz, lan = config.dmz.interface, config.lan.interface

    def v4(device: str, **values: int) -> list[Sysctl]:
        return [Sysctl(("net", "ipv4", "conf", device, name), str(value)) for name, value in values.items()]

    def v6(device: str, **values: int) -> list[Sysctl]:
        return [Sysctl(("net", "ipv6", "conf", device, name), str(value)) for name, value in values.items()]

    return (
        Sysctl(("net", "ipv4", "ip_forward"), "1"),
        Sysctl(("net", "ipv6", "conf", "all", "forwarding"), "1"),
        # a flow begins with its SYN; else a device's stray ACK could be taken for a flow that the LAN opened
        Sysctl(("net", "netfilter", "nf_conntrack_tcp_loose"), "0"),
        Sysctl(("net", "ipv4", "icmp_echo_ignore_broadcasts"), "1"),
        # Where br_netfilter is there, the IP hooks would see a port's frame before our program has marked it.
        Sysctl(("net", "bridge", "bridge-nf-call-iptables"), "0"),
        Sysctl(("net", "bridge", "bridge-nf-call-ip6tables"), "0"),
        Sysctl(("net", "bridge", "bridge-nf-call-arptables"), "0"),
        # No interface answers for, or shows, an address that is not its own: neither DMZ nor WAN learns the LAN's.
        # "all" holds for the trunk too, where untagged frames arrive.
        *v4("all", arp_ignore=1, arp_announce=2, accept_redirects=0, send_redirects=0, accept_source_route=0),
        *v4(
            dmz,
            forwarding=int(config.lan.may_open_to_dmz),  # only replies to the LAN are ever forwarded
            rp_filter=1,  # strict: a source must lie in the DMZ
            arp_ignore=1,
            arp_announce=2,
            arp_accept=0,  # nobody's unasked claim makes a neighbour entry
            arp_filter=0,
            proxy_arp=0,
            proxy_arp_pvlan=0,
            accept_redirects=0,
            send_redirects=0,
            accept_source_route=0,
            accept_local=0,
            route_localnet=0,  # 127.0.0.0/8 never comes from a wire
            bootp_relay=0,
            drop_unicast_in_l2_multicast=1,  # RFC 1122 section 3.3.6
            log_martians=0,  # a device must not fill the log
        ),
        # Not strict: for a packet on its way to the DMZ the kernel asks for the route back as if it came from there, and
        # meets the blackhole rule. nftables checks the LAN's sources instead.
        *v4(lan, rp_filter=0, accept_redirects=0, send_redirects=0, route_localnet=0, proxy_arp=0),
        *v6("all", accept_redirects=0),
        *v6(
            dmz,
            disable_ipv6=0,
            forwarding=1,  # also what makes us a router in neighbour advertisements
            accept_ra=0,  # a device is no router
            autoconf=0,
            accept_redirects=0,
            accept_source_route=-1,  # no routing header of any type
            # a device could deny us our address by answering the probe for it
            accept_dad=0,
            dad_transmits=0,
            proxy_ndp=0,
            use_tempaddr=0,
            drop_unsolicited_na=1,
            drop_unicast_in_l2_multicast=1,
        ),
        *v6(lan, disable_ipv6=0, accept_ra=0, autoconf=0, accept_redirects=0),
        *(setting for port in _ports(config) for setting in v6(port, disable_ipv6=1)),  # the bridge speaks, its ports do not
        # What arrives untagged on the trunk is nobody's, unless the port is in the LAN's bridge, which then speaks for it.
        *(
            setting
            for trunk in _raw_trunk(config)
            for setting in (*v4(trunk, forwarding=0, arp_ignore=8, arp_announce=2, route_localnet=0), *v6(trunk, disable_ipv6=1))
        ),
    )


def sysctl_paths(config: Config) -> tuple[tuple[str, ...], ...]:
    """The paths of all switches that we set."""
    return tuple(setting.path for setting in _sysctls(config))


def guards(want: Desired, have: Observed) -> list[Step]:
    """The steps that keep devices from everything, whatever else is missing: blackhole rules, then the firewall."""
    steps = [Step(Action.ADD, rule) for rule in want.guards if rule not in have.rules]
    if have.firewall is Firewall.ABSENT:
        steps.append(Step(Action.ADD, want.table))
    elif have.firewall is Firewall.CHANGED:
        steps.append(Step(Action.SET, want.table, "it differs from ours"))
    return steps


def difference(config: Config, want: Desired, have: Observed) -> list[Step]:
    """The steps from ``have`` to ``want``, in order. Raises MissingPort where a port that must exist does not."""
    _require_ports(config, have)
    steps = guards(want, have)
    if not _is_up(have, "lo"):
        steps.append(Step(Action.SET, Up("lo")))  # the local routes need it
    links = _links(config, have)
    steps += links
    made = {step.part.device for step in links if isinstance(step.part, Bridge | Vlan) and step.action is Action.ADD}
    steps += [
        Step(Action.SET, setting)
        for setting in want.sysctls
        if have.sysctls.get(setting.path) != setting.value and (setting.path in have.sysctls or made & set(setting.path))
    ]
    steps += [Step(Action.ADD, a) for a in want.addresses if a not in have.addresses or a.device in made]
    steps += [
        Step(Action.REMOVE, a, "not in the settings")
        for a in sorted(have.addresses, key=str)
        if a.device == config.dmz.interface and a not in want.addresses and a.device not in made
    ]
    if not _is_up(have, config.lan.interface):
        steps.append(Step(Action.SET, Up(config.lan.interface)))
    dmz = config.dmz.interface
    new = [Step(Action.ADD, route) for route in want.routes if route not in have.routes or (route.device == dmz and dmz in made)]
    steps += [step for step in new if step.part.device != dmz]  # type: ignore[union-attr]
    steps += [Step(Action.ADD, rule) for rule in want.rules if rule not in have.rules]
    steps += [Step(Action.REMOVE, r, "not ours") for r in sorted(have.routes - set(want.routes), key=str)]
    steps += [Step(Action.REMOVE, r, "not ours") for r in sorted(have.rules - {*want.rules, *want.guards}, key=str)]
    for device in (*_ports(config), *_trunk(config), config.dmz.interface):  # what devices are plugged into comes up last
        if device in made or not _is_up(have, device):
            steps.append(Step(Action.SET, Up(device)))
    steps += [step for step in new if step.part.device == dmz]  # type: ignore[union-attr] # a link that is down takes none
    return steps


def house(config: Config, want: Desired, have: Observed) -> list[Step]:
    """The part of the way that the house needs where the devices' ports are missing: the guards, the LAN and its way out."""
    dmz = {config.dmz.interface, *_ports(config), *_trunk(config)}
    lan = config.lan.interface
    steps = guards(want, have)
    steps += [
        Step(Action.SET, setting)
        for setting in want.sysctls
        if not dmz & set(setting.path) and have.sysctls.get(setting.path, setting.value) != setting.value
    ]
    if lan in have.links:
        steps += [Step(Action.ADD, a) for a in want.addresses if a.device == lan and a not in have.addresses]
        if not _is_up(have, lan):
            steps.append(Step(Action.SET, Up(lan)))
        steps += [Step(Action.ADD, r) for r in want.routes if r.table == TABLE_HOME and r.device == lan and r not in have.routes]
    steps += [Step(Action.ADD, rule) for rule in want.rules if rule.priority == PRIORITY_HOME and rule not in have.rules]
    return steps


def removal(config: Config, have: Observed) -> list[Step]:
    """The steps that remove what is ours: links first, the blackhole rules last.

    The LAN's own addresses stay: the owner may be sitting behind them.
    """
    dmz = config.dmz.interface
    steps: list[Step] = []
    if dmz in have.links:
        if have.links[dmz].up:
            steps.append(Step(Action.REMOVE, Up(dmz)))
        if have.hooked:
            steps.append(Step(Action.REMOVE, Hook(dmz)))
        steps += [Step(Action.REMOVE, a) for a in sorted(have.addresses, key=str) if a.device == dmz]
        steps += [Step(Action.REMOVE, Port(p, dmz)) for p in _ports(config) if p in have.links and have.links[p].master == dmz]
        state = have.links[dmz]
        if config.dmz.mode == "bridge" and state.kind == "bridge":
            steps.append(Step(Action.REMOVE, Bridge(dmz, state.mac)))
        elif config.dmz.mode == "vlan" and state.kind == "vlan":
            steps.append(Step(Action.REMOVE, Vlan(dmz, state.trunk, state.vlan_id)))
    steps += [
        Step(Action.SET, Sysctl(path, "0"))
        for path in (("net", "ipv4", "ip_forward"), ("net", "ipv6", "conf", "all", "forwarding"))
        if have.sysctls.get(path, "0") != "0"
    ]
    last = sorted(have.rules, key=lambda rule: (rule.priority, rule.family))
    steps += [Step(Action.REMOVE, rule) for rule in last if rule.table]
    left = [route for route in have.routes if route.device != dmz]  # those went with the link
    steps += [Step(Action.REMOVE, route) for route in sorted(left, key=str)]
    if have.opened:
        steps.append(Step(Action.REMOVE, Opened()))
    if have.firewall is not Firewall.ABSENT:
        steps.append(Step(Action.REMOVE, Table("")))
    steps += [Step(Action.REMOVE, rule) for rule in last if not rule.table]
    return steps


def _require_ports(config: Config, have: Observed) -> None:
    wanted: list[tuple[str, str]] = [("lan.interface", config.lan.interface)]
    if config.dmz.mode == "port":
        wanted.append(("dmz.interface", config.dmz.interface))
    elif config.dmz.mode == "vlan":
        if not config.dmz.trunk:
            raise MissingPort("dmz.trunk: mode vlan needs the trunk port's name; set it, or set dmz.mode to port or bridge")
        wanted.append(("dmz.trunk", config.dmz.trunk))
    else:
        wanted += [("dmz.ports", port) for port in config.dmz.ports]
    present = ", ".join(sorted(have.links)) or "none"
    for setting, device in wanted:
        if device not in have.links:
            raise MissingPort(
                f"{setting}: there is no interface {device}; plug it in or correct the setting (present: {present})"
            )


def _links(config: Config, have: Observed) -> list[Step]:
    dmz = config.dmz
    state = have.links.get(dmz.interface)
    steps: list[Step] = []
    if dmz.mode == "vlan":
        vlan = Vlan(dmz.interface, dmz.trunk, dmz.vlan_id)
        if state is None:
            steps.append(Step(Action.ADD, vlan))
        elif (state.kind, state.trunk, state.vlan_id) != ("vlan", dmz.trunk, dmz.vlan_id):
            raise _in_the_way(dmz.interface, state, str(vlan))
    elif dmz.mode == "bridge":
        bridge = Bridge(dmz.interface, bridge_mac(have.links[dmz.ports[0]].mac))
        if state is None:
            steps.append(Step(Action.ADD, bridge))
        elif state.kind != "bridge":
            raise _in_the_way(dmz.interface, state, str(bridge))
        elif state.mac != bridge.mac or not state.plain_bridge:
            steps.append(Step(Action.SET, bridge))
        for port in dmz.ports:
            link = have.links[port]
            if (link.master, link.isolated, link.learning) != (dmz.interface, True, True):
                steps.append(Step(Action.ADD if link.master != dmz.interface else Action.SET, Port(port, dmz.interface)))
        steps += [
            Step(Action.REMOVE, Port(name, dmz.interface), "not in dmz.ports")
            for name, link in sorted(have.links.items())
            if link.master == dmz.interface and name not in dmz.ports
        ]
    return steps


def bridge_mac(port_mac: str) -> str:
    """The bridge's hardware address: its first port's, marked as locally administered and unicast (IEEE 802 section 8.2)."""
    first, rest = port_mac.split(":", 1)
    return f"{(int(first, 16) | 0x02) & 0xFE:02x}:{rest}"


def _in_the_way(device: str, state: LinkState, wanted: str) -> NetworkError:
    kind = state.kind or "hardware port"
    return NetworkError(f"dmz.interface: {device} exists and is a {kind}, not {wanted}; remove it or choose another name")


def _ports(config: Config) -> tuple[str, ...]:
    return config.dmz.ports if config.dmz.mode == "bridge" else ()


def _trunk(config: Config) -> tuple[str, ...]:
    return (config.dmz.trunk,) if config.dmz.mode == "vlan" else ()


def _raw_trunk(config: Config) -> Iterable[str]:
    """The trunk, where nothing but tagged frames is ours on it (it is neither the LAN's nor the WAN's own interface)."""
    return (trunk for trunk in _trunk(config) if trunk and trunk not in (config.lan.interface, config.wan.interface))


def _is_up(have: Observed, device: str) -> bool:
    state = have.links.get(device)
    return state is not None and state.up
