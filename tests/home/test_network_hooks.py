"""TrafficHooks against the running kernel, in a network namespace that exists only for the test."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.network.errors import NetworkError
from gateway.network.hooks import TrafficHooks

SYS_BPF = 321  # x86_64
BPF_PROG_LOAD = 5
SCHED_CLS = 3


def load_verdict(verdict: int) -> int:
    """A file descriptor of a program that returns ``verdict``."""
    program = ctypes.create_string_buffer(struct.pack("<BBhi", 0xB7, 0, 0, verdict) + struct.pack("<BBhi", 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = ctypes.create_string_buffer(
        struct.pack("<IIQQIIQI", SCHED_CLS, 2, ctypes.addressof(program), ctypes.addressof(licence), 0, 0, 0, 0).ljust(128, b"\0")
    )
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(SYS_BPF, BPF_PROG_LOAD, attributes, 128)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return int(fd)


def program_id(fd: int) -> int:
    with Path(f"/proc/self/fdinfo/{fd}").open() as file:
        return next(int(line.split()[1]) for line in file if line.startswith("prog_id"))


@pytest.fixture
def namespace() -> Iterator[None]:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    os.unshare(os.CLONE_NEWNET)
    try:
        subprocess.run(
            "ip link add dmz0 address 02:00:00:00:00:01 type veth peer name far && ip addr add 192.0.2.1/24 dev dmz0",
            shell=True,
            check=True,
        )
        yield
    finally:
        os.setns(home, os.CLONE_NEWNET)
        os.close(home)


@pytest.fixture
def programs(namespace: None) -> Iterator[tuple[int, int]]:
    first, second = load_verdict(0), load_verdict(2)
    yield first, second
    os.close(first)
    os.close(second)


def test_a_program_is_attached_replaced_and_detached(programs: tuple[int, int]) -> None:
    hooks = TrafficHooks()
    assert hooks.attached("dmz0", "ingress") is None
    hooks.attach("dmz0", "ingress", programs[0], "first")
    assert hooks.attached("dmz0", "ingress") == program_id(programs[0])
    assert hooks.attached("dmz0", "egress") is None
    hooks.attach("dmz0", "ingress", programs[1], "second")
    hooks.attach("dmz0", "egress", programs[0], "out")
    assert hooks.attached("dmz0", "ingress") == program_id(programs[1])
    assert hooks.attached("dmz0", "egress") == program_id(programs[0])
    shown = subprocess.run(["tc", "filter", "show", "dev", "dmz0", "ingress"], capture_output=True, text=True, check=True).stdout
    assert shown.count("direct-action") == 1  # replaced, not added
    hooks.detach("dmz0", "ingress")
    assert hooks.attached("dmz0", "ingress") is None
    assert hooks.attached("dmz0", "egress") == program_id(programs[0])
    hooks.detach("dmz0", "ingress")  # nothing there any more: no error


def test_it_works_where_an_event_loop_runs(programs: tuple[int, int]) -> None:
    async def inside() -> int | None:
        hooks = TrafficHooks()
        hooks.attach("dmz0", "ingress", programs[0], "first")
        return hooks.attached("dmz0", "ingress")

    assert asyncio.run(inside()) == program_id(programs[0])


def test_an_absent_interface(programs: tuple[int, int]) -> None:
    hooks = TrafficHooks()
    with pytest.raises(NetworkError, match="gone0: no such interface; run `mudroom network apply` first"):
        hooks.attach("gone0", "ingress", programs[0], "first")
    assert hooks.attached("gone0", "ingress") is None
    assert hooks.index("gone0") is None
    assert hooks.mac("gone0") is None
    hooks.detach("gone0", "ingress")


def test_a_descriptor_that_is_no_program(namespace: None) -> None:
    with Path("/dev/null").open() as file, pytest.raises(NetworkError, match="cannot attach x at ingress"):
        TrafficHooks().attach("dmz0", "ingress", file.fileno(), "x")


def test_what_steering_asks_of_the_network(namespace: None) -> None:
    hooks = TrafficHooks()
    assert hooks.mac("dmz0") == "02:00:00:00:00:01"
    shown = subprocess.run(["ip", "-o", "link", "show", "dmz0"], capture_output=True, text=True, check=True).stdout
    assert hooks.index("dmz0") == int(shown.split(":")[0])
    assert ("dmz0", "192.0.2.1") in hooks.addresses()
