"""Has the eBPF programs compiled and loaded, and gives their maps a Python face.

bcc compiles and loads in a child process (``compiler``), which hands over the descriptors and ends: the compiler's 60 MB
are not this process's. What is left to do here is libbpf's, on which bcc itself stands. It must never decide anything.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gateway.config import Config
from gateway.steering import layout

FLAGS = ["-Wno-unused-function"]
COMPILER = Path(__file__).with_name("compiler.py")
COMPILE_SECONDS = 240.0  # the slowest emulated machine takes 15 s; the unit's start may take 300
LIBBPF = "libbpf.so.1"
ANY = ctypes.c_uint64(0)  # BPF_ANY, linux/bpf.h
MOST_DESCRIPTORS = 64
LONGEST_ANSWER = 1 << 16  # bytes; a compiler has much to say
_SAMPLE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)  # ring_buffer_sample_fn


class LoadError(OSError):
    """The kernel or the compiler refused a program. Says which, and what to look at."""


def source_folder() -> Path:
    """Where the C files lie: ``$MUDROOM_EBPF``, or ``ebpf/`` beside the package."""
    return Path(os.environ.get("MUDROOM_EBPF") or Path(__file__).parents[2] / "ebpf")


def source(name: str, folder: Path | None = None) -> str:
    """One C file with our own headers put in: bcc rewrites map accesses only in the file that it is given."""
    base = folder or source_folder()
    done: set[str] = set()

    def expand(path: str) -> str:
        if path in done:
            return ""
        done.add(path)
        try:
            text = Path(base, path).read_text(encoding="utf-8")
        except OSError as error:
            raise LoadError(f"{error}; set MUDROOM_EBPF to the folder that holds steer.c") from error
        text = text.replace("#pragma once", "")
        return re.sub(r'^#include "(.*)"$', lambda found: expand(found[1]), text, flags=re.MULTILINE)

    return expand(name)


def possible_cpus() -> int:
    """How many numbers the kernel may give to a CPU."""
    return int(Path("/sys/devices/system/cpu/possible").read_text().strip().split("-")[-1]) + 1


class KernelMap:
    """A map of the kernel: bytes to bytes."""

    def __init__(self, lib: Any, fd: int, key_size: int, value_size: int) -> None:
        self._lib = lib
        self.fd = fd
        self._key = key_size
        self._value = value_size

    def get(self, key: bytes) -> bytes | None:
        """The value, or None where there is no such entry."""
        found = ctypes.create_string_buffer(self._value)
        if self._lib.bpf_map_lookup_elem(self.fd, self._sized(key, self._key), found) != 0:
            return None
        return found.raw

    def set(self, key: bytes, value: bytes) -> None:
        """Add or replace an entry. Raises OSError."""
        if self._lib.bpf_map_update_elem(self.fd, self._sized(key, self._key), self._sized(value, self._value), ANY) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot write to an eBPF map: {os.strerror(number)}")

    def delete(self, key: bytes) -> bool:
        """Remove an entry; whether there was one. Raises OSError."""
        if self._lib.bpf_map_delete_elem(self.fd, self._sized(key, self._key)) == 0:
            return True
        number = ctypes.get_errno()
        if number in (errno.ENOENT, errno.EINVAL):  # a sockmap says EINVAL
            return False
        raise OSError(number, f"cannot remove an entry of an eBPF map: {os.strerror(number)}")

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every entry once, as long as nobody deletes meanwhile; the keys are collected first."""
        keys: list[bytes] = []
        key = ctypes.create_string_buffer(self._key)
        more = self._lib.bpf_map_get_next_key(self.fd, None, key) == 0
        while more:
            keys.append(key.raw)
            following = ctypes.create_string_buffer(self._key)
            more = self._lib.bpf_map_get_next_key(self.fd, key, following) == 0
            key = following
        for each in keys:
            value = self.get(each)
            if value is not None:
                yield each, value

    @staticmethod
    def _sized(data: bytes, size: int) -> Any:
        if len(data) != size:
            raise ValueError(f"{len(data)} bytes where the map takes {size}")
        return ctypes.create_string_buffer(data, size)


