"""The DMZ's dnsmasq configuration, rendered from the settings: leases and router advertisements, never DNS.

``port=0``: were our resolver down, nobody else may answer a device's question. A device is known by its hardware address
alone (``dhcp-ignore-clid``), so one device gets one lease whatever it calls itself, and its names go nowhere. Text out;
nothing here starts dnsmasq.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gateway import service
from gateway.config import Config

RECORDER = Path(__file__).with_name("record-mud-url")
ROUTER_ADVERTISEMENT_SECONDS = 60
ROUTER_LIFETIME_SECONDS = 1800
ADMITTED = "admitted"  # dnsmasq's tag
STRANGERS_SHARE = 4  # one lease in so many is for devices that nobody admitted yet
STRANGERS_LEASE_SECONDS = 120  # dnsmasq's shortest


def hosts_folder(config: Config) -> Path:
    """Where dnsmasq finds the hardware addresses of admitted devices (dhcp-hostsdir): one file for each.

    Root writes and removes files there, so it is in no folder of dnsmasq's: an intruder in it could put a link in the way.
    """
    return Path(config.paths.run, "box", "dhcp-hosts")


def write_hosts(config: Config, macs: Iterable[str]) -> None:
    """Tell dnsmasq which hardware addresses are admitted; it takes up new files by itself, removed ones at its next start."""
    folder = hosts_folder(config)
    for made in (folder.parent.parent, folder.parent, folder):  # dnsmasq must get there, whatever the caller's umask
        if not made.exists():
            made.mkdir(parents=True)
            made.chmod(0o755)
    wanted = {mac.replace(":", "-"): mac for mac in macs}
    for entry in folder.iterdir():
        if entry.name not in wanted:
            entry.unlink()
    for name, mac in wanted.items():
        file = folder / name
        if not file.exists():
            part = folder.parent / f".{name}"
            part.write_text(f"{mac},set:{ADMITTED}\n", encoding="ascii")
            part.chmod(0o644)
            part.replace(file)  # whole or not at all: dnsmasq reads it the moment that it is there


def render(config: Config) -> str:
    """dnsmasq.conf(5) for the DMZ; run as mudroom-dhcp with CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE.

    Never start it as root: it would become mudroom-dhcp too, but run its script as root.
    The environment variable MUDROOM_MUD names the folder of MUD URLs (``gateway.announced``) to the recorder.
    """
    dmz = config.dmz
    network, router = dmz.ipv4.network, dmz.ipv4.ip
    first, last = network[dmz.lease_first], network[dmz.lease_last]
    strangers = network[dmz.lease_last - max((dmz.lease_last - dmz.lease_first + 1) // STRANGERS_SHARE, 1) + 1]
    user = service.USERS["dhcp"]
    return f"""\
# Written by `mudroom network dhcp`; changes belong in mudroom.toml.
# Nothing but leases and router advertisements, on this one interface.
port=0
interface={dmz.interface}
except-interface=lo
bind-interfaces
no-resolv
no-hosts
user={user}
group={user}
pid-file=
log-facility=-
quiet-dhcp
quiet-ra

# IPv4 (RFC 2131). The hardware address alone identifies a device.
# Admitted devices have a range of their own: a stranger that invents addresses uses up only the strangers' leases.
dhcp-hostsdir={hosts_folder(config)}
dhcp-range=tag:{ADMITTED},{first},{strangers - 1},{network.netmask},{dmz.lease_seconds}
dhcp-range=tag:!{ADMITTED},{strangers},{last},{network.netmask},{min(STRANGERS_LEASE_SECONDS, dmz.lease_seconds)}
dhcp-authoritative
dhcp-ignore-clid
dhcp-ignore-names
dhcp-lease-max={dmz.lease_last - dmz.lease_first + 1}
dhcp-leasefile={config.paths.leases}
no-ping
dhcp-option=option:router,{router}
dhcp-option=option:dns-server,{router}
dhcp-option=option:ntp-server,{router}

# IPv6 (RFC 4861, RFC 8106): addresses are formed by the devices; no DHCPv6 leases.
enable-ra
dhcp-range={dmz.ipv6.network.network_address},ra-only,{dmz.ipv6.network.prefixlen},{dmz.lease_seconds}
dhcp-option=option6:dns-server,[{dmz.ipv6.ip}]
ra-param={dmz.interface},{ROUTER_ADVERTISEMENT_SECONDS},{ROUTER_LIFETIME_SECONDS}

# RFC 8520 section 10: a device may show where its MUD file lies. It is written down for the owner; nobody fetches it.
dhcp-script={RECORDER}
"""
