"""The base firewall as one nftables table, rendered from the settings. Text out; nothing here loads it.

It is the second of the three layers that keep devices in: it holds without the eBPF program and without the policy rules.
Every chain ends in a counted drop. It must never accept a packet from the DMZ that steering did not mark, beyond what the
input chain lists, and never translate the address of a device's packet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from gateway.config import Config
from gateway.network.plan import MARK_DOOR, MARK_REPLY

TABLE = "mudroom"

# Where the courier never goes: no vendor host stands there (IANA special-purpose registries; RFC 6890 and its updates).
# The documentation prefixes are left out: nothing answers there, and the virtual home's internet uses them.
SPECIAL4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
# RFC 4291: only 2000::/3 is global unicast. Within it, the prefixes that carry an IPv4 address or another's tunnel:
GLOBAL6 = "2000::/3"
SPECIAL6 = ("2001::/32", "2001:20::/28", "2002::/16", "3fff::/20")


@dataclass(frozen=True)
class Uids:
    """The numeric users of the processes, by what they may send."""

    door: int
    names: int
    dhcp: int
    silent: tuple[int, ...]  # those that speak over Unix sockets only
    courier: int


def uids(by_role: Mapping[str, int]) -> Uids:
    """From service roles to uids."""
    return Uids(
        door=by_role["door"],
        names=by_role["names"],
        dhcp=by_role["dhcp"],
        silent=(by_role["signer"], by_role["ledger"]),
        courier=by_role["courier"],
    )


def render(config: Config, users: Uids, resolvers: Sequence[IPv4Address | IPv6Address] = ()) -> str:
    """The ruleset for ``nft -f -``; loading it replaces an older one in one transaction.

    ``resolvers``: the name servers of the gateway itself (resolv.conf), which the courier may ask, private or not.
    """
    wan, lan, dmz = (f'"{name}"' for name in (config.wan.interface, config.lan.interface, config.dmz.interface))
    lan4, lan6 = config.lan.ipv4, config.lan.ipv6
    dmz4, dmz6 = config.dmz.ipv4, config.dmz.ipv6
    inner4 = f"{{ {dmz4.network}, {config.dmz.pool_ipv4} }}"
    inner6 = f"{{ {dmz6.network}, {config.dmz.pool_ipv6} }}"
    home4 = f"{{ {lan4.network}, {dmz4.network}, {config.dmz.pool_ipv4} }}"
    home6 = f"{{ {lan6.network}, {dmz6.network}, {config.dmz.pool_ipv6} }}"
    may_open = config.lan.may_open_to_dmz
    lan_to_dmz = (
        f"iifname {lan} oifname {dmz} ip saddr {lan4.network} ip daddr {dmz4.network} accept\n"
        f"        iifname {lan} oifname {dmz} ip6 saddr {lan6.network} ip6 daddr {dmz6.network} accept"
        if may_open
        else "# the LAN may not open connections to devices"
    )
    reply = (
        f"iifname {dmz} oifname {lan} meta mark {MARK_REPLY:#x} ct state established accept"
        if may_open
        else "# so there are no replies either"
    )
    confined = ", ".join(str(uid) for uid in sorted({users.door, users.names, users.dhcp, *users.silent}))
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
    # Before connection tracking: what steering hands to the door and the resolver is never tracked or translated.
    chain early {{
        type filter hook prerouting priority raw; policy accept;
        iifname {dmz} ip saddr != {{ {dmz4.network}, 0.0.0.0 }} counter drop
        iifname {dmz} ip6 saddr != {{ {dmz6.network}, fe80::/10, :: }} counter drop
        iifname {dmz} meta mark {MARK_REPLY:#x} accept
        iifname {dmz} notrack
        iifname {{ {dmz}, "lo" }} accept
        # the DMZ's and the pool's addresses exist on the DMZ's wire only
        ip saddr {inner4} counter drop
        ip6 saddr {inner6} counter drop
        # nobody outside addresses the inside
        iifname {wan} ip daddr {home4} counter drop
        iifname {wan} ip6 daddr {home6} counter drop
    }}

    chain early_out {{
        type filter hook output priority raw; policy accept;
        oifname {dmz} notrack
    }}

    chain input {{
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        iifname {dmz} goto from_dmz
        iifname {lan} goto from_lan
        iifname {wan} goto from_wan
        counter drop
    }}

    # Every local address is meant: the kernel takes a packet to the LAN's or the WAN's address too.
    chain from_dmz {{
        # steering's mark alone is not enough: the packet must carry one of its transparent sockets
        meta mark {MARK_DOOR:#x} meta l4proto tcp socket transparent 1 accept
        meta mark {MARK_DOOR:#x} udp dport 53 socket transparent 1 accept
        udp sport 68 udp dport 67 ip daddr {{ {dmz4.ip}, 255.255.255.255 }} accept
        udp dport 123 ip daddr {dmz4.ip} accept
        udp dport 123 ip6 daddr {dmz6.ip} accept
        icmp type echo-request ip daddr {dmz4.ip} accept
        icmpv6 type echo-request ip6 daddr {dmz6.ip} accept
        # RFC 4861: from this very link; no router advertisement, no redirect
        icmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept
        counter drop
    }}

    chain from_lan {{
        ct state established,related accept
        ct state invalid counter drop
        udp dport {{ 53, 67, 547 }} accept
        tcp dport {{ 22, 53, 443 }} accept
        icmp type echo-request accept
        icmpv6 type {{ echo-request, mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report }} accept
        icmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept
        counter drop
    }}

    chain from_wan {{
        ct state established,related accept
        ct state invalid counter drop
        udp sport 67 udp dport 68 accept
        ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
        icmpv6 type {{ nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept
        # RFC 4890 section 4.4.1: a listener query from the router of the link
        ip6 saddr fe80::/10 icmpv6 type mld-listener-query accept
        counter drop
    }}

    chain forward {{
        type filter hook forward priority filter; policy drop;
        {reply}
        iifname {dmz} counter drop
        {lan_to_dmz}
        oifname {dmz} counter drop
        oifname {wan} ip daddr {inner4} counter drop
        oifname {wan} ip6 daddr {inner6} counter drop
        iifname {lan} oifname {wan} ct state invalid counter drop
        iifname {lan} oifname {wan} ip saddr {lan4.network} accept
        iifname {lan} oifname {wan} ip6 saddr {lan6.network} accept
        iifname {wan} oifname {lan} ct state established,related accept
        counter drop
    }}

    chain output {{
        type filter hook output priority filter; policy accept;
        meta skuid {{ {confined} }} goto from_confined
        meta skuid {users.courier} goto from_courier
        # nothing of ours leaves for the WAN from an inner address, whoever sends it
        oifname {wan} ip saddr {home4} counter drop
        oifname {wan} ip6 saddr {home6} counter drop
    }}

    # They answer devices and reach nobody else: not the WAN, not the LAN, not other services of the gateway.
    chain from_confined {{
        oifname != {dmz} counter drop
        # the door and the resolver answer; a connection that they open themselves would be a way in
        meta skuid {{ {users.door}, {users.names} }} tcp flags & (syn | ack) == syn counter drop
        meta skuid {users.door} meta l4proto tcp accept
        meta skuid {users.names} udp sport 53 accept
        meta skuid {users.names} tcp sport 53 accept
        meta skuid {users.dhcp} udp sport 67 udp dport {{ 67, 68 }} accept
        meta skuid {users.dhcp} icmp type echo-request accept
        meta skuid {users.dhcp} icmpv6 type nd-router-advert accept
        counter drop
    }}

    # The only process that may reach vendor hosts: TLS to public addresses, and questions to the gateway's name servers.
    chain from_courier {{
{_resolver_rules(resolvers, wan)}
        oifname != {wan} counter drop
        ip daddr {{ {", ".join(SPECIAL4)} }} counter drop
        ip6 daddr != {GLOBAL6} counter drop
        ip6 daddr {{ {", ".join(SPECIAL6)} }} counter drop
        ip daddr {home4} counter drop
        ip6 daddr {home6} counter drop
        tcp dport 443 accept
        meta l4proto {{ tcp, udp }} th dport 53 accept
        counter drop
    }}

    chain nat {{
        type nat hook postrouting priority srcnat; policy accept;
        iifname {lan} oifname {wan} ip saddr {lan4.network} masquerade
        iifname {lan} oifname {wan} ip6 saddr {lan6.network} masquerade
    }}
}}
"""


def _resolver_rules(resolvers: Sequence[IPv4Address | IPv6Address], wan: str) -> str:
    rules = []
    for version, family in ((4, "ip"), (6, "ip6")):
        for loopback, device in ((True, '"lo"'), (False, wan)):
            mine = sorted({str(a) for a in resolvers if a.version == version and a.is_loopback == loopback})
            if mine:
                where = f"oifname {device} {family} daddr {{ {', '.join(mine)} }}"
                rules.append(f"        {where} meta l4proto {{ tcp, udp }} th dport 53 accept")
    return "\n".join(rules) or "        # resolv.conf names no resolver"


def resolvers(text: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """The name servers in resolv.conf(5) text; what is no address is passed over, as the C library does."""
    found: list[IPv4Address | IPv6Address] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            address = words[1].split("%")[0]  # a link-local resolver names its interface
            try:
                found.append(IPv6Address(address) if ":" in address else IPv4Address(address))
            except ValueError:
                continue
    return tuple(dict.fromkeys(found))
