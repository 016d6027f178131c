"""Packet by packet: description, sender, packet, expected reason. Every reason that the kernel can give has a row."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from gateway.reasons import Reason as R
from gateway.steering import layout
from gateway.steering.loader import Steer
from tests.ebpf import run
from tests.ebpf.run import LINK_LOCAL, LOCAL, OUR4, OUR6, PREFIX6, QUARANTINED, SECOND, STANDARD, STRANGER, UNKNOWN

WORLD4, WORLD6 = "198.51.100.7", "2001:db8:1::7"
POOL4 = "10.127.0.10"
LAN_HOST4, LAN_HOST6 = "192.168.77.50", "fd4d:7564:726d:1::50"
GW = run.GATEWAY_MAC
ME, ME4 = STANDARD[0], STANDARD[2]
ME6, OTHER6 = f"{PREFIX6}21", f"{PREFIX6}22"
LL6 = "fe80::21"
BROADCAST = "ff:ff:ff:ff:ff:ff"


def eth(dst: str = GW, src: str = ME, **more: object) -> Ether:
    return Ether(src=src, dst=dst, **more)


def v4(dst: str, sender: tuple = STANDARD, **more: object) -> Packet:  # type: ignore[type-arg]
    return eth(src=sender[0]) / IP(**{"src": sender[2] or "10.77.0.99", "dst": dst, **more})


def v6(dst: str, src: str = ME6, mac: str = ME, to: str = GW, **more: object) -> Packet:
    return eth(dst=to, src=mac) / IPv6(src=src, dst=dst, **more)


def dhcp(
    mac: str = ME, src: str = "0.0.0.0", dst: str = "255.255.255.255", chaddr: str | None = None, op: int = 1, **more: object
) -> Packet:
    hardware = bytes.fromhex((chaddr or mac).replace(":", ""))
    return (
        eth(dst=BROADCAST if dst == "255.255.255.255" else GW, src=mac)
        / IP(src=src, dst=dst)
        / UDP(sport=68, dport=67)
        / BOOTP(op=op, chaddr=hardware, xid=7, **more)
        / DHCP(options=[("message-type", "discover"), "end"])
    )


def arp(psrc: str = ME4, pdst: str = OUR4, mac: str = ME, hwsrc: str | None = None, op: int = 1) -> Packet:
    return eth(dst=BROADCAST if op == 1 else GW, src=mac) / ARP(op=op, hwsrc=hwsrc or mac, psrc=psrc, pdst=pdst)


def solicited(target: str) -> str:
    return str(IPv6Address(int(IPv6Address("ff02::1:ff00:0")) | int(IPv6Address(target)) & 0xFFFFFF))


def ns(target: str, src: str = LL6, dst: str | None = None, mac: str = ME, slla: str | None = "own", hlim: int = 255) -> Packet:
    packet = v6(dst or solicited(target), src, mac, to="33:33:ff:00:00:01", hlim=hlim) / ICMPv6ND_NS(tgt=target)
    return packet / ICMPv6NDOptSrcLLAddr(lladdr=mac if slla == "own" else slla) if slla else packet


def na(target: str, src: str | None = None, dst: str = "ff02::1", mac: str = ME, tlla: str | None = "own", r: int = 0) -> Packet:
    packet = v6(dst, src or target, mac, to="33:33:00:00:00:01", hlim=255) / ICMPv6ND_NA(tgt=target, R=r)
    return packet / ICMPv6NDOptDstLLAddr(lladdr=mac if tlla == "own" else tlla) if tlla else packet


class Row(NamedTuple):
    what: str
    packet: Packet | bytes
    reason: R
    before: Packet | None = None  # sent first


def cut(packet: Packet, length: int) -> bytes:
    return bytes(packet)[:length]


def patched(packet: Packet, offset: int, value: bytes) -> bytes:
    data = bytearray(bytes(packet))
    data[offset : offset + len(value)] = value
    return bytes(data)


QUESTION = Raw(b"\0" * 17)
ROWS = [
    # where a standard device's packets go
    Row("HTTPS to an approved name's address", v4(POOL4) / TCP(sport=4000, dport=443), R.PASS_DOOR),
    Row("TCP to anywhere", v4(WORLD4) / TCP(sport=4000, dport=80), R.PASS_DOOR),
    Row("TCP data", v4(WORLD4) / TCP(sport=4000, dport=80, flags="PA") / Raw(b"x"), R.PASS_DOOR),
    Row("TCP over IPv6", v6(WORLD6) / TCP(sport=4000, dport=443), R.PASS_DOOR),
    Row("SSH to the world is the door's too", v4(WORLD4) / TCP(sport=4000, dport=22), R.PASS_DOOR),
    Row("DNS to the gateway", v4(OUR4) / UDP(sport=4000, dport=53) / QUESTION, R.PASS_NAMES),
    Row("DNS to the gateway, TCP", v4(OUR4) / TCP(sport=4000, dport=53), R.PASS_NAMES),
    Row("DNS to the gateway, IPv6", v6(OUR6) / UDP(sport=4000, dport=53) / QUESTION, R.PASS_NAMES),
    Row("DNS to its link-local address", v6(LINK_LOCAL, LL6) / UDP(sport=4000, dport=53) / QUESTION, R.PASS_NAMES),
    Row("DNS to a foreign resolver", v4("8.8.8.8") / UDP(sport=4000, dport=53) / QUESTION, R.PASS_NAMES_FOREIGN),
    Row("the same over TCP and IPv6", v6(WORLD6) / TCP(sport=4000, dport=53), R.PASS_NAMES_FOREIGN),
    Row("DHCP discover", dhcp(), R.PASS_DHCP),
    Row("DHCP renewal", dhcp(src=ME4, dst=OUR4, ciaddr=ME4), R.PASS_DHCP),
    Row("ARP for the gateway", arp(), R.PASS_ARP),
    Row("ARP probe for its own lease", arp(psrc="0.0.0.0", pdst=ME4), R.PASS_ARP),
    Row("ARP announcement", arp(pdst=ME4), R.PASS_ARP),
    Row("ARP answer to the gateway", arp(op=2), R.PASS_ARP),
    Row("duplicate address detection", ns(ME6, src="::", slla=None), R.PASS_ND),
    Row("neighbour solicitation for the gateway", ns(OUR6), R.PASS_ND),
    Row("neighbour advertisement of its own", na(LL6), R.PASS_ND),
    Row("router solicitation", v6("ff02::2", LL6, to="33:33:00:00:00:02", hlim=255) / ICMPv6ND_RS(), R.PASS_ND),
    Row("router solicitation from ::", v6("ff02::2", "::", to="33:33:00:00:00:02", hlim=255) / ICMPv6ND_RS(), R.PASS_ND),
    Row("ping of the gateway", v4(OUR4) / ICMP(), R.PASS_PING),
    Row("ping of the gateway, IPv6", v6(OUR6) / ICMPv6EchoRequest(), R.PASS_PING),
    Row("the gateway's time", v4(OUR4) / UDP(sport=123, dport=123), R.PASS_NTP),
    Row("the gateway's time, IPv6", v6(OUR6) / UDP(sport=123, dport=123), R.PASS_NTP),
    # frames
    Row("a tag left in the packet", eth() / Dot1Q(vlan=5) / IP(src=ME4, dst=WORLD4) / TCP(), R.VLAN_TAG),
    Row("a provider's tag", eth(type=0x88A8) / Raw(b"\0" * 46), R.VLAN_TAG),
    Row("LLDP", eth(type=0x88CC) / Raw(b"\0" * 46), R.ETHERTYPE),
    Row("802.3 with a length", eth(type=0x0026) / Raw(b"\0" * 46), R.ETHERTYPE),
    Row("the gateway's own MAC", eth(src=GW) / IP(src=OUR4, dst=WORLD4) / TCP(), R.SPOOFED_MAC),
    Row("a group MAC as sender", eth(src="03:00:00:00:00:01") / IP(src=ME4, dst=WORLD4) / TCP(), R.SPOOFED_MAC),
    Row("another's MAC inside DHCP", dhcp(chaddr=SECOND[0]), R.SPOOFED_MAC),
    Row("a frame to another device", eth(dst=SECOND[0]) / IP(src=ME4, dst=WORLD4) / TCP(), R.TO_DEVICE),
    # addresses that are not its own
    Row("another's lease", v4(WORLD4, src=SECOND[2]) / TCP(), R.SPOOFED_IP),
    Row("an address outside the DMZ", v4(WORLD4, src="8.8.8.8") / TCP(), R.SPOOFED_IP),
    Row("no address, not DHCP", v4(WORLD4, src="0.0.0.0") / TCP(), R.SPOOFED_IP),
    Row("a ciaddr that is not its lease", dhcp(ciaddr=SECOND[2]), R.SPOOFED_IP),
    Row("a relay's DHCP", dhcp(giaddr="192.168.77.5"), R.SPOOFED_IP),
    Row("an IPv6 address outside the DMZ", v6(WORLD6, "2001:db8:5::5") / TCP(), R.SPOOFED_IP),
    Row("the gateway's IPv6 address", v6(WORLD6, OUR6) / TCP(), R.SPOOFED_IP),
    Row("an unspecified IPv6 address", v6(OUR6, "::") / UDP(sport=1, dport=53), R.SPOOFED_IP),
    Row(
        "another's IPv6 address",
        v6(WORLD6, OTHER6) / TCP(),
        R.SPOOFED_IP,
        before=v6(OUR6, OTHER6, SECOND[0]) / ICMPv6EchoRequest(),
    ),
    # malformed
    Row("IPv4 longer than the frame", v4(WORLD4, len=200) / TCP(), R.MALFORMED),
    Row("IPv4 of version 6", v4(WORLD4, version=6) / TCP(), R.MALFORMED),
    Row("IPv4 header of 16 bytes", v4(WORLD4, ihl=4) / TCP(), R.MALFORMED),
    Row("the reserved flag", v4(WORLD4, flags="evil") / TCP(), R.MALFORMED),
    Row("TCP cut short", cut(v4(WORLD4, len=30) / TCP(), 44), R.MALFORMED),
    Row("TCP header of 16 bytes", v4(WORLD4) / TCP(dataofs=4), R.MALFORMED),
    Row("TCP port 0", v4(WORLD4) / TCP(dport=0), R.MALFORMED),
    Row("UDP longer than its packet", v4(OUR4) / UDP(dport=53, len=99), R.MALFORMED),
    Row("IPv6 longer than the frame", v6(WORLD6, plen=99) / TCP(), R.MALFORMED),
    Row("IPv6 of version 4", patched(v6(WORLD6) / TCP(), 14, b"\x40"), R.MALFORMED),
    Row("ARP for Token Ring", eth(dst=BROADCAST) / ARP(hwtype=6, hwsrc=ME, psrc=ME4, pdst=OUR4), R.MALFORMED),
    Row("ARP cut short", cut(arp(), 30), R.MALFORMED),
    Row("neighbour discovery from afar", ns(OUR6, hlim=64), R.MALFORMED),
    Row("an ND option without length", patched(ns(OUR6), 14 + 40 + 25, b"\0"), R.MALFORMED),
    Row("DHCP without its body", v4("255.255.255.255", src="0.0.0.0") / UDP(sport=68, dport=67) / Raw(b"\1"), R.MALFORMED),
    # what routers would mind
    Row("first fragment", v4(WORLD4, flags="MF") / TCP(), R.FRAGMENT),
    Row("last fragment", v4(WORLD4, frag=100) / Raw(b"x" * 40), R.FRAGMENT),
    Row("IPv6 fragment", v6(WORLD6) / IPv6ExtHdrFragment() / TCP(), R.FRAGMENT),
    Row("router alert", v4(WORLD4, options=[IPOption_Router_Alert()]) / TCP(), R.IP_OPTIONS),
    Row("destination options", v6(WORLD6) / IPv6ExtHdrDestOpt() / TCP(), R.EXTENSION_HEADER),
    Row("MLD", v6("ff02::16", LL6, to="33:33:00:00:00:16") / IPv6ExtHdrHopByHop() / ICMPv6MLReport2(), R.EXTENSION_HEADER),
    Row("ESP", v6(WORLD6, nh=50) / Raw(b"x" * 20), R.EXTENSION_HEADER),
    Row("GRE", v4(WORLD4, proto=47) / Raw(b"x" * 20), R.IP_PROTOCOL),
    Row("IGMP", v4("224.0.0.22", proto=2) / Raw(b"x" * 8), R.IP_PROTOCOL),
    Row("SCTP over IPv6", v6(WORLD6, nh=132) / Raw(b"x" * 20), R.IP_PROTOCOL),
    # ways out by UDP and ICMP
    Row("QUIC", v4(WORLD4) / UDP(sport=4000, dport=443), R.QUIC),
    Row("QUIC, IPv6", v6(WORLD6) / UDP(sport=4000, dport=443), R.QUIC),
    Row("DNS over TLS", v4("1.1.1.1") / TCP(sport=4000, dport=853), R.DOT),
    Row("DNS over QUIC", v4("1.1.1.1") / UDP(sport=4000, dport=853), R.DOT),
    Row("DNS over TLS, IPv6", v6(WORLD6) / TCP(sport=4000, dport=853), R.DOT),
    Row("LLMNR to one machine", v4(WORLD4) / UDP(sport=4000, dport=5355), R.FOREIGN_DNS),
    Row("NetBIOS names", v4(WORLD4) / UDP(sport=137, dport=137), R.FOREIGN_DNS),
    Row("mDNS to one machine, IPv6", v6(WORLD6) / UDP(sport=5353, dport=5353), R.FOREIGN_DNS),
    Row("another's time", v4(WORLD4) / UDP(sport=123, dport=123), R.FOREIGN_NTP),
    Row("another's time, IPv6", v6(WORLD6) / UDP(sport=123, dport=123), R.FOREIGN_NTP),
    Row("WireGuard", v4(WORLD4) / UDP(sport=4000, dport=51820), R.FOREIGN_UDP),
    Row("STUN, IPv6", v6(WORLD6) / UDP(sport=4000, dport=3478), R.FOREIGN_UDP),
    Row("ping of the world", v4(WORLD4) / ICMP() / Raw(b"secret"), R.FOREIGN_ICMP),
    Row("timestamp asked of the gateway", v4(OUR4) / ICMP(type=13), R.FOREIGN_ICMP),
    Row("ping of the world, IPv6", v6(WORLD6) / ICMPv6EchoRequest(), R.FOREIGN_ICMP),
    # multicast
    Row("mDNS", eth(dst="01:00:5e:00:00:fb") / IP(src=ME4, dst="224.0.0.251") / UDP(sport=5353, dport=5353), R.MULTICAST),
    Row("SSDP", eth(dst="01:00:5e:7f:ff:fa") / IP(src=ME4, dst="239.255.255.250") / UDP(dport=1900), R.MULTICAST),
    Row("subnet broadcast", eth(dst=BROADCAST) / IP(src=ME4, dst="10.77.0.255") / UDP(dport=9999), R.MULTICAST),
    Row("unicast IP in a broadcast frame", eth(dst=BROADCAST) / IP(src=ME4, dst=OUR4) / UDP(dport=53), R.MULTICAST),
    Row("mDNS, IPv6", v6("ff02::fb", LL6, to="33:33:00:00:00:fb") / UDP(sport=5353, dport=5353), R.MULTICAST),
    Row("ping of all nodes", v6("ff02::1", LL6, to="33:33:00:00:00:01") / ICMPv6EchoRequest(), R.MULTICAST),
    Row("DHCPv6 asks", v6("ff02::1:2", LL6, to="33:33:00:01:00:02") / UDP(sport=546, dport=547), R.MULTICAST),
    # claims
    Row("ARP with another's MAC inside", arp(hwsrc=SECOND[0]), R.ARP_CLAIM),
    Row("ARP for another's lease", arp(psrc=SECOND[2]), R.ARP_CLAIM),
    Row("ARP as the gateway", arp(psrc=OUR4, pdst=ME4, op=2), R.ARP_CLAIM),
    Row("ARP answer from nobody", arp(psrc="0.0.0.0", op=2), R.ARP_CLAIM),
    Row("ND claim to the gateway's address", ns(OUR6, src="::", slla=None), R.ND_CLAIM),
    Row("ND claim to a foreign address", ns(WORLD6, src="::", slla=None), R.ND_CLAIM),
    Row("ND with another's MAC inside", ns(OUR6, slla=SECOND[0]), R.ND_CLAIM),
    Row("NA with another's MAC inside", na(LL6, tlla=SECOND[0]), R.ND_CLAIM),
    Row("NA for an address it never had", na(OTHER6, src=LL6), R.ND_CLAIM),
    Row(
        "ND claim to another's address",
        ns(OTHER6, src="::", slla=None),
        R.ND_CLAIM,
        before=ns(OTHER6, src="::", slla=None, mac=SECOND[0]),
    ),
    # posing
    Row("router advertisement", v6("ff02::1", LL6, to="33:33:00:00:00:01", hlim=255) / ICMPv6ND_RA(), R.ROUTER_ADVERTISEMENT),
    Row("IPv6 redirect", v6(OUR6, LL6, hlim=255) / ICMPv6ND_Redirect(), R.ROUTER_ADVERTISEMENT),
    Row("IPv4 redirect", v4(OUR4) / ICMP(type=5), R.ROUTER_ADVERTISEMENT),
    Row("a neighbour that says it routes", na(LL6, r=1), R.ROUTER_ADVERTISEMENT),
    Row("DHCP offer", v4("255.255.255.255") / UDP(sport=67, dport=68), R.DHCP_ANSWER),
    Row("a reply in a client's clothes", dhcp(op=2), R.DHCP_ANSWER),
    Row("DHCPv6 answer", v6(OTHER6) / UDP(sport=547, dport=546), R.DHCP_ANSWER),
    # where it may not go
    Row("TCP to another device", v4(SECOND[2]) / TCP(), R.TO_DEVICE),
    Row("DNS to another device", v4(SECOND[2]) / UDP(dport=53), R.TO_DEVICE),
    Row("ping of another device", v4(SECOND[2]) / ICMP(), R.TO_DEVICE),
    Row("ARP for another device", arp(pdst=SECOND[2]), R.TO_DEVICE),
    Row("TCP to another device, IPv6", v6(OTHER6) / TCP(), R.TO_DEVICE),
    Row("TCP to a foreign link-local address", v6("fe80::22", LL6) / TCP(), R.TO_DEVICE),
    Row("ND for another device", ns(OTHER6), R.TO_DEVICE),
    Row("TCP to the LAN", v4(LAN_HOST4) / TCP(), R.TO_LAN),
    Row("DNS to the LAN", v4(LAN_HOST4) / UDP(dport=53), R.TO_LAN),
    Row("ping of the LAN", v4(LAN_HOST4) / ICMP(), R.TO_LAN),
    Row("TCP to the LAN, IPv6", v6(LAN_HOST6) / TCP(), R.TO_LAN),
    Row("the gateway's SSH", v4(OUR4) / TCP(dport=22), R.TO_GATEWAY),
    Row("enrolment", v4(OUR4) / TCP(dport=443), R.PASS_ENROLMENT),
    Row("enrolment over IPv6", v6(OUR6) / TCP(dport=443), R.PASS_ENROLMENT),
    Row("another port of the gateway", v4(OUR4) / TCP(dport=444), R.TO_GATEWAY),
    Row("the gateway's WAN address", v4(run.WAN4) / TCP(dport=443), R.TO_GATEWAY),
    Row("the gateway's LAN address", v4(run.LAN4) / UDP(dport=53), R.TO_GATEWAY),
    Row("loopback", v4("127.0.0.1") / TCP(dport=80), R.TO_GATEWAY),
    Row("the gateway's SNMP", v4(OUR4) / UDP(dport=161), R.TO_GATEWAY),
    Row("the gateway's SSH, IPv6", v6(OUR6) / TCP(dport=22), R.TO_GATEWAY),
    Row("the gateway's WAN address, IPv6", v6(run.WAN6) / TCP(dport=443), R.TO_GATEWAY),
    Row("loopback, IPv6", v6("::1") / TCP(dport=443), R.TO_GATEWAY),
    Row("v4-mapped", v6("::ffff:192.168.77.50") / TCP(dport=443), R.TO_GATEWAY),
    # other kinds
    Row("unknown: TCP", v4(WORLD4, UNKNOWN) / TCP(), R.UNKNOWN_DEVICE),
    Row("unknown: our resolver", v4(OUR4, UNKNOWN) / UDP(dport=53), R.PASS_NAMES),
    Row("unknown: our resolver, TCP", v4(OUR4, UNKNOWN) / TCP(dport=53), R.UNKNOWN_DEVICE),
    Row("unknown: a foreign resolver", v4(WORLD4, UNKNOWN) / UDP(dport=53), R.UNKNOWN_DEVICE),
    Row("unknown: enrolment", v4(OUR4, UNKNOWN) / TCP(dport=443), R.PASS_ENROLMENT),
    Row("unknown: enrolment over IPv6", v6(OUR6, f"{PREFIX6}24", UNKNOWN[0]) / TCP(dport=443), R.PASS_ENROLMENT),
    Row("unknown: ssh", v4(OUR4, UNKNOWN) / TCP(dport=22), R.UNKNOWN_DEVICE),
    Row("unknown: HTTP", v4(OUR4, UNKNOWN) / TCP(dport=80), R.UNKNOWN_DEVICE),
    Row("unknown: an approved name's address", v4(POOL4, UNKNOWN) / TCP(dport=443), R.UNKNOWN_DEVICE),
    Row("unknown: the LAN side's pages", v4(run.LAN4, UNKNOWN) / TCP(dport=443), R.UNKNOWN_DEVICE),
    Row("unknown: QUIC to enrolment", v4(OUR4, UNKNOWN) / UDP(dport=443), R.UNKNOWN_DEVICE),
    Row("unknown: time", v4(OUR4, UNKNOWN) / UDP(dport=123), R.UNKNOWN_DEVICE),
    Row("unknown: LAN", v4(LAN_HOST4, UNKNOWN) / TCP(), R.UNKNOWN_DEVICE),
    Row("unknown: TCP over IPv6", v6(WORLD6, f"{PREFIX6}24", UNKNOWN[0]) / TCP(), R.UNKNOWN_DEVICE),
    Row("unknown: DHCP", dhcp(UNKNOWN[0]), R.PASS_DHCP),
    Row("unknown: ping of the gateway", v4(OUR4, UNKNOWN) / ICMP(), R.PASS_PING),
    Row("unknown: ARP", arp(UNKNOWN[2], mac=UNKNOWN[0]), R.PASS_ARP),
    Row("unknown: ND", ns(OUR6, src="fe80::24", mac=UNKNOWN[0]), R.PASS_ND),
    Row("stranger without lease: DHCP", dhcp(STRANGER[0]), R.PASS_DHCP),
    Row("stranger without lease: TCP", v4(WORLD4, STRANGER) / TCP(), R.SPOOFED_IP),
    Row("stranger without lease: enrolment", v4(OUR4, STRANGER) / TCP(dport=443), R.SPOOFED_IP),
    Row("local: TCP", v4(WORLD4, LOCAL) / TCP(), R.LOCAL_ONLY),
    Row("local: TCP over IPv6", v6(WORLD6, f"{PREFIX6}23", LOCAL[0]) / TCP(), R.LOCAL_ONLY),
    Row("local: a foreign resolver", v4("8.8.8.8", LOCAL) / UDP(dport=53), R.LOCAL_ONLY),
    Row("local: enrolment", v4(OUR4, LOCAL) / TCP(dport=443), R.PASS_ENROLMENT),
    Row("local: our resolver", v4(OUR4, LOCAL) / UDP(dport=53), R.PASS_NAMES),
    Row("local: time", v4(OUR4, LOCAL) / UDP(dport=123), R.PASS_NTP),
    Row("quarantined: TCP", v4(WORLD4, QUARANTINED) / TCP(), R.QUARANTINED),
    Row("quarantined: DHCP", dhcp(QUARANTINED[0]), R.QUARANTINED),
    Row("quarantined: IPv6", v6(OUR6, f"{PREFIX6}25", QUARANTINED[0]) / ICMPv6EchoRequest(), R.QUARANTINED),
]
HANDED_OVER = {R.PASS_DOOR, R.PASS_ENROLMENT, R.PASS_NAMES, R.PASS_NAMES_FOREIGN}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_row(row: Row, home: Steer, send: run.Runner) -> None:
    if row.before is not None:
        assert send(bytes(row.before)).passed
    packet = bytes(row.packet)
    slot = next((d[3] for d in run.DEVICES if packet[6:12].hex(":") == d[0]), 0)
    # no listener is registered here, and bpf_sk_assign() fails under TEST_RUN anyway
    counted = R.NO_LISTENER if row.reason in HANDED_OVER else row.reason
    before = counter(home, slot, counted)
    verdict = send(packet)
    assert R.from_code(verdict.classified) is row.reason
    assert R.from_code(verdict.counted) is counted
    assert verdict.passed is counted.passes
    assert verdict.mark == 0
    assert counter(home, slot, counted) == (before[0] + 1, before[1] + len(packet))


def counter(steer: Steer, slot: int, reason: R) -> tuple[int, int]:
    data = steer.counters()
    packets = volume = 0
    for cpu in range(steer.cpus):
        at = ((cpu * steer.slots + slot) * layout.REASONS + reason.code) * layout.COUNTER.size
        found = layout.COUNTER.unpack_from(data, at)
        packets, volume = packets + found[0], volume + found[1]
    return packets, volume


# Reasons that need other settings than the rows' have tests of their own below.
ELSEWHERE: dict[R, Callable[..., None]] = {}


def shows(*reasons: R) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def mark(function: Callable[..., None]) -> Callable[..., None]:
        ELSEWHERE.update(dict.fromkeys(reasons, function))
        return function

    return mark


@shows(R.UNCONFIGURED)
def test_without_settings_nothing_passes(home: Steer, send: run.Runner) -> None:
    home.settings.set(bytes(4), layout.UNCONFIGURED)
    assert send(bytes(arp())) == run.Verdict(False, R.UNCONFIGURED.code, R.UNCONFIGURED.code, 0)


def test_without_a_living_user_space_nothing_passes(home: Steer, send: run.Runner) -> None:
    assert send(bytes(arp())).passed
    home.alive.set(bytes(4), (1).to_bytes(8, "little"))
    assert send(bytes(arp())) == run.Verdict(False, R.UNCONFIGURED.code, R.UNCONFIGURED.code, 0)


@shows(R.NO_LISTENER)
def test_without_a_listener_the_packet_is_dropped(send: run.Runner) -> None:
    for packet in (v4(WORLD4) / TCP(), v4(OUR4) / UDP(dport=53), v6(WORLD6) / TCP(), v6(OUR6) / UDP(dport=53)):
        verdict = send(bytes(packet))
        assert (verdict.passed, R.from_code(verdict.counted)) == (False, R.NO_LISTENER)


@shows(R.RATE_DEVICE)
def test_a_device_may_send_so_many_packets_and_no_more(home: Steer, send: run.Runner) -> None:
    limited(home, packets_per_second=1, packets_burst=3)
    dropped = bytes(v4(WORLD4) / UDP(sport=4000, dport=443))
    seen = [R.from_code(send(dropped).classified) for _ in range(5)]
    assert seen == [R.QUIC] * 3 + [R.RATE_DEVICE] * 2
    assert send(bytes(v4(WORLD4, SECOND) / UDP(sport=4000, dport=443))).classified == R.QUIC.code


def test_openings_have_a_smaller_allowance(home: Steer, send: run.Runner) -> None:
    limited(home, control_per_second=1, control_burst=2)
    for packet in (v4(OUR4) / UDP(dport=53), arp(), v6(OUR6) / ICMPv6EchoRequest(), v4(OUR4) / UDP(dport=123)):
        home.control_meter.set((1).to_bytes(4, "little"), bytes(8))
        seen = [R.from_code(send(bytes(packet)).classified) for _ in range(3)]
        assert seen[:2] == [seen[0]] * 2
        assert seen[2] is R.RATE_DEVICE
    # data of a connection is no opening
    assert send(bytes(v4(WORLD4) / TCP(flags="A"))).classified == R.PASS_DOOR.code
    assert send(bytes(v4(WORLD4) / TCP(flags="S"))).classified == R.RATE_DEVICE.code


@shows(R.RATE_STRANGERS)
def test_invented_macs_share_one_allowance(home: Steer, send: run.Runner) -> None:
    limited(home, strangers_per_second=3)
    packets = [bytes(dhcp(f"02:99:00:00:00:{number:02x}")) for number in range(5)]
    seen = [R.from_code(send(packet).classified) for packet in packets]
    assert seen == [R.PASS_DHCP] * 3 + [R.RATE_STRANGERS] * 2
    assert send(bytes(arp(UNKNOWN[2], mac=UNKNOWN[0]))).classified == R.RATE_STRANGERS.code
    assert send(bytes(arp())).passed


def test_strangers_openings_have_an_allowance_of_their_own(home: Steer, send: run.Runner) -> None:
    for packet in (v4(OUR4, UNKNOWN) / TCP(dport=443, flags="S"), v4(OUR4, UNKNOWN) / UDP(dport=53)):
        limited(home, strangers_openings_per_second=2)
        seen = [R.from_code(send(bytes(packet)).classified) for _ in range(3)]
        assert seen == [seen[0]] * 2 + [R.RATE_STRANGERS]
    # what belongs to a connection goes on, and so do admitted devices
    assert send(bytes(v4(OUR4, UNKNOWN) / TCP(dport=443, flags="A"))).classified == R.PASS_ENROLMENT.code
    assert send(bytes(v4(OUR4) / TCP(dport=443, flags="S"))).classified == R.PASS_ENROLMENT.code


def test_an_admitted_device_pays_for_openings_to_enrolment(home: Steer, send: run.Runner) -> None:
    limited(home, control_per_second=1, control_burst=2)
    seen = [R.from_code(send(bytes(v4(OUR4) / TCP(dport=443, flags="S"))).classified) for _ in range(3)]
    assert seen == [R.PASS_ENROLMENT, R.PASS_ENROLMENT, R.RATE_DEVICE]
    limited(home)


def limited(home: Steer, **steering: int) -> None:
    run.furnish(home, run.config(**steering))
    for slot in range(8):
        for meter in (home.packet_meter, home.control_meter):
            meter.set(slot.to_bytes(4, "little"), bytes(8))


def test_foreign_resolvers_can_be_refused(home: Steer, send: run.Runner) -> None:
    run.furnish(home, run.config(foreign_dns="drop"))
    assert send(bytes(v4("8.8.8.8") / UDP(dport=53))).classified == R.FOREIGN_DNS.code
    assert send(bytes(v6(WORLD6) / TCP(dport=53))).classified == R.FOREIGN_DNS.code
    assert send(bytes(v4(OUR4) / UDP(dport=53))).classified == R.PASS_NAMES.code


FLOWS = [
    (
        "TCP",
        eth(dst=ME, src=GW) / IP(src=LAN_HOST4, dst=ME4) / TCP(sport=5000, dport=80),
        v4(LAN_HOST4) / TCP(sport=80, dport=5000, flags="SA"),
        v4(LAN_HOST4) / TCP(sport=80, dport=5001, flags="SA"),
    ),
    (
        "UDP, IPv6",
        eth(dst=ME, src=GW) / IPv6(src=LAN_HOST6, dst=ME6) / UDP(sport=5000, dport=5683),
        v6(LAN_HOST6) / UDP(sport=5683, dport=5000),
        v6(LAN_HOST6) / UDP(sport=5684, dport=5000),
    ),
    (
        "echo",
        eth(dst=ME, src=GW) / IP(src=LAN_HOST4, dst=ME4) / ICMP(type=8, id=9),
        v4(LAN_HOST4) / ICMP(type=0, id=9),
        v4(LAN_HOST4) / ICMP(type=8, id=9),
    ),
    (
        "echo, IPv6",
        eth(dst=ME, src=GW) / IPv6(src=LAN_HOST6, dst=ME6) / ICMPv6EchoRequest(id=9),
        v6(LAN_HOST6) / ICMPv6EchoReply(id=9),
        v6(LAN_HOST6) / ICMPv6EchoReply(id=10),
    ),
]


@pytest.fixture
def opens(home: Steer, send: run.Runner) -> Callable[..., bool]:
    """Whether a frame from the LAN goes out to a device, as ``MARK_LAN`` and the LAN's interface say; no flow is known yet."""
    for key, _ in list(home.flows.items()):
        home.flows.delete(key)
    assert send(bytes(v6(OUR6) / ICMPv6EchoRequest())).passed  # the address is its own: it used it
    record = run.Runner(home.egress)
    return lambda frame, ingress=run.LAN_INDEX, mark=layout.MARK_LAN: record(bytes(frame), ingress=ingress, mark=mark).passed