def _hand_over(name: str, request: bytes, expected: int) -> list[int]:
    """The descriptors that the compiler's process made of ``request``. Raises LoadError; then none of them is left open."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            try:
                child = subprocess.Popen([sys.executable, "-I", "-B", str(COMPILER)], stdin=theirs.fileno())  # noqa: S603
            except OSError as error:
                raise LoadError(f"{name}: the compiler does not start: {error}") from error
        with child:
            try:
                ours.settimeout(COMPILE_SECONDS)
                ours.send(request)
                answer, found, _, _ = socket.recv_fds(ours, LONGEST_ANSWER, MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
            except TimeoutError:
                raise LoadError(f"{name}: the compiler took longer than {COMPILE_SECONDS:g} s; is the box overloaded?") from None
            except OSError as error:
                raise LoadError(f"{name}: the compiler ended early ({error}); is there enough memory?") from error
            finally:
                child.kill()  # it has nothing more to do; leaving the block waits for its end
    fault = _fault(answer)
    if not fault and len(found) != expected:
        fault = f"the compiler handed over {len(found)} of {expected} programs and maps"
    if fault:
        for descriptor in found:
            os.close(descriptor)
        raise LoadError(f"{name}: {fault}")
    return found


def _fault(answer: bytes) -> str:
    if not answer:
        return "the compiler ended early; is there enough memory?"
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError) as error:
        return f"the compiler's answer cannot be understood: {error}"


def _facts(fd: int) -> dict[str, str]:
    """What the kernel says of a descriptor (proc(5), fdinfo)."""
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


class _Module:
    """One compiled C file: its ``programs`` and ``maps`` (name: sizes of key and value), and what a ring buffer holds."""

    def __init__(
        self, name: str, defines: dict[str, int], programs: tuple[str, ...], maps: dict[str, tuple[int, int]], ring: str = ""
    ) -> None:
        flags = [*FLAGS, *(f"-D{key}={value}" for key, value in defines.items())]
        wanted = [*maps, *([ring] if ring else [])]
        request = {"name": name, "text": source(name), "flags": flags, "programs": programs, "maps": wanted}
        try:
            self._lib = ctypes.CDLL(LIBBPF, use_errno=True)
        except OSError as error:
            raise LoadError(f"{name}: {error}; `apt-get install libbpf1`") from error
        self._lib.ring_buffer__new.restype = ctypes.c_void_p
        self._name = name
        self._ring: ctypes.c_void_p | None = None
        self._callback: Any = None
        self._descriptors = _hand_over(name, json.dumps(request).encode(), len(programs) + len(wanted))
        by_name = dict(zip([*programs, *wanted], self._descriptors, strict=True))
        self.programs = {program: by_name[program] for program in programs}
        self._ring_fd = by_name.get(ring, -1)
        try:
            for program in programs:
                program_id(by_name[program])
            self.maps = {each: self._map(each, by_name[each], *sizes) for each, sizes in maps.items()}
        except OSError:
            self.close()
            raise

    def _map(self, name: str, fd: int, key_size: int, value_size: int) -> KernelMap:
        facts = _facts(fd)
        sizes = (facts.get("key_size"), facts.get("value_size"))
        if sizes != (str(key_size), str(value_size)):  # the kernel would write beyond our buffers
            raise LoadError(f"{self._name}: {name} holds keys and values of {sizes} bytes, not {(key_size, value_size)}")
        return KernelMap(self._lib, fd, key_size, value_size)

    def on_ring(self, receive: Callable[[bytes], None]) -> Callable[[], None]:
        """Open the ring buffer; calling the result passes on what waits in it. Raises LoadError."""

        def callback(_context: Any, data: Any, size: int) -> int:
            receive(ctypes.string_at(data, size))
            return 0

        self._callback = _SAMPLE(callback)  # libbpf keeps its address only
        opened = self._lib.ring_buffer__new(self._ring_fd, self._callback, None, None)
        if not opened:
            raise LoadError(f"{self._name}: the ring buffer cannot be opened: {os.strerror(ctypes.get_errno())}")
        ring = self._ring = ctypes.c_void_p(opened)

        def consume() -> None:
            self._lib.ring_buffer__consume(ring)

        return consume

    def close(self) -> None:
        if self._ring is not None:
            self._lib.ring_buffer__free(self._ring)
            self._ring = None
        while self._descriptors:
            os.close(self._descriptors.pop())


def program_id(fd: int) -> int:
    """The kernel's id of a loaded program (proc(5), fdinfo). Raises LoadError."""
    found = _facts(fd).get("prog_id")
    if found is None:
        raise LoadError(f"descriptor {fd} is no eBPF program")
    return int(found)


