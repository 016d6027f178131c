"""Who is where around the virtual machine: names, addresses, files. Pure values, nothing runs here.

The provider's addresses are those of the virtual home (tests/home/lab/layout.py); namespaces and folders have names of
their own, so that both can stand side by side.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from tests.home.lab import layout as home
from tests.home.lab.layout import CHECKOUT, SAMPLES

RUN = Path(os.environ.get("MUDROOM_VM_RUN", "/tmp/mudroom-vm"))
CACHE = Path("/var/cache/mudroom/vm")

INTERNET, LAPTOP = "mudroom-vm-internet", "mudroom-vm-laptop"
PORT = "eth0"  # what the one port of each namespace is called

# The guest's ports in the order of their positions. The shipped settings make them WAN, LAN and trunk.
WAN_MAC, LAN_MAC, TRUNK_MAC = "52:54:00:4d:75:01", "52:54:00:4d:75:02", "52:54:00:4d:75:03"
LAPTOP_MAC, ISP_MAC = "02:4d:75:6c:00:01", "02:4d:75:69:00:01"
VLAN = 77
# A guest with one port only: internet and house are VLANs too. Its hardware address is of the kind that real cards have (not
# locally administered), so that the LAN's bridge gets another one than its port.
STICK_MAC = "00:16:3e:4d:75:01"
WAN_VLAN, LAN_VLAN = 10, 20

# What the ISP leases to the guest.
WAN4 = "192.0.2.100"
# Hosts that are found by name need global addresses: the guest's resolver drops answers from the documentation prefixes,
# as from all that no public host can have (dnsmasq, stop-dns-rebind). They stand in our closed namespaces only.
NET4, NET6 = "9.9.113.", "2620:fe:113::"
MIRROR4, MIRROR6 = f"{NET4}80", f"{NET6}80"  # a web site; also plays Debian's mirrors
TIME4, TIME6 = f"{NET4}123", f"{NET6}123"
TRACKER4, TRACKER6 = f"{NET4}66", f"{NET6}66"
MIRROR_NAME = "www.example"
LEAK_BITS = 10**12  # a day's budget: a test sends in minutes what a device sends in months
ARCHIVE_PORT = 8080  # of the mirror: the packages that a stock machine is provisioned with

GATEWAY4, GATEWAY6 = "192.168.77.1", "fd4d:7564:726d:1::1"
DMZ4, DMZ6 = home.DMZ4, home.DMZ6


def namespace(number: int) -> str:
    """The namespace of device ``number``."""
    return f"mudroom-vm-device-{number}"


def vendors() -> tuple[home.Vendor, ...]:
    """acme and the tracker, where they stand in this internet."""

    def here(pair: tuple[str, str]) -> tuple[str, str]:
        return NET4 + pair[0].rsplit(".", 1)[1], NET6 + pair[1].rsplit(":", 1)[1]

    found = [vendor for vendor in home.Home().vendors if vendor.name in ("acme", "tracker")]
    return tuple(replace(v, hosts={host: here(pair) for host, pair in v.hosts.items()}) for v in found)


__all__ = ["CHECKOUT", "SAMPLES", "home"]