@shows(R.PASS_REPLY)
@pytest.mark.parametrize(("what", "opening", "reply", "other"), FLOWS, ids=[flow[0] for flow in FLOWS])
def test_what_the_lan_opened_may_be_answered(
    what: str, opening: Packet, reply: Packet, other: Packet, send: run.Runner, opens: Callable[..., bool]
) -> None:
    assert send(bytes(reply)).classified == R.TO_LAN.code
    assert not opens(opening, ingress=run.LAN_INDEX + 1), "forwarded from elsewhere"
    assert not opens(opening, mark=0), "nobody let this LAN host in"
    assert not opens(opening, mark=layout.MARK_REPLY)
    assert send(bytes(reply)).classified == R.TO_LAN.code
    assert opens(opening)
    assert send(bytes(reply)) == run.Verdict(True, R.PASS_REPLY.code, R.PASS_REPLY.code, layout.MARK_REPLY)
    assert send(bytes(other)).classified == R.TO_LAN.code
    stolen = bytearray(bytes(reply))
    stolen[6:12] = bytes.fromhex(SECOND[0].replace(":", ""))
    assert not send(bytes(stolen)).passed
    if reply.haslayer(TCP):
        reply = reply.copy()
        reply[TCP].flags = "S"
        assert send(bytes(reply)).classified == R.TO_LAN.code, "an answer opens nothing"


