"""The LAN's dnsmasq configuration: leases, router advertisements, and names for the home and for the box itself.

It must never answer a device (the DMZ's dnsmasq and our resolver do), never write down who asked for what, and never pass on an
answer that leads a name from outside into the home. Values in, text out; nothing here starts dnsmasq.

The way out for IPv6 is always advertised, also while the WAN has none: the LAN reaches the DMZ by it, and a machine with
nothing but our unique local address prefers IPv4 for the internet by itself (RFC 6724 section 10.6).
"""

from __future__ import annotations

from pathlib import Path

from gateway import service
from gateway.box.ports import Assignment
from gateway.box.rendered import File, Reload
from gateway.config import Config

PATH = "/run/mudroom/box/lan-dnsmasq.conf"
NAME_SERVERS = "/run/systemd/resolve/resolv.conf"  # systemd-resolved collects there what the WAN names
BOX_NAME = "mudroom"  # the box answers to this name whatever box.name says
# Names that mean nothing outside (RFC 6761, RFC 6762, RFC 7686): they never leave the house.
INSIDE = ("invalid", "local", "localhost", "onion", "test")
ROUTER_ADVERTISEMENT_SECONDS = 60
ROUTER_LIFETIME_SECONDS = 1800
CACHED_NAMES = 5_000  # about 100 bytes each
QUESTIONS_AT_ONCE = 300
TCP_AT_ONCE = 10  # a process each; the unit allows 16
UDP_ANSWER_BYTES = 1232  # what passes every link in one piece (DNS Flag Day 2020)


def leases(config: Config) -> Path:
    """Where the LAN's leases are kept."""
    return Path(config.paths.state, "lan", "leases")


def render(config: Config, assignment: Assignment) -> list[File]:
    """The file for ``dnsmasq --keep-in-foreground --conf-file=FILE`` run as mudroom-lan."""
    return [File(PATH, text(config), reload=Reload.LAN)]


def text(config: Config, name_servers: str = NAME_SERVERS) -> str:
    """dnsmasq.conf(5) for the LAN; ``name_servers``: the resolv.conf(5) that names whom to ask, followed as it changes."""
    lan = config.lan
    network, router = lan.ipv4.network, lan.ipv4.ip
    user = service.USERS["lan"]
    names = dict.fromkeys(name for label in (BOX_NAME, config.box.name) for name in (f"{label}.{lan.domain}", label))
    inside = "\n".join(f"local=/{name}/" for name in (lan.domain, *INSIDE))
    dmz = config.dmz
    home = (network, lan.ipv6.network, dmz.ipv4.network, dmz.ipv6.network, dmz.pool_ipv4, dmz.pool_ipv6)
    own = "\n".join(f"bogus-nxdomain={prefix}" for prefix in home)
    return f"""\
# Written by `mudroom box setup`; changes belong in mudroom.toml.
# The home network, and the box itself through 127.0.0.1 and ::1 (dnsmasq adds lo by itself).
interface={lan.interface}
no-dhcp-interface=lo
bind-dynamic
user={user}
group={user}
pid-file=
log-facility=-
quiet-dhcp
quiet-ra

# Names. Whom to ask is what the WAN or wan.name_servers says; nobody is asked about the home's own names.
resolv-file={name_servers}
no-hosts
domain={lan.domain}
{inside}
host-record={",".join(names)},{router},{lan.ipv6.ip}
domain-needed
bogus-priv
# An answer from outside never points into the home: private addresses (stop-dns-rebind knows no 100.64.0.0/10), the home's own.
stop-dns-rebind
{own}
cache-size={CACHED_NAMES}
dns-forward-max={QUESTIONS_AT_ONCE}
max-tcp-connections={TCP_AT_ONCE}
edns-packet-max={UDP_ANSWER_BYTES}

# IPv4 (RFC 2131). A machine's name is the one that it gives; never one that programs take orders from (CERT VU#598349),
# nor the name by which each machine means itself (RFC 6761 section 6.3).
dhcp-range={network[lan.lease_first]},{network[lan.lease_last]},{network.netmask},{lan.lease_seconds}
dhcp-authoritative
dhcp-lease-max={lan.lease_last - lan.lease_first + 1}
dhcp-leasefile={leases(config)}
dhcp-name-match=set:orders,wpad
dhcp-name-match=set:orders,isatap
dhcp-name-match=set:orders,localhost
dhcp-ignore-names=tag:orders
dhcp-option=option:router,{router}
dhcp-option=option:dns-server,{router}
dhcp-option=option:ntp-server,{router}
dhcp-option=option:domain-search,{lan.domain}

# IPv6 (RFC 4861, RFC 8106): machines form their own addresses; no DHCPv6.
enable-ra
dhcp-range={lan.ipv6.network.network_address},ra-only,{lan.ipv6.network.prefixlen},{lan.lease_seconds}
dhcp-option=option6:dns-server,[{lan.ipv6.ip}]
dhcp-option=option6:domain-search,{lan.domain}
ra-param={lan.interface},{ROUTER_ADVERTISEMENT_SECONDS},{ROUTER_LIFETIME_SECONDS}
"""
