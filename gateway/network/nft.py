"""The base firewall as one nftables table, rendered from the settings. Text out; nothing here loads it.

It is the second of the three layers that keep devices in: it holds without the eBPF program and without the policy rules.
Every chain ends in a counted drop. It must never accept a packet from the DMZ that steering did not mark, beyond what the
input chain lists, and never translate the address of a device's packet.

A change of settings holds for flows that exist already, without forgetting the others: what a setting opens (a port forward,
ssh from the WAN) is looked up for every packet of such a flow, before any rule about established flows. Flows that the kernel
carries past these chains (the flowtable) live in this very table and fall back to the chains whenever it is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from gateway.config import Config, Firewall
from gateway.network.plan import MARK_DOOR, MARK_LAN, MARK_REPLY
from gateway.service import TELLING_UID

TABLE = "mudroom"
FLOWTABLE = "fast"

# Where the courier never goes: no vendor host stands there (IANA special-purpose registries; RFC 6890 and its updates).
# The documentation prefixes are left out: nothing answers there, and the virtual home's internet uses them.
SPECIAL4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
# RFC 4291: only 2000::/3 is global unicast. Within it, the prefixes that carry an IPv4 address or another's tunnel:
GLOBAL6 = "2000::/3"
SPECIAL6 = ("2001::/32", "2001:20::/28", "2002::/16", "3fff::/20")

# ICMP messages that carry the beginning of another packet (RFC 792, RFC 4443 section 3)
ERRORS4 = ("destination-unreachable", "source-quench", "redirect", "time-exceeded", "parameter-problem")
ERRORS6 = ("destination-unreachable", "packet-too-big", "time-exceeded", "parameter-problem")


@dataclass(frozen=True)
class Uids:
    """The numeric users of the processes, by what they may send."""

    door: int
    names: int
    dhcp: int
    enrolment: int
    web: int
    silent: tuple[int, ...]  # those that speak over Unix sockets only
    courier: int
    lan: int
    time: int | None  # chronyd's; None where there is none


def uids(by_role: Mapping[str, int], time: int | None = None) -> Uids:
    """From service roles to uids; ``time``: chronyd's."""
    return Uids(
        door=by_role["door"],
        names=by_role["names"],
        dhcp=by_role["dhcp"],
        enrolment=by_role["enrolment"],
        web=by_role["web"],
        silent=(by_role["signer"], by_role["ledger"]),
        courier=by_role["courier"],
        lan=by_role["lan"],
        time=time,
    )


