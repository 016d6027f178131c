"""What may be seen on the wires of the virtual home, and what is a leak."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from tests.home.client import Here
from tests.home.lab import layout
from tests.home.sockets import Frame

_DEVICES = [ip_network(f"{layout.DMZ4}/24", strict=False), ip_network(f"{layout.DMZ6}/64", strict=False)]
_ND = range(133, 137)


def leaks_to_internet(frames: Iterable[Frame], here: Here) -> list[Frame]:
    """Frames on the WAN that are neither the courier's, nor the gateway's questions for names and time, nor ARP and ND."""
    gateway = {here.facts["gateway"]["wan0"][version] for version in ("v4", "v6")}
    isp = here.facts["internet"]
    vendors = {
        a for name in ("acme", "borealis") for pair in here.facts["vendors"][name]["hosts"].values() for a in pair.values()
    }
    asked = {(isp["resolver"][v], 53) for v in ("v4", "v6")} | {(isp["time"][v], 123) for v in ("v4", "v6")}

    def expected(frame: Frame) -> bool:
        if frame.ethertype == 0x0806 or _neighbour_discovery(frame):
            return True
        ends = ((frame.source, frame.ports[0]), (frame.destination, frame.ports[1]))
        for (near, _), far in (ends, ends[::-1]):
            if near in gateway and (far in asked or (far[0] in vendors and far[1] == 443 and frame.protocol == 6)):
                return True
        return False

    return [frame for frame in frames if not expected(frame)]


def leaks_from_devices(frames: Iterable[Frame]) -> list[Frame]:
    """Frames from a device's address; on the LAN or at another device none is expected."""
    return [frame for frame in frames if not frame.outgoing and _is_device(frame.source)]


def _neighbour_discovery(frame: Frame) -> bool:
    if frame.ethertype != 0x86DD:
        return False
    if frame.protocol == 0:  # MLD reports travel behind a hop-by-hop header
        return frame.destination.startswith("ff02::")
    return frame.protocol == 58 and len(frame.data) > 54 and frame.data[54] in _ND


def _is_device(address: str) -> bool:
    if not address:
        return False
    found = ip_address(address)
    gateway = {ip_address(layout.DMZ4), ip_address(layout.DMZ6)}
    return found not in gateway and any(found.version == network.version and found in network for network in _DEVICES)
