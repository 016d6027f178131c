"""What may be seen on the guest's WAN port, sorted by kind, and what is a leak. Pure: frames in, words out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from tests.home.lab.layout import RESOLVER4, RESOLVER6
from tests.home.sockets import Frame
from tests.vm.lab import layout
from tests.vm.lab.world import World

ICMP6, TCP, UDP = 58, 6, 17
_ND = range(133, 138)
_HOUSE = [
    ip_network(text, strict=False)
    for text in ("10.77.0.0/24", "10.127.0.0/16", "192.168.77.0/24", "fd4d:7564:726d::/48")
]  # fmt: skip

# What the router itself needs, before its owner asks for anything: an address, names, time, updates.
UPKEEP = frozenset({"arp", "nd", "mld", "dhcp", "dns", "ntp", "mirror"})
# With devices approved: the courier to vendors too, for messages and, each minute, for what vendors have for devices.
SERVICE = UPKEEP | {"vendor"}


def kind(frame: Frame, world: World) -> str:
    """One word for a frame that the guest sent: arp, nd, mld, dhcp, dns, ntp, mirror, vendor, echo, or what is odd about it."""
    if frame.ethertype == 0x0806:
        return "arp"
    if frame.ethertype not in (0x0800, 0x86DD):
        return f"ethertype {frame.ethertype:#06x}"
    if is_inside(frame.source):
        return f"source {frame.source} of the inside"
    if frame.protocol == 0 and frame.destination.startswith("ff02::"):
        return "mld"
    if frame.protocol == ICMP6:
        kind = frame.data[54]
        return "nd" if kind in _ND else f"icmpv6 {kind} to {frame.destination}"
    far = (frame.destination, frame.ports[1])
    if frame.protocol == UDP:
        if frame.ports[0] == 68 and frame.ports[1] == 67:
            return "dhcp"
        if far in ((RESOLVER4, 53), (RESOLVER6, 53)):
            return "dns"
        if far in ((layout.TIME4, 123), (layout.TIME6, 123)):
            return "ntp"
    if frame.protocol == TCP:
        if far in ((RESOLVER4, 53), (RESOLVER6, 53)):
            return "dns"
        if frame.destination in (layout.MIRROR4, layout.MIRROR6) and frame.ports[1] in (80, layout.ARCHIVE_PORT):
            return "mirror"
        if far in vendors(world):
            return "vendor"
    return f"protocol {frame.protocol} to {frame.destination}:{frame.ports[1]}"


def vendors(world: World) -> set[tuple[str, int]]:
    """Where the courier may go: the approved vendors' hosts."""
    return {(a, 443) for vendor in world.vendors if vendor.manifest for pair in vendor.hosts.values() for a in pair}


def open_ports(nmap: str) -> set[str]:
    """The TCP ports that nmap(1) found open. Raises ValueError where it did not come to its end."""
    if "Nmap done" not in nmap:
        raise ValueError(f"nmap did not end: {nmap}")
    return set(re.findall(r"^(\d+)/tcp +open\b", nmap, re.MULTILINE))


def is_inside(address: str) -> bool:
    """Whether an address belongs to the LAN, the DMZ or the pool: on the WAN none of them may stand as a source."""
    found = ip_address(address)
    return any(found.version == network.version and found in network for network in _HOUSE)


def sorted_kinds(frames: Iterable[Frame], world: World) -> Counter[str]:
    """How many frames of each kind the guest sent."""
    return Counter(kind(frame, world) for frame in frames if not frame.outgoing)


def leaks(frames: Iterable[Frame], world: World, allowed: frozenset[str] = SERVICE) -> list[str]:
    """Frames from the guest onto the WAN that are of no allowed kind."""
    return [f"{found}: {frame}" for frame in frames if not frame.outgoing and (found := kind(frame, world)) not in allowed]


def from_devices(frames: Iterable[Frame]) -> list[str]:
    """Frames that the guest brought to the laptop's wire from a device's address."""
    dmz = [ip_network("10.77.0.0/24"), ip_network("fd4d:7564:726d:2::/64")]
    own = {ip_address(layout.DMZ4), ip_address(layout.DMZ6)}

    def device(address: str) -> bool:
        found = ip_address(address)
        return found not in own and any(found.version == network.version and found in network for network in dmz)

    return [str(frame) for frame in frames if not frame.outgoing and frame.source and device(frame.source)]
