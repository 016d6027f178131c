"""Who is where around the virtual machine: names, addresses, files. Pure values, nothing runs here.

The internet's addresses are those of the virtual home (tests/home/lab/layout.py); namespaces and folders have names of
their own, so that both can stand side by side.
"""

from __future__ import annotations

import os
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

# What the ISP leases to the guest.
WAN4 = "192.0.2.100"
WAN6_PREFIX = "2001:db8:0:1::/64"
MIRROR4, MIRROR6 = "203.0.113.80", "2001:db8:ffff::80"  # a web site; also plays Debian's mirrors
MIRROR_NAME = "www.example"

GATEWAY4, GATEWAY6 = "192.168.77.1", "fd4d:7564:726d:1::1"
DMZ4, DMZ6 = home.DMZ4, home.DMZ6


def namespace(number: int) -> str:
    """The namespace of device ``number``."""
    return f"mudroom-vm-device-{number}"


__all__ = ["CHECKOUT", "SAMPLES", "home"]
