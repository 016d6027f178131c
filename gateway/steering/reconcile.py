"""Keeps the kernel as registry, leases and interfaces say, again and again; what somebody removed comes back.

Whatever fails here is not papered over: the programs' permission to pass anything (``alive``) is renewed only after a
whole round went well, and runs out ``ALIVE_SECONDS`` later.
"""

from __future__ import annotations

import fcntl
import logging
import socket
import struct
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from gateway.config import Config
from gateway.reasons import Reason
from gateway.registry import Home, Kind, Registry, RegistryError, RegistryFile
from gateway.steering import layout
from gateway.steering.bindings import Table, hosts, openings, parse_leases
from gateway.steering.hooks import Hooks
from gateway.steering.loader import Guard, KernelMap, Steer, program_id
from gateway.steering.openings import Openings
from gateway.steering.reports import Reports

ALIVE_SECONDS = 10
CLAIM_IDLE_SECONDS = 3600  # an address's binding may sleep for so long
CLAIM_IDLE_OPEN_SECONDS = 7 * 86_400  # and for so long where the LAN may use its device: that may be silent until it is used
CLAIM_IDLE_FULL_SECONDS = 300  # and for so long where its device has no other left (RFC 6620, 3.2.6)
SEAT_IDLE_SECONDS = 300
OVER_NANO = 50_000_000  # a packet that had passed the firewall when a host was denied is on the wire by then
SWEEP_SECONDS = 5
_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_IFF_RUNNING = 0x40
_ZERO = bytes(4)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Links:
    """One look at the kernel's interfaces. ``ports``: index by name of the bridge's ports that have a link."""

    index: int
    mac: str
    lan_index: int
    addresses: tuple[tuple[str, str], ...]
    ingress: int | None
    egress: int | None
    ports: dict[str, int]
    guards: dict[str, int | None]


def look(config: Config, hooks: Hooks) -> Links | None:
    """See what is there; None where the DMZ's interface is not. Blocks; raises OSError."""
    interface = config.dmz.interface
    index, mac = hooks.index(interface), hooks.mac(interface)
    if index is None or mac is None:
        return None
    ports: dict[str, int] = {}
    guards: dict[str, int | None] = {}
    for name in config.dmz.ports if config.dmz.mode == "bridge" else ():
        number = hooks.index(name)
        if number is not None:
            guards[name] = hooks.attached(name, "ingress")
            if has_link(name):
                ports[name] = number
    return Links(
        index,
        mac,
        hooks.index(config.lan.interface) or 0,
        tuple(sorted(hooks.addresses())),
        hooks.attached(interface, "ingress"),
        hooks.attached(interface, "egress"),
        ports,
        guards,
    )


