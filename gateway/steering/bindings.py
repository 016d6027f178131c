"""Who is who: leases and registry in, the kernel's table of devices out. Pure; it must never read a file or a map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from gateway import leases
from gateway.registry import Home, Kind
from gateway.steering.layout import STRANGERS, Device

STRANGERS_NAME = "strangers"
USED = frozenset({Kind.LOCAL, Kind.STANDARD})  # kinds that the LAN may use, where the owner lets it
Opening = tuple[str, IPv4Address | IPv6Address]


def parse_leases(text: str, now: float) -> dict[str, IPv4Address]:
    """IPv4 leases by MAC from dnsmasq's lease file. ``now``: seconds since the epoch.

    Where a MAC holds several, the one that lasts longest counts; where several hold an address, nobody has it.
    """
    best: dict[str, tuple[float, IPv4Address]] = {}
    for lease in leases.parse(text, now):
        if lease.mac not in best or best[lease.mac][0] < lease.ends:
            best[lease.mac] = (lease.ends, lease.address)
    holders: dict[IPv4Address, int] = {}
    for _, address in best.values():
        holders[address] = holders.get(address, 0) + 1
    return {mac: address for mac, (_, address) in best.items() if holders[address] == 1}


def hosts(home: Home) -> dict[str, tuple[str, ...]]:
    """Which LAN hosts may open connections to which device (MAC), by the owner's word; those that nobody may are left out."""
    return {device.mac: device.lan for device in home.registry.devices if device.lan and device.kind in USED}


def openings(home: Home, leased: Mapping[str, IPv4Address], claims: Mapping[IPv6Address, str]) -> frozenset[Opening]:
    """LAN host and device's address, for each that is bound to a device: its lease, and what it ``claims`` (address: MAC)."""
    bound: list[tuple[str, IPv4Address | IPv6Address]] = [*((mac, address) for mac, address in leased.items())]
    bound += [(mac, address) for address, mac in claims.items()]
    allowed = hosts(home)
    return frozenset((host, address) for mac, address in bound for host in allowed.get(mac, ()))


class Slots:
    """Which counters belong to whom: numbers 1 to ``most``, kept as long as their holder is there."""

    def __init__(self, most: int) -> None:
        self._free = list(range(most, 0, -1))
        self.by_mac: dict[str, int] = {}

    def keep(self, macs: Iterable[str]) -> None:
        """Take back the slots of all others."""
        wanted = set(macs)
        for mac in [mac for mac in self.by_mac if mac not in wanted]:
            self._free.append(self.by_mac.pop(mac))

    def give(self, mac: str, before: Iterable[str] = ()) -> int:
        """This MAC's slot; the strangers' where all are given and none is held by one of ``before``, which yield theirs."""
        if mac not in self.by_mac:
            if not self._free:
                yielding = next((other for other in before if other in self.by_mac), None)
                if yielding is None:
                    return STRANGERS
                self._free.append(self.by_mac.pop(yielding))
            self.by_mac[mac] = self._free.pop()
        return self.by_mac[mac]


@dataclass
class Table:
    """The kernel's table as it should be. Slots and door workers stay with a device once given."""

    most: int
    workers: int
    devices: dict[str, Device] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)  # slot: device id or MAC
    _slots: Slots = field(init=False)
    _allowed: dict[str, frozenset[str]] = field(default_factory=dict)  # who in the LAN may open connections, by MAC

    def __post_init__(self) -> None:
        self._slots = Slots(self.most)

    def update(self, home: Home, leased: Mapping[str, IPv4Address], *, to_lan: bool = False, now: int = 0) -> None:
        """Work out ``devices`` and ``names`` anew. Admitted devices get slots first, unknown ones what is left.

        ``to_lan``: whether the LAN may use what the owner opened to it; ``now``: CLOCK_MONOTONIC in nanoseconds.
        """
        admitted = {mac: device for mac, device in home.by_mac.items() if device.kind is not Kind.UNKNOWN}
        unknown = sorted((set(leased) | set(home.by_mac)) - set(admitted))
        self._slots.keep([*admitted, *unknown])
        slots = {mac: self._slots.give(mac, before=unknown) for mac in sorted(admitted)}
        slots |= {mac: self._slots.give(mac) for mac in unknown}
        load = dict.fromkeys(range(self.workers), 0)
        workers: dict[str, int] = {}
        for mac, device in admitted.items():
            old = self.devices.get(mac)
            if device.kind is Kind.STANDARD and old is not None and old.kind is Kind.STANDARD:
                workers[mac] = old.worker
                load[old.worker] += 1
        for mac in sorted(admitted):
            if admitted[mac].kind is Kind.STANDARD and mac not in workers:
                workers[mac] = min(load, key=lambda worker: (load[worker], worker))
                load[workers[mac]] += 1
        allowed = {mac: frozenset(who) for mac, who in hosts(home).items()} if to_lan else {}
        self.devices = {
            mac: Device(
                slots[mac],
                admitted[mac].kind if mac in admitted else Kind.UNKNOWN,
                workers.get(mac, 0),
                leased.get(mac),
                mac in allowed,
                self._since(mac, leased.get(mac), allowed.get(mac, frozenset()), now),
            )
            for mac in [*admitted, *unknown]
        }
        self._allowed = allowed
        self.names = {slot: home.by_mac[mac].id if mac in home.by_mac else mac for mac, slot in slots.items()}
        self.names[STRANGERS] = STRANGERS_NAME

    def _since(self, mac: str, ip4: IPv4Address | None, allowed: frozenset[str], now: int) -> int:
        """What the LAN opened is over where a host may no more, or the address was another's before."""
        old = self.devices.get(mac)
        if old is not None and old.ip4 == ip4 and self._allowed.get(mac, frozenset()) <= allowed:
            return old.since
        return now