def render(config: Config, users: Uids, resolvers: Sequence[IPv4Address | IPv6Address] = (), *, flowtable: bool = False) -> str:
    """The ruleset for ``nft -f -``; loading it replaces an older one (the closed one of the boot too) in one transaction.

    ``resolvers``: the name servers of the gateway itself (resolv.conf), which the courier may ask, private or not.
    ``flowtable``: carry established flows between LAN and WAN past these chains; the kernel must have flowtables, and both
    interfaces must be there, else nothing of the ruleset is loaded.
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
        f"iifname {lan} oifname {dmz} meta mark {MARK_LAN:#x} ip saddr {lan4.network} ip daddr {dmz4.network} accept\n"
        f"        iifname {lan} oifname {dmz} meta mark {MARK_LAN:#x} ip6 saddr {lan6.network} ip6 daddr {dmz6.network} accept"
        if may_open
        else "# the LAN may not open connections to devices"
    )
    reply = (
        f"iifname {dmz} oifname {lan} meta mark {MARK_REPLY:#x} ct state established accept"
        if may_open
        else "# so there are no replies either"
    )
    confined = ", ".join(str(uid) for uid in sorted({users.door, users.names, users.dhcp, users.enrolment, *users.silent}))
    fast_rule = f"iifname {lan} oifname {wan} meta l4proto {{ tcp, udp }} ct state established flow add @{FLOWTABLE}"
    nothing_fast = "# no flowtable"
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
    {_flowtable(config) if flowtable else nothing_fast}

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
        # nor speaks in the LAN's name
        iifname {wan} ip saddr {lan4.network} counter drop
        iifname {wan} ip6 saddr {lan6.network} counter drop
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

    # Names, leases, time, ssh (by key), the owner's pages, ping.
    chain from_lan {{
        ct state established,related accept
        ct state invalid counter drop
        udp dport {{ 53, 67, 123 }} accept
        tcp dport {{ 22, 53, {config.web.port} }} accept
        icmp type echo-request accept
        icmpv6 type {{ echo-request, mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report }} accept
        icmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept
        counter drop
    }}

    chain from_wan {{
        # looked up for every packet, so that a prefix taken out of the settings ends its sessions too
        tcp dport 22 goto ssh_from_wan
        ct state established,related accept
        ct state invalid counter drop
        udp sport 67 udp dport 68 accept
        ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
        icmpv6 type {{ nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept
        # RFC 4890 section 4.4.1: a listener query from the router of the link
        ip6 saddr fe80::/10 icmpv6 type mld-listener-query accept
        counter drop
    }}

    chain ssh_from_wan {{
        ct state invalid counter drop
{_ssh_rules(config.firewall)}
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
        iifname {{ {wan}, {lan} }} oifname {{ {wan}, {lan} }} ct status dnat goto forwarded
        iifname {lan} oifname {wan} ct state invalid counter drop
        {fast_rule if flowtable else nothing_fast}
        iifname {lan} oifname {wan} ip saddr {lan4.network} accept
        iifname {lan} oifname {wan} ip6 saddr {lan6.network} accept
        iifname {wan} oifname {lan} ct state established,related accept
        counter drop
    }}

    # Port forwards, both ways. Every packet must belong to one of the settings: a flow ends with its forward.
    chain forwarded {{
{_forwarded_rules(config.firewall)}
        counter drop
    }}

    chain output {{
        type filter hook output priority filter; policy accept;
        # chronyd opens this port as root before it becomes its own user: the port tells it, not the user
        udp sport 123 goto from_time_server
        meta skuid {{ {confined} }} goto from_confined
        meta skuid {users.courier} goto from_courier
        meta skuid {users.lan} goto from_lan_service
        meta skuid {users.web} goto from_web
        meta skuid {TELLING_UID} goto from_telling
        {f"meta skuid {users.time} goto from_time" if users.time is not None else "# no time service"}
        # nothing of ours leaves for the WAN from an inner address or towards one, whoever sends it
        oifname {wan} ip saddr {home4} counter drop
        oifname {wan} ip daddr {home4} counter drop
        oifname {wan} ip6 saddr {home6} counter drop
        oifname {wan} ip6 daddr {home6} counter drop
        # The door answers devices from foreign addresses. Where a device is silent to the neighbour's question, the kernel would
        # tell "the sender", out there: a device's words in the error's inner packet. Of tracked flows (the house's) only
        # what path MTU discovery and traceroute live by is told; not that nobody listens any more.
        oifname {wan} icmp type destination-unreachable icmp code != frag-needed counter drop
        oifname {wan} icmpv6 type destination-unreachable counter drop
        oifname {wan} icmp type {{ {", ".join(ERRORS4)} }} ct state != related counter drop
        oifname {wan} icmpv6 type {{ {", ".join(ERRORS6)} }} ct state != related counter drop
    }}

    # They answer devices and reach nobody else: not the WAN, not the LAN, not other services of the gateway.
    chain from_confined {{
        oifname != {dmz} counter drop
        # door, enrolment and resolver answer; a connection that they open themselves would be a way in
        meta skuid {{ {users.door}, {users.names}, {users.enrolment} }} tcp flags & (syn | ack) == syn counter drop
        meta skuid {users.door} meta l4proto tcp accept
        meta skuid {users.enrolment} tcp sport 443 accept
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

    # The LAN's dnsmasq: its questions to name servers on the WAN, its answers to the LAN and to the gateway itself.
    chain from_lan_service {{
        oifname {wan} meta l4proto {{ tcp, udp }} th dport 53 accept
        oifname != {{ {lan}, "lo" }} counter drop
        tcp flags & (syn | ack) == syn counter drop
        meta l4proto {{ tcp, udp }} th sport 53 accept
        oifname {lan} udp sport 67 udp dport {{ 67, 68 }} accept
        # before it leases an address it asks whether somebody has it
        oifname {lan} icmp type echo-request accept
        oifname {lan} icmpv6 type nd-router-advert accept
        counter drop
    }}

    # The owner's pages: answers to the LAN. They ask nobody anything.
    chain from_web {{
        oifname != {lan} counter drop
        tcp flags & (syn | ack) == syn counter drop
        tcp sport {config.web.port} accept
        counter drop
    }}

    # Who tells the owner's notices: connections to machines in the LAN, by address, and nothing else.
    chain from_telling {{
        oifname != {lan} counter drop
        ip daddr {lan4.network} meta l4proto tcp accept
        ip6 daddr {lan6.network} meta l4proto tcp accept
        counter drop
    }}

    # Time for the LAN and the DMZ. What chronyd asks the WAN comes from other ports (chrony.conf(5), acquisitionport).
    chain from_time_server {{
        oifname {{ {lan}, {dmz}, "lo" }} accept
        counter drop
    }}

    # chronyd: time from the WAN, time for the LAN and the DMZ, and the names of its servers.
    chain from_time {{
        oifname {wan} udp dport 123 accept
        oifname {{ {lan}, {dmz} }} udp sport 123 accept
{_resolver_rules(resolvers, wan)}
        counter drop
    }}

    chain port_forwards {{
        type nat hook prerouting priority dstnat; policy accept;
        iifname {wan} meta nfproto ipv4 fib daddr type local goto to_the_lan
        # the LAN may use the WAN's address for it as well
        iifname {lan} ip daddr != {home4} fib daddr type local goto to_the_lan
    }}

    chain to_the_lan {{
{_dnat_rules(config.firewall)}
    }}

    chain nat {{
        type nat hook postrouting priority srcnat; policy accept;
        iifname {lan} oifname {lan} ct status dnat masquerade
        iifname {lan} oifname {wan} ip saddr {lan4.network} masquerade
        iifname {lan} oifname {wan} ip6 saddr {lan6.network} masquerade
    }}
}}
"""