@pytest.mark.parametrize(("what", "opening", "reply", "other"), FLOWS, ids=[flow[0] for flow in FLOWS])
def test_only_the_lan_keeps_a_flow_alive(
    what: str, opening: Packet, reply: Packet, other: Packet, home: Steer, send: run.Runner, opens: Callable[..., bool]
) -> None:
    assert opens(opening)
    ((key, _),) = home.flows.items()
    old = (time.monotonic_ns() - 60 * layout.NANO).to_bytes(8, "little")
    home.flows.set(key, old)
    assert send(bytes(reply)).passed
    assert home.flows.get(key) == old
    assert opens(opening)
    assert home.flows.get(key) != old


def test_a_flow_runs_out(home: Steer, send: run.Runner, opens: Callable[..., bool]) -> None:
    _, opening, reply, _ = FLOWS[1]
    assert opens(opening)
    for key, _ in list(home.flows.items()):
        home.flows.set(key, (1).to_bytes(8, "little"))
    assert send(bytes(reply)).classified == R.TO_LAN.code


def write(home: Steer, sender: tuple = STANDARD, **fields: object) -> None:  # type: ignore[type-arg]
    """A device's entry as steering would write it."""
    mac, kind, lease, slot, worker = sender
    entry = layout.Device(**{"slot": slot, "kind": kind, "worker": worker, "ip4": IPv4Address(lease), "lan": True, **fields})  # type: ignore[arg-type]
    home.devices.set(layout.mac_number(mac).to_bytes(8, "little"), entry.pack())


