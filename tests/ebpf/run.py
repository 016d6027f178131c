"""Runs one packet through a loaded program (BPF_PROG_TEST_RUN) and sets the maps up as a small home."""

from __future__ import annotations

import ctypes
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from gateway.config import Config
from gateway.registry import Kind
from gateway.steering import layout
from gateway.steering.loader import LIBBPF, Steer

GATEWAY_MAC = "02:00:00:00:77:01"
LINK_LOCAL = "fe80::77:1"
LAN_INDEX = 5
WAN4, WAN6 = "203.0.113.9", "2001:db8:9::9"
LAN4, LAN6 = "192.168.77.1", "fd4d:7564:726d:1::1"
OUR4, OUR6 = "10.77.0.1", "fd4d:7564:726d:2::1"
PREFIX6 = "fd4d:7564:726d:2::"
FOREVER = (1 << 63) - 1
CONTEXT = 192  # sizeof(struct __sk_buff), and its fields below
_MARK, _INGRESS, _CB = 8, 36, 48

# mac, kind, lease, slot, worker
STANDARD = ("02:00:00:00:00:01", Kind.STANDARD, "10.77.0.21", 1, 0)
SECOND = ("02:00:00:00:00:02", Kind.STANDARD, "10.77.0.22", 2, 1)
LOCAL = ("02:00:00:00:00:03", Kind.LOCAL, "10.77.0.23", 3, 0)
UNKNOWN = ("02:00:00:00:00:04", Kind.UNKNOWN, "10.77.0.24", 4, 0)
QUARANTINED = ("02:00:00:00:00:05", Kind.QUARANTINED, "10.77.0.25", 5, 0)
STRANGER = ("02:00:00:00:00:06", Kind.UNKNOWN, None, 0, 0)
DEVICES = (STANDARD, SECOND, LOCAL, UNKNOWN, QUARANTINED)


class Verdict(NamedTuple):
    """``classified`` is what classify() said, ``counted`` what act() made of it (bpf_sk_assign fails under TEST_RUN)."""

    passed: bool
    classified: int
    counted: int
    mark: int


class Opts(ctypes.Structure):
    """struct bpf_test_run_opts of libbpf."""

    _fields_ = [
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    ]


class Runner:
    """One program; buffers are kept, so that a hundred thousand packets are quick."""

    def __init__(self, fd: int) -> None:
        self._run = ctypes.CDLL(LIBBPF, use_errno=True).bpf_prog_test_run_opts
        self._fd = fd
        self._context = ctypes.create_string_buffer(CONTEXT)
        self._context_out = ctypes.create_string_buffer(CONTEXT)
        self._opts = Opts(sz=ctypes.sizeof(Opts), ctx_size_in=CONTEXT)
        self._opts.ctx_in = ctypes.addressof(self._context)
        self._opts.ctx_out = ctypes.addressof(self._context_out)
        self.nanoseconds = 0

    def __call__(self, packet: bytes, repeat: int = 1, ingress: int = 0, mark: int = 0) -> Verdict:
        """Run ``packet`` (from its Ethernet header on). Raises OSError."""
        opts = self._opts
        data = ctypes.create_string_buffer(packet, len(packet))
        struct.pack_into("=I", self._context, _MARK, mark)
        struct.pack_into("=I", self._context, _INGRESS, ingress)
        opts.data_in = ctypes.addressof(data)
        opts.data_size_in = len(packet)
        opts.data_out = None
        opts.data_size_out = 0
        opts.ctx_size_out = CONTEXT
        opts.repeat = repeat
        if self._run(self._fd, ctypes.byref(opts)) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"BPF_PROG_TEST_RUN: errno {number}")
        self.nanoseconds = opts.duration
        classified, counted = struct.unpack_from("=2I", self._context_out, _CB)
        return Verdict(opts.retval == 0, classified, counted, struct.unpack_from("=I", self._context_out, _MARK)[0])


def config(**steering: object) -> Config:
    """A home without rate limits unless ``steering`` says otherwise."""
    return Config(steering=make_steering(**steering))


def make_steering(**changes: object):  # type: ignore[no-untyped-def]
    from gateway.config import Steering

    limits = ("packets_per_second", "packets_burst", "control_per_second", "control_burst", "strangers_per_second")
    unlimited = dict.fromkeys((*limits, "strangers_openings_per_second"), 1_000_000_000)
    return Steering(**{**unlimited, **changes})


def furnish(steer: Steer, config: Config) -> None:
    """Write the small home into the maps."""
    steer.settings.set(bytes(4), layout.settings(config, GATEWAY_MAC, IPv6Address(LINK_LOCAL), LAN_INDEX))
    steer.alive.set(bytes(4), FOREVER.to_bytes(8, "little"))
    for mac, kind, lease, slot, worker in DEVICES:
        entry = layout.Device(slot, kind, worker, IPv4Address(lease), lan=True)
        steer.devices.set(layout.mac_number(mac).to_bytes(8, "little"), entry.pack())
    for text in (WAN4, LAN4, OUR4, WAN6, LAN6, OUR6, LINK_LOCAL):
        address = ip_address(text)
        (steer.own4 if address.version == 4 else steer.own6).set(address.packed, b"\1")


def forget_claims(steer: Steer) -> None:
    """Start afresh with IPv6 addresses."""
    for key, _ in list(steer.claims6.items()):
        steer.claims6.delete(key)
    for slot in range(8):
        key = slot.to_bytes(4, "little")
        steer.claims6_freed.set(key, steer.claims6_made.get(key) or bytes(8))