class Steer:
    """steer.c, loaded but attached to nothing: until ``settings`` and ``alive`` are written it drops everything."""

    def __init__(self, config: Config) -> None:
        self.slots = config.steering.max_devices + 1
        self.cpus = possible_cpus()
        claims = config.steering.max_devices * config.steering.addresses6_per_device + layout.STRANGERS_ADDRESSES6
        self._module = _Module(
            "steer.c",
            {"SLOTS": self.slots, "CPUS": self.cpus, "CLAIMS": claims},
            ("steer_ingress", "record_egress"),
            {
                "settings_map": (4, layout.SETTINGS.size),
                "alive_until": (4, 8),
                "devices": (8, layout.DEVICE.size),
                "own4": (4, 1),
                "own6": (layout.ADDRESS6_SIZE, 1),
                "listeners": (4, 8),
                "claims6": (layout.ADDRESS6_SIZE, layout.CLAIM.size),
                "claims6_made": (4, 8),
                "claims6_freed": (4, 8),
                "flows": (layout.FLOW.size, 8),
                "packet_meter": (4, 8),
                "control_meter": (4, 8),
                "counters": (4, layout.COUNTER.size),
            },
            ring="events",
        )
        maps = self._module.maps
        self.ingress = self._module.programs["steer_ingress"]
        self.egress = self._module.programs["record_egress"]
        self.settings, self.alive, self.listeners = maps["settings_map"], maps["alive_until"], maps["listeners"]
        self.devices, self.own4, self.own6 = maps["devices"], maps["own4"], maps["own6"]
        self.claims6, self.claims6_made, self.claims6_freed = maps["claims6"], maps["claims6_made"], maps["claims6_freed"]
        self.flows, self.packet_meter, self.control_meter = maps["flows"], maps["packet_meter"], maps["control_meter"]
        size = self.cpus * self.slots * layout.REASONS * layout.COUNTER.size
        self._counters = mmap.mmap(maps["counters"].fd, size, mmap.MAP_SHARED, mmap.PROT_READ)

    def counters(self) -> bytes:
        """All counters as they are: CPU by CPU, slot by slot, reason by reason."""
        return self._counters[:]

    def on_event(self, receive: Callable[[layout.Event], None]) -> Callable[[], None]:
        """Give each sampled drop to ``receive`` whenever the returned function is called."""
        return self._module.on_ring(lambda data: receive(layout.Event.unpack(data)))

    def close(self) -> None:
        """Let go. An attached program stays until it is replaced or detached; it then drops everything (``alive``)."""
        self._counters.close()
        self._module.close()


class Guard:
    """guard.c, loaded but attached to nothing."""

    def __init__(self) -> None:
        self._module = _Module(
            "guard.c",
            {"SEATS": layout.SEATS},
            ("guard_ingress",),
            {
                "guard_settings_map": (4, layout.GUARD_SETTINGS.size),
                "seats": (8, layout.SEAT.size),
                "ports": (4, layout.PORT.size),
                "seats_freed": (4, 4),
            },
        )
        maps = self._module.maps
        self.ingress = self._module.programs["guard_ingress"]
        self.settings, self.seats, self.ports, self.freed = (
            maps["guard_settings_map"], maps["seats"], maps["ports"], maps["seats_freed"],
        )  # fmt: skip

    def close(self) -> None:
        self._module.close()