@pytest.mark.parametrize(("what", "opening", "reply", "other"), FLOWS, ids=[flow[0] for flow in FLOWS])
def test_what_was_opened_before_a_host_was_denied_is_over(
    what: str, opening: Packet, reply: Packet, other: Packet, home: Steer, send: run.Runner, opens: Callable[..., bool]
) -> None:
    try:
        assert opens(opening)
        write(home, since=time.monotonic_ns() + layout.NANO)  # another host may still, so the device as such is open
        assert send(bytes(reply)).classified == R.TO_LAN.code
        write(home, since=1)
        assert send(bytes(reply)).passed
        write(home, lan=False)
        assert send(bytes(reply)).classified == R.TO_LAN.code
        assert not opens(opening), "it is open to nobody any more"
    finally:
        write(home)


def to(frame: Packet, mac: str) -> Packet:
    frame = frame.copy()
    frame[Ether].dst = mac
    return frame


def addressed(frame: Packet, address: str) -> Packet:
    frame = frame.copy()
    frame[IPv6 if ":" in address else IP].dst = address
    return frame


@pytest.mark.parametrize(("what", "opening", "reply", "other"), FLOWS, ids=[flow[0] for flow in FLOWS])
def test_the_lan_meets_no_device_by_anothers_address(
    what: str, opening: Packet, reply: Packet, other: Packet, home: Steer, opens: Callable[..., bool]
) -> None:
    foreign = SECOND[2] if opening.haslayer(IP) else OTHER6
    assert not opens(to(opening, SECOND[0])), "the second device, by the first one's address"
    assert not opens(addressed(opening, foreign)), "the first device, by the second one's address"
    assert not opens(to(opening, "02:00:00:00:00:77")), "nobody's hardware address"
    assert not opens(to(opening, BROADCAST))
    assert not list(home.flows.items())


