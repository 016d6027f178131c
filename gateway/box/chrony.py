"""chronyd's configuration: where the box gets its time, and whom it gives it to.

It must never let chronyd step the clock by itself: `mudroom box clock` decides that (clock.py). Values in, text out.
"""

from __future__ import annotations

from ipaddress import ip_address

from gateway import service
from gateway.box.ports import Assignment
from gateway.box.rendered import File, Reload
from gateway.config import Config

PATH = "/run/mudroom/box/chrony.conf"
SOCKET = "/run/chrony/chronyd.sock"
SOURCES = 4  # enough to outvote a wrong one (RFC 5905 section 11.2.1)
ORPHAN_STRATUM = 10  # devices and the home agree on the time without the internet too


def render(config: Config, assignment: Assignment) -> list[File]:
    """The file for ``chronyd -f FILE``."""
    return [File(PATH, text(config), reload=Reload.CHRONY)]


def text(config: Config) -> str:
    """chrony.conf(5)."""
    networks = (config.lan.ipv4, config.lan.ipv6, config.dmz.ipv4, config.dmz.ipv6)
    return "\n".join(
        [
            "# Written by `mudroom box setup`; changes belong in mudroom.toml.",
            *(_source(name, len(config.time.servers)) for name in config.time.servers),
            "",
            "# Time for the LAN and the DMZ, for nobody else; the firewall says the same.",
            "port 123",
            *(f"allow {address.network}" for address in networks),
            f"local stratum {ORPHAN_STRATUM} orphan",
            "ratelimit interval 1 burst 16 leak 3",
            "clientloglimit 524288",
            "",
            "# Orders come through the Unix socket only.",
            "cmdport 0",
            f"bindcmdaddress {SOCKET}",
            f"user {service.TIME_USER}",
            "pidfile /run/chrony/chronyd.pid",
            "",
            "# No makestep: `mudroom box clock` steps, once at boot either way and later only forwards.",
            "driftfile /var/lib/chrony/chrony.drift",
            "rtcsync",
            "leapsecmode slew",
            "leapseclist /usr/share/zoneinfo/leap-seconds.list",
            "",
        ]
    )


def _source(name: str, servers: int) -> str:
    try:
        ip_address(name)
    except ValueError:
        return f"pool {name} iburst maxsources {-(-SOURCES // servers)}"  # a name may stand for many
    return f"server {name} iburst"
