"""Knocks at every door from power-on to power-off: frames on the devices' VLAN that must never come out anywhere.

A device's own stack sends nothing before it has an address; these frames need none, so they show that the box is closed
while it boots, while it shuts down and while parts of it are dead.
"""

from __future__ import annotations

import itertools
import threading
from typing import Self

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6ND_RS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from tests.home.lab.layout import FOREIGN4, FOREIGN6
from tests.vm.lab import layout
from tests.vm.lab.traffic import MARKER
from tests.vm.lab.trunk import tagged
from tests.vm.lab.world import World

DEVICE4, DEVICE6 = "10.77.0.222", "fd4d:7564:726d:2::222"
TARGETS4 = (FOREIGN4, layout.TRACKER4, "192.0.2.1", "192.168.77.100", "192.168.77.1")
TARGETS6 = (FOREIGN6, layout.TRACKER6, "2001:db8:0:1::1", "fd4d:7564:726d:1::1")


ALL, ALL6 = "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01"


def questions(source_mac: str) -> list[bytes]:
    """What any stack answers if it hears it: ARP and ND for each of the box's addresses, DHCP, router solicitation."""
    found: list[Packet] = [
        Ether(src=source_mac, dst=ALL) / ARP(op=1, hwsrc=source_mac, psrc=network, pdst=target)
        for network, target in (
            ("10.77.0.222", layout.DMZ4),
            ("192.168.77.222", layout.GATEWAY4),
            ("192.0.2.222", layout.WAN4),
            ("0.0.0.0", layout.DMZ4),
        )
    ]
    for source, target in ((DEVICE6, layout.DMZ6), ("fd4d:7564:726d:1::222", layout.GATEWAY6)):
        ask = ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=source_mac)
        found.append(Ether(src=source_mac, dst=ALL6) / IPv6(src=source, dst="ff02::1", hlim=255) / ask)
    found.append(Ether(src=source_mac, dst="33:33:00:00:00:02") / IPv6(src="fe80::77", dst="ff02::2", hlim=255) / ICMPv6ND_RS())
    discover = BOOTP(chaddr=bytes.fromhex(source_mac.replace(":", "")), xid=7) / DHCP(
        options=[("message-type", "discover"), "end"]
    )
    found.append(Ether(src=source_mac, dst=ALL) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / discover)
    return [bytes(packet / Raw(MARKER)) for packet in found]


def frames(source_mac: str, target_mac: str = layout.TRUNK_MAC) -> list[bytes]:
    """Untagged frames of a device that wants out: UDP, TCP and ping over IPv4 and IPv6, each with the marker in it."""
    ether = Ether(src=source_mac, dst=target_mac)
    found = []
    for target in TARGETS4:
        ip = ether / IP(src=DEVICE4, dst=target)
        found += [ip / UDP(sport=4444, dport=4444), ip / TCP(sport=4444, dport=443, flags="S"), ip / ICMP()]
    for target in TARGETS6:
        ip = ether / IPv6(src=DEVICE6, dst=target)
        found += [ip / UDP(sport=4444, dport=4444), ip / TCP(sport=4444, dport=443, flags="S"), ip / ICMPv6EchoRequest()]
    return [bytes(packet / Raw(MARKER)) for packet in found]


class Knocking:
    """A context manager; ``count``: frames sent. About twenty a second to ``target_mac``, as a stranger and as device 1."""

    def __init__(self, world: World, target_mac: str = layout.TRUNK_MAC) -> None:
        self.count = 0
        self._trunk = world.trunk
        every = frames(world.devices[2].mac, target_mac) + frames(world.devices[0].mac, target_mac)
        self._frames = itertools.cycle([tagged(frame, layout.VLAN) for frame in every])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._knock)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _knock(self) -> None:
        while not self._stop.wait(0.05):
            self._trunk.inject(next(self._frames))
            self.count += 1