def test_frames_of_the_lan_that_cannot_be_judged_do_not_reach_a_device(home: Steer, opens: Callable[..., bool]) -> None:
    whole = bytes(FLOWS[0][1])
    assert opens(whole)
    assert not opens(patched(FLOWS[0][1], 12, b"\x08\x06")), "no address at all"
    assert not opens(patched(FLOWS[0][1], 14, b"\x46")), "IP options"
    home.alive.set(bytes(4), bytes(8))
    try:
        assert not opens(whole), "nobody renews what is allowed"
    finally:
        home.alive.set(bytes(4), run.FOREVER.to_bytes(8, "little"))
    assert opens(whole, ingress=0, mark=0), "the gateway's own packets are another matter"


def test_an_address_is_claimed_only_by_what_passes(home: Steer, send: run.Runner) -> None:
    assert not send(bytes(v6(WORLD6, OTHER6) / UDP(dport=443))).passed
    assert send(bytes(v6(OUR6, OTHER6, SECOND[0]) / ICMPv6EchoRequest())).passed
    assert layout.CLAIM.unpack(home.claims6.get(IPv6Address(OTHER6).packed) or b"")[0] == layout.mac_number(SECOND[0])


@pytest.mark.parametrize("mine", ["fe80::ff:fe00:1", "fd4d:7564:726d:2:0:ff:fe00:1"])
def test_an_address_made_of_a_mac_is_that_macs_alone(mine: str, home: Steer, send: run.Runner) -> None:
    assert send(bytes(ns(mine, src="::", slla=None, mac=SECOND[0]))).classified == R.ND_CLAIM.code
    assert send(bytes(v6(OUR6, mine, SECOND[0]) / ICMPv6EchoRequest())).classified == R.SPOOFED_IP.code
    assert send(bytes(ns(mine, src="::", slla=None))).classified == R.PASS_ND.code
    assert send(bytes(v6(OUR6, mine) / ICMPv6EchoRequest())).passed