def has_link(interface: str) -> bool:
    """Whether something is plugged in (netdevice(7), IFF_RUNNING)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        request = struct.pack("16sh14x", interface.encode(), 0)
        try:
            answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, request)
        except OSError:
            return False
    flags: int = struct.unpack_from("16xH", answer)[0]
    return bool(flags & _IFF_RUNNING)


class Reconciler:
    """``remade`` is called when the DMZ's interface is another one than before: sockets bound to the old one are deaf."""

    def __init__(
        self, *, config: Config, steer: Steer, guard: Guard | None, hooks: Hooks, reports: Reports, remade: Callable[[], None]
    ) -> None:
        self._config = config
        self._steer = steer
        self._guard = guard
        self._hooks = hooks
        self._reports = reports
        self._remade = remade
        self._registry = RegistryFile(config.paths.registry)
        self._registry_error = ""
        self._leases: dict[str, IPv4Address] = {}
        self._leases_stamp: tuple[int, int, int] | None = None
        self._leases_checked = 0.0
        self._home: Home | None = None
        self._written: dict[str, bytes] = {}
        self._settings = b""
        self._index = 0
        self._swept = 0.0
        self._dropped: dict[str, tuple[int, int, int, int]] = {}
        self._program_ids = (program_id(steer.ingress), program_id(steer.egress))
        self._openings = Openings(config, hooks)
        self.table = Table(config.steering.max_devices, config.door.workers)
        self.ready = False

    # --- who is who -------------------------------------------------------------------------------------------------

    def home(self) -> Home:
        """The registry now; an unreadable one admits nobody."""
        return self._registry.current() if self._readable() else _empty()

    def who(self, address: str) -> tuple[str, str]:
        """Device id and MAC of an address's holder, empty where there is none."""
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return "", ""
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        if isinstance(parsed, IPv4Address):
            self.refresh_devices()
            mac = next((mac for mac, device in self.table.devices.items() if device.ip4 == parsed), "")
        else:
            value = self._steer.claims6.get(parsed.packed)
            mac = layout.mac_text(layout.CLAIM.unpack(value)[0]) if value else ""
        device = self.home().by_mac.get(mac)
        admitted = device is not None and device.kind is not Kind.UNKNOWN
        return (device.id if device is not None and admitted else ""), mac

    def name_of(self, mac: str) -> str:
        """Device id, or the MAC itself where it has none."""
        device = self.home().by_mac.get(mac)
        return device.id if device is not None else mac

    def refresh_devices(self) -> None:
        """Bring the kernel's table up to date if registry or leases changed; two stat(2) otherwise."""
        home = self.home()
        if not self._read_leases() and home is self._home:
            return
        # first the firewall, then the addresses: no host meets another device under an address for a moment
        to_lan = self._openings.write(openings(home, self._leases, self._claims(home)))
        self._reports.collect(self.table.names)  # slots may change hands
        self.table.update(home, self._leases, to_lan=to_lan, now=time.monotonic_ns() + OVER_NANO)
        self._home = home if to_lan or not hosts(home) else None  # None: again, until it could be written
        wanted = {mac: device.pack() for mac, device in self.table.devices.items()}
        for mac in self._written.keys() - wanted.keys():
            self._steer.devices.delete(layout.mac_number(mac).to_bytes(8, "little"))
        for mac, packed in wanted.items():
            if self._written.get(mac) != packed:
                self._steer.devices.set(layout.mac_number(mac).to_bytes(8, "little"), packed)
        self._written = wanted

    def _claims(self, home: Home, without: Collection[bytes] = ()) -> dict[IPv6Address, str]:
        """IPv6 addresses and the devices that hold them, of those that the LAN may use."""
        if not (used := hosts(home)):
            return {}
        found = ((key, layout.mac_text(layout.CLAIM.unpack(value)[0])) for key, value in self._steer.claims6.items())
        return {IPv6Address(key): mac for key, mac in found if mac in used and key not in without}

    def _readable(self) -> bool:
        try:
            self._registry.current()
        except (RegistryError, OSError, ValueError) as error:
            if str(error) != self._registry_error:
                log.error("nobody is admitted: %s", error)
            self._registry_error = str(error)
            return False
        self._registry_error = ""
        return True

    def _read_leases(self) -> bool:
        """Whether the leases differ from those of the last time."""
        path = self._config.paths.leases
        now = time.time()
        try:
            stamp = _stamp(path)
            # dnsmasq writes the file in place, so it is read again until it held still; and leases run out by themselves
            if stamp == self._leases_stamp and now - self._leases_checked < SWEEP_SECONDS:
                return False
            text = path.read_text(encoding="utf-8", errors="replace")
            self._leases_stamp = stamp if _stamp(path) == stamp else None
        except FileNotFoundError:
            text, self._leases_stamp = "", None
        self._leases_checked = now
        leases = parse_leases(text, now)
        changed = leases != self._leases
        self._leases = leases
        return changed

    # --- interfaces and programs ------------------------------------------------------------------------------------

    def apply(self, links: Links | None) -> None:
        """One round: settings, addresses, programs, sweeps; then permission to pass for a while. Raises OSError."""
        interface = self._config.dmz.interface
        if links is None:
            if self.ready or not self._settings:
                log.error("%s is not there; waiting for `mudroom network apply`", interface)
            self._settings = layout.UNCONFIGURED
            self._steer.settings.set(_ZERO, self._settings)
            self.ready = False
            return
        self._apply_settings(links)
        self.refresh_devices()
        if self._home is not None and not self._openings.write(openings(self._home, self._leases, self._claims(self._home))):
            self._home = None
            self.refresh_devices()
        if links.index != self._index:
            if self._index:
                log.warning("%s was made anew", interface)
                self._remade()
            self._index = links.index
        if links.egress != self._program_ids[1]:
            self._hooks.attach(interface, "egress", self._steer.egress, "mudroom-record")
        if links.ingress != self._program_ids[0]:
            if self.ready:
                log.warning("the program on %s was removed or replaced; putting it back", interface)
            self._hooks.attach(interface, "ingress", self._steer.ingress, "mudroom-steer")
        if self._guard is not None:
            self._apply_guard(self._guard, links)
        if time.monotonic() - self._swept > SWEEP_SECONDS:
            self._swept = time.monotonic()
            self._sweep_claims()
            if self._guard is not None:
                self._sweep_seats(self._guard, links)
        self._steer.alive.set(_ZERO, (time.monotonic_ns() + ALIVE_SECONDS * layout.NANO).to_bytes(8, "little"))
        self.ready = True

    def shut(self) -> None:
        """Let nothing pass any more, whatever stays attached."""
        self._steer.alive.set(_ZERO, bytes(8))
        self._steer.settings.set(_ZERO, layout.UNCONFIGURED)

    def _apply_settings(self, links: Links) -> None:
        interface = self._config.dmz.interface
        link_local = next(
            (a for name, text in links.addresses if name == interface and (a := _address6(text)) and a.is_link_local), None
        )
        packed = layout.settings(self._config, links.mac, link_local, links.lan_index)
        own = [ip_address(text.partition("%")[0]) for _, text in links.addresses]
        _sync(self._steer.own4, {a.packed for a in own if a.version == 4})
        _sync(self._steer.own6, {a.packed for a in own if a.version == 6})
        if packed != self._settings:
            self._steer.settings.set(_ZERO, packed)
            self._settings = packed

    def _apply_guard(self, guard: Guard, links: Links) -> None:
        guard.settings.set(_ZERO, layout.guard_settings(self._config, links.mac))
        wanted = program_id(guard.ingress)
        for name, attached in links.guards.items():
            index = self._hooks.index(name)
            if index is None:
                continue
            key = index.to_bytes(4, "little")
            value = guard.ports.get(key)
            if value is None:
                value = bytes(layout.PORT.size)
                guard.ports.set(key, value)
            if attached != wanted:
                self._hooks.attach(name, "ingress", guard.ingress, "mudroom-guard")
            _, _, _, *dropped = layout.PORT.unpack(value)
            old = self._dropped.get(name, (0, 0, 0, 0))
            new = (dropped[0], dropped[1], dropped[2], dropped[3])
            for reason, at in ((Reason.SPOOFED_MAC, 0), (Reason.RATE_DEVICE, 2)):
                if new[at] > old[at]:
                    self._reports.add(f"port-{name}", reason.code, new[at] - old[at], new[at + 1] - old[at + 1])
            self._dropped[name] = new

    def _sweep_claims(self) -> None:
        now = time.monotonic_ns()
        held: dict[int, int] = {}
        claims = [(key, *layout.CLAIM.unpack(value)) for key, value in self._steer.claims6.items()]
        for _, _, _, slot, _ in claims:
            held[slot] = held.get(slot, 0) + 1
        used = hosts(self._home) if self._home is not None else {}
        over: dict[bytes, int] = {}
        for key, mac, seen, slot, _ in claims:
            device = self.table.devices.get(layout.mac_text(mac))
            slot_now = device.slot if device is not None else layout.STRANGERS
            most = layout.STRANGERS_ADDRESSES6 if slot == layout.STRANGERS else self._config.steering.addresses6_per_device
            rest = CLAIM_IDLE_OPEN_SECONDS if layout.mac_text(mac) in used else CLAIM_IDLE_SECONDS
            idle = CLAIM_IDLE_FULL_SECONDS if held[slot] >= most else rest
            # a claim that counts against another slot than its holder's is made anew by its next packet
            if now - seen > idle * layout.NANO or slot != slot_now:
                over[key] = slot
        home = self._home or _empty()
        if used and not self._openings.write(openings(home, self._leases, self._claims(home, over))):
            return  # an address that the firewall still knows as this device's must not become another's
        for key, slot in over.items():
            if self._steer.claims6.delete(key):
                _add(self._steer.claims6_freed, slot.to_bytes(4, "little"), 8)

    def _sweep_seats(self, guard: Guard, links: Links) -> None:
        now = time.monotonic_ns()
        live = set(links.ports.values())
        for key, value in guard.seats.items():
            seen, index, _ = layout.SEAT.unpack(value)
            if (now - seen > SEAT_IDLE_SECONDS * layout.NANO or index not in live) and guard.seats.delete(key):
                _add(guard.freed, index.to_bytes(4, "little"), 4)


def _empty() -> Home:
    return Home(Registry())


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _address6(text: str) -> IPv6Address | None:
    address = ip_address(text.partition("%")[0])
    return address if isinstance(address, IPv6Address) else None


def _sync(table: KernelMap, wanted: set[bytes]) -> None:
    present = {key for key, _ in table.items()}
    for key in wanted - present:
        table.set(key, b"\1")
    for key in present - wanted:
        table.delete(key)


def _add(table: KernelMap, key: bytes, size: int) -> None:
    old = int.from_bytes(table.get(key) or bytes(size), "little")
    table.set(key, (old + 1).to_bytes(size + 1, "little")[:size])