def _flowtable(config: Config) -> str:
    devices = ", ".join(f'"{name}"' for name in sorted((config.wan.interface, config.lan.interface)))
    return f"""\
# What the LAN opened to the WAN and is established goes from port to port without meeting the chains again. No flow of the
    # DMZ is ever in it: one rule in `forward` adds flows, for LAN to WAN only, and the DMZ's interface is not among the devices.
    flowtable {FLOWTABLE} {{
        hook ingress priority filter;
        devices = {{ {devices} }};
    }}"""


def has_flowtable(ruleset: str) -> bool:
    """Whether ``render`` put a flowtable into ``ruleset``."""
    return f"flowtable {FLOWTABLE} {{" in ruleset


def flowtable_probe(config: Config) -> str:
    """A ruleset for ``nft --check`` that a kernel accepts only where the flowtable of ``render`` works."""
    return f"table inet {TABLE}_probe {{\n    {_flowtable(config)}\n    chain carry {{ flow add @{FLOWTABLE}; }}\n}}\n"


def _ssh_rules(firewall: Firewall) -> str:
    rules = []
    for version, family in ((4, "ip"), (6, "ip6")):
        prefixes = sorted({str(p) for p in firewall.ssh_prefixes if p.version == version})
        # one rule for each: prefixes that overlap do not fit into one set
        rules += [f"        {family} saddr {prefix} accept" for prefix in prefixes]
    return "\n".join(rules) or "        # firewall.ssh_from_wan names nobody"


def _dnat_rules(firewall: Firewall) -> str:
    rules = [
        f"        {forward.protocol} dport {forward.port} dnat ip to {forward.target[0]}:{forward.target[1]}"
        for forward in firewall.forwards
    ]
    return "\n".join(rules) or "        # firewall.forwards names none"


def _forwarded_rules(firewall: Firewall) -> str:
    if not firewall.forwards:
        return "        # firewall.forwards names none"
    every = ", ".join(f"{f.protocol} . {f.port} . {f.target[0]} . {f.target[1]}" for f in firewall.forwards)
    return f"""\
        icmp type {{ destination-unreachable, time-exceeded, parameter-problem }} ct state related accept
        ct direction original meta l4proto . ct original proto-dst . ip daddr . th dport {{ {every} }} accept
        ct direction reply meta l4proto . ct original proto-dst . ip saddr . th sport {{ {every} }} accept"""


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
