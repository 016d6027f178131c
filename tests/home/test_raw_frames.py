"""Frames that no decent stack would send, from a device that lies about everything: none comes out anywhere."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from tests.home.client import Here, eventually, status_of
from tests.home.lab import layout
from tests.home.lab.wires import run
from tests.home.sockets import Capture, socket_in

MARKER = b"mudroom-secret-marker"


@dataclass(frozen=True)
class Wire:
    """What a frame needs to know: the sender, another device, the gateway."""

    here: Here
    me: dict[str, str]
    other: dict[str, str]
    gateway: str  # MAC

    def ether(self, **fields: str) -> Ether:
        """To the gateway, from us."""
        return Ether(**{"src": self.me["mac"], "dst": self.gateway, **fields})

    def udp(self, **fields: int) -> Packet:
        """A datagram with the marker in it."""
        return UDP(**{"sport": 4444, "dport": 4444, **fields}) / MARKER


FRAMES: dict[str, tuple[tuple[str, ...], Callable[[Wire], Packet]]] = {
    "a source address of another device": (
        ("spoofed-ip",),
        lambda w: w.ether() / IP(src=w.other["v4"], dst=layout.FOREIGN4) / w.udp(),
    ),
    "a source address of the LAN": (
        ("spoofed-ip",),
        lambda w: w.ether() / IP(src="192.168.77.10", dst=layout.FOREIGN4) / w.udp(),
    ),
    "an IPv6 source of another device": (
        ("spoofed-ip",),
        lambda w: w.ether() / IPv6(src=w.other["v6"], dst=layout.FOREIGN6) / w.udp(),
    ),
    "another device's MAC": (
        ("spoofed-mac",),
        lambda w: w.ether(src=w.other["mac"]) / IP(src=w.other["v4"], dst=layout.FOREIGN4) / w.udp(),
    ),
    "the gateway's own MAC": (
        ("spoofed-mac",),
        lambda w: w.ether(src=w.gateway) / IP(src=w.me["v4"], dst=layout.FOREIGN4) / w.udp(),
    ),
    "a double tag": (
        ("vlan-tag",),
        lambda w: w.ether() / Dot1Q(vlan=1) / Dot1Q(vlan=2) / IP(src=w.me["v4"], dst=layout.FOREIGN4) / w.udp(),
    ),
    "a foreign ethertype": (("ethertype",), lambda w: w.ether(type=0x88B5) / MARKER),
    "a later fragment": (
        ("fragment",),
        lambda w: w.ether() / IP(src=w.me["v4"], dst=layout.FOREIGN4, frag=100, proto=17) / MARKER,
    ),
    "IP options": (
        ("ip-options",),
        lambda w: w.ether() / IP(src=w.me["v4"], dst=layout.FOREIGN4, options=[b"\x94\x04\x00\x00"]) / w.udp(),
    ),
    "IPv6 destination options": (
        ("extension-header",),
        lambda w: w.ether() / IPv6(src=w.me["v6"], dst=layout.FOREIGN6) / IPv6ExtHdrDestOpt() / w.udp(),
    ),
    "an IPv6 fragment": (
        ("extension-header", "fragment"),
        lambda w: w.ether() / IPv6(src=w.me["v6"], dst=layout.FOREIGN6) / IPv6ExtHdrFragment(m=1) / w.udp(),
    ),
    "GRE": (("ip-protocol",), lambda w: w.ether() / IP(src=w.me["v4"], dst=layout.FOREIGN4, proto=47) / MARKER),
    "an ARP claim to the gateway's address": (
        ("arp-claim",),
        lambda w: w.ether(dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=w.me["mac"], psrc=layout.DMZ4, pdst=w.other["v4"]) / MARKER,
    ),
    "an ARP claim to another device's address": (
        ("arp-claim",),
        lambda w: w.ether() / ARP(op=2, hwsrc=w.me["mac"], psrc=w.other["v4"], pdst=layout.DMZ4) / MARKER,
    ),
    "an ND claim to another device's address": (
        ("nd-claim", "spoofed-ip"),
        lambda w: (
            w.ether()
            / IPv6(src=w.me["v6"], dst=layout.DMZ6, hlim=255)
            / ICMPv6ND_NA(tgt=w.other["v6"], R=0, S=0, O=1)
            / ICMPv6NDOptDstLLAddr(lladdr=w.me["mac"])
        ),
    ),
    "a router advertisement": (
        ("router-advertisement",),
        lambda w: (
            w.ether(dst="33:33:00:00:00:01")
            / IPv6(src="fe80::4d:75ff:fe64:1", dst="ff02::1", hlim=255)
            / ICMPv6ND_RA()
            / ICMPv6NDOptPrefixInfo(prefix="2001:db8:66::", prefixlen=64)
        ),
    ),
    "a DHCP server's offer": (
        ("dhcp-answer",),
        lambda w: (
            w.ether(dst="ff:ff:ff:ff:ff:ff")
            / IP(src=w.me["v4"], dst="255.255.255.255")
            / UDP(sport=67, dport=68)
            / BOOTP(op=2, yiaddr="10.77.0.200")
            / DHCP(options=[("message-type", "offer"), "end"])
            / MARKER
        ),
    ),
    "straight to another device's MAC": (
        (),  # isolated ports: the bridge drops it, nobody counts
        lambda w: w.ether(dst=w.other["mac"]) / IP(src=w.me["v4"], dst=w.other["v4"]) / w.udp(),
    ),
    "another device through the gateway": (("to-device",), lambda w: w.ether() / IP(src=w.me["v4"], dst=w.other["v4"]) / w.udp()),
    "a lone SYN-ACK to the LAN": (
        ("to-lan",),
        lambda w: w.ether() / IP(src=w.me["v4"], dst="192.168.77.10") / TCP(sport=80, dport=50000, flags="SA") / MARKER,
    ),
}


@pytest.fixture(scope="module", autouse=True)
def heard(here: Here) -> None:
    """Whose address is lied about has spoken lately: one that was long silent has no seat at its port that could be kept."""
    assert 200 <= status_of(here.curl(2)) < 300


@pytest.mark.parametrize("name", FRAMES, ids=lambda name: name.replace(" ", "-"))
def test_a_lying_frame_comes_out_nowhere(here: Here, name: str) -> None:
    reasons, build = FRAMES[name]
    wire = Wire(here, here.device(1), here.device(2), here.facts["gateway"]["macs"]["dmz0"])
    frame = bytes(build(wire))
    watched = (layout.INTERNET, layout.LAPTOP, layout.namespace(2), layout.namespace(3), layout.namespace(4))
    before = total(here)
    captures = [Capture(namespace) for namespace in watched]
    for capture in captures:
        capture.__enter__()
    try:
        with socket_in(layout.namespace(1), socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("eth0", 0))
            for _ in range(3):
                raw.send(frame)
        if reasons:
            eventually(
                lambda: any(total(here).get(r, 0) > before.get(r, 0) for r in reasons), f"{reasons} counted; now {total(here)}"
            )
    finally:
        for capture in captures:
            capture.__exit__()
    payload = MARKER if MARKER in frame else frame[14:]
    seen = {namespace: list(map(str, c.with_marker(payload))) for namespace, c in zip(watched, captures, strict=True)}
    assert {namespace: frames for namespace, frames in seen.items() if frames} == {}


def test_a_device_that_falls_silent_makes_the_kernel_tell_nobody(here: Here) -> None:
    """It opens a connection to a stranger and answers no neighbour solicitation: the door's SYN-ACK, which leaves from the
    stranger's address, cannot be delivered, and the kernel would tell "the sender" so, on the WAN, with the packet inside.
    """
    silent = "fd4d:7564:726d:2::5:1e47"
    frame = Ether(src=here.device(1)["mac"], dst=here.facts["gateway"]["macs"]["dmz0"])
    frame = frame / IPv6(src=silent, dst=layout.FOREIGN6) / TCP(sport=4444, dport=443, flags="S", seq=1)

    def neighbour() -> str:
        return run("ip", "-n", layout.GATEWAY, "-6", "neighbour", "show", silent, "dev", "dmz0")

    with (
        Capture(layout.INTERNET) as wan,
        Capture(layout.LAPTOP) as lan,
        socket_in(layout.namespace(1), socket.AF_PACKET, socket.SOCK_RAW) as raw,
    ):
        raw.bind(("eth0", 0))
        raw.send(bytes(frame))
        eventually(lambda: neighbour() != "", "the gateway looks for the device")
        eventually(lambda: "INCOMPLETE" not in neighbour(), "and gives up", timeout=20)
    inner = socket.inet_pton(socket.AF_INET6, silent)
    assert list(map(str, wan.with_marker(inner))) == []
    assert list(map(str, lan.with_marker(inner))) == []


def test_others_are_served_after_all_the_lies(here: Here) -> None:
    for number in (1, 2):
        eventually(lambda number=number: 200 <= status_of(here.curl(number)) < 300, f"device {number} is served", timeout=20)


def total(here: Here) -> dict[str, int]:
    """Drops by reason over all devices: a liar is not counted under its own name."""
    counts: dict[str, int] = {}
    for row in here.drops():
        counts[row["reason"]] = counts.get(row["reason"], 0) + row["count"]
    return counts


def test_a_stranger_that_invents_addresses_uses_up_only_the_strangers_leases(here: Here) -> None:
    """Three hundred invented MACs ask for leases; an admitted device that comes new still gets one."""
    import contextlib
    import time

    from tests.home.client import mudroom, run_in

    def discover(number: int) -> bytes:
        mac = f"02:de:ad:00:{number >> 8:02x}:{number & 255:02x}"
        raw_mac = bytes.fromhex(mac.replace(":", ""))
        ether = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")
        packet = ether / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)
        # as after a reboot: one packet is enough for a lease (RFC 2131, section 3.2)
        options = [("message-type", "request"), ("requested_addr", f"10.77.0.{16 + number * 5 % 224}"), "end"]
        return bytes(packet / BOOTP(chaddr=raw_mac, xid=number) / DHCP(options=options))

    leases = layout.STATE / "state" / "dhcp" / "leases"
    # from device 2's port: the guard gives a port only so many hardware addresses, and other tests use up those of ports 1 and 4
    with socket_in(layout.namespace(2), socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0))
        for turn in range(2):
            for number in range(300):
                with contextlib.suppress(OSError):
                    raw.send(discover(number))
                time.sleep(0.006)  # under the strangers' allowance, so that dnsmasq hears them
            eventually(lambda: leases.read_text().count("02:de:ad") > 5, f"dnsmasq leased to strangers (turn {turn})")
    fresh = "02:4d:75:64:00:99"
    mudroom("devices", "add", "newcomer", "--mac", fresh, "--name", "Newcomer")
    try:
        # device 3 comes back as the newcomer, with a new MAC and no lease
        run_in(layout.namespace(3), "ip", "link", "add", "link", "eth0", "name", "new0", "address", fresh, "type", "macvlan")
        run_in(layout.namespace(3), "ip", "link", "set", "new0", "up")
        done = run_in(
            layout.namespace(3), "udhcpc", "-i", "new0", "-n", "-q", "-t", "5", "-T", "2", "-s", "/bin/true", timeout=20
        )
        assert "lease of 10.77.0." in done.err + done.out, done
    finally:
        run_in(layout.namespace(3), "ip", "link", "del", "new0")
        mudroom("devices", "forget", "newcomer")
    outside = [
        line for line in leases.read_text().splitlines() if "02:de:ad" in line and int(line.split()[2].split(".")[3]) < 184
    ]
    assert outside == []
