"""The rules of steering once more, in Python: what should become of a frame. Written from the rules, not from the C text.

It keeps the IPv6 claims that passed frames make, so frames are to be judged in the order in which the kernel sees them.
Rate limits are left out: the kernel's half is run without them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from gateway.reasons import Reason as R
from gateway.registry import Kind

LINK_LOCAL = IPv6Network("fe80::/10")
SOLICITED = IPv6Network("ff02::1:ff00:0/104")
NOBODY4, NOBODY6 = IPv4Address(0), IPv6Address(0)
EVERYBODY = IPv4Address("255.255.255.255")
EXTENSIONS = {0, 43, 50, 51, 60, 135, 139, 140, 253, 254}
ND = {133, 134, 135, 136, 137}
LIMITED = {"tcp", "udp"}
# what is wrong with a frame, whoever sends it
WRONG_FOR_ANYBODY = {
    *(R.MALFORMED, R.VLAN_TAG, R.ETHERTYPE, R.SPOOFED_MAC, R.SPOOFED_IP, R.FRAGMENT, R.IP_OPTIONS, R.EXTENSION_HEADER),
    *(R.ARP_CLAIM, R.ND_CLAIM, R.ROUTER_ADVERTISEMENT, R.DHCP_ANSWER),
}
STRANGERS_MAY = {R.PASS_DHCP, R.PASS_ARP, R.PASS_ND, R.PASS_PING, R.PASS_NAMES, R.PASS_ENROLMENT}
Address = IPv4Address | IPv6Address


class Verdict(Exception):
    """The reason, wherever in the rules it falls."""

    def __init__(self, reason: R) -> None:
        self.reason = reason


@dataclass
class Host:
    kind: Kind
    slot: int
    lease: IPv4Address | None


@dataclass
class Model:
    gateway_mac: bytes
    ours: set[Address]  # where the gateway serves devices
    own: set[Address]  # all its addresses
    dmz: tuple[IPv4Network, IPv6Network]
    lan: tuple[IPv4Network, IPv6Network]
    hosts: dict[bytes, Host]
    flows: set[tuple[int, Address, int, Address, int]]  # protocol, device, its port, peer, its port
    answer_foreign: bool = True
    addresses_per_device: int = 8
    addresses_of_strangers: int = 128
    claims: dict[IPv6Address, bytes] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)

    def judge(self, frame: bytes) -> R:
        """The reason for one frame, from its Ethernet header on; what passes makes its claim."""
        mac = frame[6:12]
        host = self.hosts.get(mac, Host(Kind.UNKNOWN, 0, None))
        wants: list[IPv6Address] = []
        if host.kind is Kind.QUARANTINED:
            return R.QUARANTINED
        try:
            self._frame(frame, mac, host, wants)
        except Verdict as verdict:
            reason = verdict.reason
        else:
            raise AssertionError("the rules are not complete")
        if host.kind is Kind.UNKNOWN and reason not in WRONG_FOR_ANYBODY | STRANGERS_MAY:
            reason = R.UNKNOWN_DEVICE
        if host.kind is Kind.UNKNOWN and reason is R.PASS_NAMES and self.by_tcp(frame):
            reason = R.UNKNOWN_DEVICE
        if host.kind is Kind.LOCAL and reason in (R.PASS_DOOR, R.PASS_NAMES_FOREIGN):
            reason = R.LOCAL_ONLY
        if reason.passes:
            for address in wants:
                self.claims[address] = mac
                self.held[host.slot] = self.held.get(host.slot, 0) + 1
        return reason

    @staticmethod
    def by_tcp(frame: bytes) -> bool:
        """Whether a well-formed IP packet without options carries TCP."""
        return frame[14 + 9 if frame[12:14] == b"\x08\x00" else 14 + 6] == 6

    def _frame(self, frame: bytes, mac: bytes, host: Host, wants: list[IPv6Address]) -> None:
        to, kind = frame[:6], int.from_bytes(frame[12:14], "big")
        if mac[0] & 1 or mac == bytes(6) or mac == self.gateway_mac:
            raise Verdict(R.SPOOFED_MAC)
        if kind in (0x8100, 0x88A8, 0x9100):
            raise Verdict(R.VLAN_TAG)
        group = bool(to[0] & 1)
        if not group and to != self.gateway_mac:
            raise Verdict(R.TO_DEVICE)
        body = frame[14:]
        match kind:
            case 0x0806:
                self._arp(body, mac, host)
            case 0x0800:
                self._ip4(body, mac, host, group)
            case 0x86DD:
                self._ip6(body, mac, host, group, wants)
            case _:
                raise Verdict(R.ETHERTYPE)

    def _arp(self, body: bytes, mac: bytes, host: Host) -> None:
        demand(len(body) >= 28 and body[:6] == bytes.fromhex("000108000604") and body[6:8] in (b"\0\1", b"\0\2"))
        asks = body[7] == 1
        sender, target = IPv4Address(body[14:18]), IPv4Address(body[24:28])
        if body[8:14] != mac or not (sender == host.lease or (asks and sender == NOBODY4)):
            raise Verdict(R.ARP_CLAIM)
        if target in self.ours or target == host.lease:
            raise Verdict(R.PASS_ARP)
        raise Verdict(self._elsewhere(target, otherwise=R.TO_DEVICE))

    def _ip4(self, body: bytes, mac: bytes, host: Host, group: bool) -> None:
        demand(len(body) >= 20 and body[0] >> 4 == 4 and body[0] & 15 >= 5)
        words, total = body[0] & 15, int.from_bytes(body[2:4], "big")
        demand(4 * words <= total <= len(body))
        if words > 5:
            raise Verdict(R.IP_OPTIONS)
        flags = int.from_bytes(body[6:8], "big")
        demand(not flags & 0x8000)
        if flags & 0x2000 or flags & 0x1FFF:
            raise Verdict(R.FRAGMENT)
        source, target, payload = IPv4Address(body[12:16]), IPv4Address(body[16:20]), body[20:total]
        name = {1: "icmp", 6: "tcp", 17: "udp"}.get(body[9])
        if name is None:
            raise Verdict(R.IP_PROTOCOL)
        sport, dport = ports(name, payload)
        if name == "udp" and sport == 67:
            raise Verdict(R.DHCP_ANSWER)
        if name == "icmp" and payload[0] in (5, 9):
            raise Verdict(R.ROUTER_ADVERTISEMENT)
        dhcp = name == "udp" and (sport, dport) == (68, 67)
        first_dhcp = dhcp and source == NOBODY4 and target == EVERYBODY
        if not first_dhcp and (source != host.lease or source == NOBODY4):
            raise Verdict(R.SPOOFED_IP)
        if group or target.is_multicast or target in (EVERYBODY, self.dmz[0].broadcast_address):
            if dhcp and target == EVERYBODY:
                self._dhcp(payload[8:], len(body) - 28, mac, host)
            raise Verdict(R.MULTICAST)
        replies = not opens(name, payload) and (name != "icmp" or payload[0] == 0)
        self._near(body[9], source, sport, target, dport, replies)
        if name == "icmp":
            raise Verdict(R.PASS_PING if target in self.ours and payload[:2] == b"\x08\0" else R.FOREIGN_ICMP)
        if dhcp and target in self.ours:
            self._dhcp(payload[8:], len(body) - 28, mac, host)
        self._service(name, target, dport)

    def _dhcp(self, message: bytes, there: int, mac: bytes, host: Host) -> None:
        demand(len(message) >= 236 and there >= 34)
        if message[0] != 1:
            raise Verdict(R.DHCP_ANSWER)
        demand(message[1:3] == b"\1\6")
        if message[28:34] != mac:
            raise Verdict(R.SPOOFED_MAC)
        client, relay = IPv4Address(message[12:16]), IPv4Address(message[24:28])
        if relay != NOBODY4 or client not in (NOBODY4, host.lease):
            raise Verdict(R.SPOOFED_IP)
        raise Verdict(R.PASS_DHCP)

    def _ip6(self, body: bytes, mac: bytes, host: Host, group: bool, wants: list[IPv6Address]) -> None:
        demand(len(body) >= 40 and body[0] >> 4 == 6)
        length, following = int.from_bytes(body[4:6], "big"), body[6]
        demand(40 + length <= len(body))
        if following == 44:
            raise Verdict(R.FRAGMENT)
        if following in EXTENSIONS:
            raise Verdict(R.EXTENSION_HEADER)
        name = {6: "tcp", 17: "udp", 58: "icmp"}.get(following)
        if name is None:
            raise Verdict(R.IP_PROTOCOL)
        source, target, payload = IPv6Address(body[8:24]), IPv6Address(body[24:40]), body[40 : 40 + length]
        sport, dport = ports(name, payload)
        if name == "udp" and sport == 547:
            raise Verdict(R.DHCP_ANSWER)
        kind = payload[0] if name == "icmp" else -1
        if kind in (134, 137):
            raise Verdict(R.ROUTER_ADVERTISEMENT)
        if source == NOBODY6:
            if kind not in (133, 135):
                raise Verdict(R.SPOOFED_IP)
        else:
            if not (source in LINK_LOCAL or source in self.dmz[1]) or source in self.own:
                raise Verdict(R.SPOOFED_IP)
            self._claim(source, mac, host, wants, R.ND_CLAIM if kind in ND else R.SPOOFED_IP)
        if kind in ND:
            self._nd(body[7], kind, source, target, payload, mac, host, group, wants)
        if group or target.is_multicast:
            raise Verdict(R.MULTICAST)
        self._near(following, source, sport, target, dport, kind in (-1, 129) and not opens(name, payload))
        if name == "icmp":
            raise Verdict(R.PASS_PING if target in self.ours and payload[:2] == b"\x80\0" else R.FOREIGN_ICMP)
        self._service(name, target, dport)

    def _nd(
        self, hops: int, kind: int, source: IPv6Address, to: IPv6Address, payload: bytes,
        mac: bytes, host: Host, group: bool, wants: list[IPv6Address],
    ) -> None:  # fmt: skip
        fixed = 8 if kind == 133 else 24
        demand(hops == 255 and payload[1] == 0 and len(payload) >= fixed)
        subject = IPv6Address(payload[8:24]) if kind != 133 else NOBODY6
        demand(not subject.is_multicast)
        rest, seen = payload[fixed:], 0
        while rest:
            size = 8 * rest[1] if len(rest) >= 8 else 0
            demand(0 < size <= len(rest) and seen < 4)
            if rest[0] == (2 if kind == 136 else 1):
                demand(size == 8 and source != NOBODY6)
                if rest[2:8] != mac:
                    raise Verdict(R.ND_CLAIM)
            rest, seen = rest[size:], seen + 1
        if to.is_multicast:
            meant = {133: to == IPv6Address("ff02::2"), 135: to in SOLICITED, 136: to == IPv6Address("ff02::1")}[kind]
            if not meant:
                raise Verdict(R.MULTICAST)
        elif group:
            raise Verdict(R.MULTICAST)
        elif to not in self.ours:
            raise Verdict(self._elsewhere(to, otherwise=R.TO_DEVICE))
        if kind == 133:
            raise Verdict(R.PASS_ND)
        if kind == 136:
            if payload[4] & 0x80:
                raise Verdict(R.ROUTER_ADVERTISEMENT)
            known = subject == source or self.claims.get(subject) == mac
            raise Verdict(R.PASS_ND if known else R.ND_CLAIM)
        if source == NOBODY6:
            demand(to.is_multicast)
            if subject in self.own or not (subject in LINK_LOCAL or subject in self.dmz[1]):
                raise Verdict(R.ND_CLAIM)
            self._claim(subject, mac, host, wants, R.ND_CLAIM)
            raise Verdict(R.PASS_ND)
        raise Verdict(R.PASS_ND if subject in self.ours else self._elsewhere(subject, otherwise=R.TO_DEVICE))

    def _claim(self, address: IPv6Address, mac: bytes, host: Host, wants: list[IPv6Address], conflict: R) -> None:
        identifier = address.packed[8:]
        if identifier[3:5] == b"\xff\xfe" and bytes([identifier[0] ^ 2]) + identifier[1:3] + identifier[5:] != mac:
            raise Verdict(conflict)
        holder = self.claims.get(address)
        if holder is not None and holder != mac:
            raise Verdict(conflict)
        if holder is None:
            most = self.addresses_per_device if host.slot else self.addresses_of_strangers
            if self.held.get(host.slot, 0) >= most:
                raise Verdict(R.ND_CLAIM)
            wants.append(address)

    def _elsewhere(self, target: Address, otherwise: R) -> R:
        """Where a target that is not the gateway's DMZ address lies."""
        six = target.version == 6
        if target in self.own or (int(target) >> 64 == 0 if six else int(target) >> 24 in (0, 127)):
            return R.TO_GATEWAY
        if target in self.dmz[six] or (six and target in LINK_LOCAL):
            return R.TO_DEVICE
        if target.is_multicast or target == EVERYBODY or target == self.dmz[0].broadcast_address:
            return R.TO_DEVICE
        return R.TO_LAN if target in self.lan[six] else otherwise

    def _near(self, protocol: int, source: Address, sport: int, target: Address, dport: int, replies: bool) -> None:
        if target in self.ours:
            return
        where = self._elsewhere(target, otherwise=R.PASS_DOOR)
        if where is R.TO_LAN and replies and (protocol, source, sport, target, dport) in self.flows:
            raise Verdict(R.PASS_REPLY)
        if where is not R.PASS_DOOR:
            raise Verdict(where)

    def _service(self, name: str, target: Address, port: int) -> None:
        here = target in self.ours
        if port == 53:
            foreign = R.PASS_NAMES_FOREIGN if self.answer_foreign else R.FOREIGN_DNS
            raise Verdict(R.PASS_NAMES if here else foreign)
        if port == 853:
            raise Verdict(R.DOT)
        if name == "tcp":
            ours = R.PASS_ENROLMENT if port == 443 else R.TO_GATEWAY
            raise Verdict(ours if here else R.PASS_DOOR)
        if here:
            raise Verdict(R.PASS_NTP if port == 123 else R.TO_GATEWAY)
        known = {443: R.QUIC, 123: R.FOREIGN_NTP, 5353: R.FOREIGN_DNS, 5355: R.FOREIGN_DNS, 137: R.FOREIGN_DNS}
        raise Verdict(known.get(port, R.FOREIGN_UDP))


def demand(fits: bool) -> None:
    if not fits:
        raise Verdict(R.MALFORMED)


def opens(name: str, payload: bytes) -> bool:
    """Whether a packet asks for a new TCP connection: SYN without ACK."""
    return name == "tcp" and payload[13] & 0x12 == 0x02


def ports(name: str, payload: bytes) -> tuple[int, int]:
    """Source and destination port; an ICMP message's identifier and 0."""
    if name == "icmp":
        demand(len(payload) >= 8)
        return int.from_bytes(payload[4:6], "big"), 0
    source, target = int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:4], "big")
    if name == "tcp":
        demand(len(payload) >= 20 and 20 <= 4 * (payload[12] >> 4) <= len(payload) and source > 0)
    else:
        demand(len(payload) >= 8 and 8 <= int.from_bytes(payload[4:6], "big") <= len(payload))
    demand(target > 0)
    return source, target
