"""The edge that finds the box's physical Ethernet ports in /sys and asks their drivers for the permanent address.

It only reads, and must never decide what a port is for.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from array import array
from collections.abc import Mapping
from pathlib import Path

from gateway.box.ports import Port

NET = Path("/sys/class/net")
ARPHRD_ETHER = 1  # include/uapi/linux/if_arp.h
SIOCETHTOOL = 0x8946  # include/uapi/linux/sockios.h
ETHTOOL_GPERMADDR = 0x20  # include/uapi/linux/ethtool.h
ADDRESS_MOST = 32  # MAX_ADDR_LEN


def physical_ports(other_names: Mapping[str, tuple[str, ...]] | None = None, folder: Path = NET) -> list[Port]:
    """All physical Ethernet ports, in no order: they have a device, are Ethernet and not wireless. Nothing virtual.

    ``other_names``: what ports are also called (gateway/network/links.py knows).
    """
    found = []
    for entry in sorted(folder.iterdir()):
        device = entry / "device"
        if not device.exists() or _number(entry / "type") != ARPHRD_ETHER:
            continue
        if (entry / "wireless").exists() or (entry / "phy80211").exists():
            continue
        found.append(
            Port(
                name=entry.name,
                mac=permanent_mac(entry.name) or _text(entry / "address").lower(),
                path=_place(device.resolve()),
                index=max(_number(entry / "dev_port"), 0),
                carrier=_number(entry / "carrier") == 1,
                other_names=(other_names or {}).get(entry.name, ()),
            )
        )
    return found


def permanent_mac(name: str) -> str:
    """The address that the port's maker gave it, whatever it is set to now; empty where the driver does not know it."""
    answer = array("B", struct.pack("=II", ETHTOOL_GPERMADDR, ADDRESS_MOST) + bytes(ADDRESS_MOST))
    request = struct.pack("16sP16x", name.encode(), answer.buffer_info()[0])  # struct ifreq, which points at the answer
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            fcntl.ioctl(sock, SIOCETHTOOL, request)
        except OSError:
            return ""
    size = struct.unpack_from("=I", answer, 4)[0]
    mac = answer.tobytes()[8:14]
    return mac.hex(":") if size == 6 and any(mac) else ""


def _place(device: Path) -> str:
    """The device's path below /sys/devices. A virtio device stands where its PCI parent does."""
    path = str(device).removeprefix("/sys/devices/")
    return "/".join(part for part in path.split("/") if not part.startswith("virtio"))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # carrier cannot be read while the port is down
        return ""


def _number(file: Path) -> int:
    text = _text(file)
    return int(text) if text.removeprefix("-").isdigit() else -1