def test_a_device_holds_few_ipv6_addresses(home: Steer, send: run.Runner) -> None:
    run.furnish(home, run.config(addresses6_per_device=3))
    seen = [R.from_code(send(bytes(v6(OUR6, f"{PREFIX6}{n:x}") / ICMPv6EchoRequest())).classified) for n in range(0x30, 0x35)]
    assert seen == [R.PASS_PING] * 3 + [R.ND_CLAIM] * 2
    assert send(bytes(v6(OUR6, f"{PREFIX6}30") / ICMPv6EchoRequest())).passed
    assert send(bytes(v6(OUR6, f"{PREFIX6}34", SECOND[0]) / ICMPv6EchoRequest())).passed


def test_a_flood_is_sampled_a_few_times(home: Steer, send: run.Runner) -> None:
    seen: list[layout.Event] = []
    consume = home.on_event(seen.append)
    consume()
    seen.clear()
    send(bytes(v6("2001:db8::5", ME6) / UDP(dport=4321)), repeat=100_000)
    consume()
    mine = [event for event in seen if event.reason == R.FOREIGN_UDP.code]
    assert 1 <= len(mine) <= 8
    assert (mine[0].mac, mine[0].destination, mine[0].port, mine[0].protocol) == (ME, "2001:db8::5", 4321, "udp")


def test_every_reason_of_the_kernel_has_a_row() -> None:
    assert {reason for reason in R if reason.in_kernel} == {row.reason for row in ROWS} | set(ELSEWHERE)
