"""The maps' keys and values as bytes: ebpf/include/shared.h in Python. Pure; it must never touch a map."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Self

from gateway.config import Config
from gateway.registry import Kind

MARK_DOOR = 0x4D01
MARK_REPLY = 0x4D02
MARK_LAN = 0x4D03
REASONS = 64  # room per device in the counters
STRANGERS = 0  # the slot that unknown devices share
STRANGERS_ADDRESSES6 = 128  # IPv6 addresses that all strangers together may hold
SEATS = 4096
SEATS_PER_PORT = 64
NANO = 1_000_000_000

ADDRESS6_SIZE = 16
COUNTER = struct.Struct("<QQ")
CLAIM = struct.Struct("<QQII")
DEVICE = struct.Struct("<I4sBBBBIQ")
EVENT = struct.Struct("<QQIBBBB16s2sHI")
FLOW = struct.Struct("<16s16s2s2sI")
GUARD_SETTINGS = struct.Struct("<QQQII")
PORT = struct.Struct("<QIIQQQQ")
SEAT = struct.Struct("<QII")
SETTINGS = struct.Struct("<Q16s16s16s16s8s8Q4s4s4s4s4s5I")

KINDS = {Kind.UNKNOWN: 0, Kind.LOCAL: 1, Kind.STANDARD: 2, Kind.QUARANTINED: 3}


class Listener(IntEnum):
    """Slots of the listeners' sockmap; a door's are ``door_listener``."""

    UDP4 = 0
    UDP6 = 1
    TCP4 = 2
    TCP6 = 3
    ENROL4 = 4
    ENROL6 = 5


LISTENERS = 134


def door_listener(worker: int, version: int) -> int:
    """The sockmap slot of a door worker's TCP listener, ``version`` 4 or 6."""
    return 6 + 2 * worker + (version == 6)


def mac_number(mac: str) -> int:
    """A MAC ("02:00:00:00:00:01") as the kernel's number."""
    return int.from_bytes(bytes.fromhex(mac.replace(":", "")), "little")


def mac_text(number: int) -> str:
    """The kernel's number as a MAC, lower case with colons."""
    return number.to_bytes(6, "little").hex(":")


def rate(per_second: int, burst: int) -> tuple[int, int]:
    """GCRA gap and slack in nanoseconds (ITU-T I.371) for a sustained rate and so many packets at once."""
    gap = max(1, NANO // per_second)
    return gap, gap * (burst - 1)


@dataclass(frozen=True)
class Device:
    """One entry of the kernel's table of devices. ``ip4``: the lease, None without one.

    ``lan``: some LAN host may open connections to it; ``since``: those opened before are over (CLOCK_MONOTONIC, nanoseconds).
    """

    slot: int
    kind: Kind
    worker: int = 0
    ip4: IPv4Address | None = None
    lan: bool = False
    since: int = 0

    def pack(self) -> bytes:
        packed = self.ip4.packed if self.ip4 else bytes(4)
        return DEVICE.pack(self.slot, packed, KINDS[self.kind], self.worker, self.lan, 0, 0, self.since)


@dataclass(frozen=True)
class Event:
    """A sampled drop. ``destination`` is empty where the packet is neither IP nor ARP."""

    time: int
    mac: str
    slot: int
    reason: int
    protocol: str
    destination: str
    port: int

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        time, mac, slot, reason, number, family, _, address, port, _, _ = EVENT.unpack_from(data)
        destination = ""
        if family == 6:
            destination = str(IPv6Address(address))
        elif any(address[:4]):
            destination = str(IPv4Address(address[:4]))
        if family == 0:
            protocol = "arp" if destination else "ethernet"
        else:
            protocol = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}.get(number, f"ip-{number}")
        shown = int.from_bytes(port, "big") if protocol in ("tcp", "udp") else 0
        return cls(time, mac_text(mac), slot, reason, protocol, destination, shown)


def settings(config: Config, mac: str, link_local: IPv6Address | None, lan_index: int) -> bytes:
    """The settings record. ``lan_index`` is 0 where there is no LAN interface; the LAN then opens nothing."""
    lan4, lan6 = config.lan.ipv4.network, config.lan.ipv6.network
    dmz4 = config.dmz.ipv4.network
    steering = config.steering
    return SETTINGS.pack(
        mac_number(mac),
        config.dmz.ipv6.ip.packed,
        (link_local or config.dmz.ipv6.ip).packed,
        lan6.network_address.packed,
        lan6.netmask.packed,
        config.dmz.ipv6.network.network_address.packed[:8],
        *rate(steering.packets_per_second, steering.packets_burst),
        *rate(steering.control_per_second, steering.control_burst),
        *rate(steering.strangers_per_second, steering.strangers_per_second),
        *rate(steering.strangers_openings_per_second, steering.strangers_openings_per_second),
        config.dmz.ipv4.ip.packed,
        dmz4.network_address.packed,
        dmz4.netmask.packed,
        lan4.network_address.packed,
        lan4.netmask.packed,
        lan_index if config.lan.may_open_to_dmz else 0,
        steering.foreign_dns == "answer",
        steering.addresses6_per_device,
        STRANGERS_ADDRESSES6,
        1,
    )


UNCONFIGURED = bytes(SETTINGS.size)


def guard_settings(config: Config, mac: str) -> bytes:
    """The guard's settings record: a port may carry what one device may, for each of the few that may sit behind it."""
    gap, slack = rate(2 * config.steering.packets_per_second, 2 * config.steering.packets_burst)
    return GUARD_SETTINGS.pack(mac_number(mac), gap, slack, SEATS_PER_PORT, 0)
