"""Compiles and loads the eBPF programs and gives their maps a Python face.

The only module that imports bcc, and only once something is loaded. It must never decide anything.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gateway.config import Config
from gateway.steering import layout

FLAGS = ["-Wno-unused-function"]
COMPILER = ("libLLVM", "libclang", "libbcc", "libz3")  # 90 MB of code that runs once


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
        if self._lib.bpf_lookup_elem(self.fd, self._sized(key, self._key), found) != 0:
            return None
        return found.raw

    def set(self, key: bytes, value: bytes) -> None:
        """Add or replace an entry. Raises OSError."""
        if self._lib.bpf_update_elem(self.fd, self._sized(key, self._key), self._sized(value, self._value), 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot write to an eBPF map: {os.strerror(number)}")

    def delete(self, key: bytes) -> bool:
        """Remove an entry; whether there was one. Raises OSError."""
        if self._lib.bpf_delete_elem(self.fd, self._sized(key, self._key)) == 0:
            return True
        number = ctypes.get_errno()
        if number in (errno.ENOENT, errno.EINVAL):  # a sockmap says EINVAL
            return False
        raise OSError(number, f"cannot remove an entry of an eBPF map: {os.strerror(number)}")

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every entry once, as long as nobody deletes meanwhile; the keys are collected first."""
        keys: list[bytes] = []
        key = ctypes.create_string_buffer(self._key)
        more = self._lib.bpf_get_first_key(self.fd, key, self._key) == 0
        while more:
            keys.append(key.raw)
            following = ctypes.create_string_buffer(self._key)
            more = self._lib.bpf_get_next_key(self.fd, key, following) == 0
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


class _Module:
    """One compiled C file."""

    def __init__(self, name: str, defines: dict[str, int]) -> None:
        import bcc  # lazily: 50 MB and a compiler

        self._lib = bcc.lib
        flags = [*FLAGS, *(f"-D{key}={value}" for key, value in defines.items())]
        try:
            self._bpf = bcc.BPF(text=source(name).encode(), cflags=flags)
        except Exception as error:  # bcc raises bare Exception
            raise LoadError(
                f"{name}: does not compile: {error}; are the kernel headers there (/lib/modules/$(uname -r)/build)?"
            ) from error
        self._name = name

    def load(self, function: str) -> int:
        """Load one program; its descriptor."""
        try:
            return int(self._bpf.load_func(function.encode(), self._bpf.SCHED_CLS).fd)
        except Exception as error:
            raise LoadError(
                f"{self._name}: the kernel refused {function}: {error}; it needs CAP_BPF and CAP_NET_ADMIN"
            ) from error

    def map(self, name: str, key_size: int, value_size: int) -> KernelMap:
        fd = self._lib.bpf_table_fd(self._bpf.module, name.encode())
        if fd < 0:
            raise LoadError(f"{self._name}: there is no map {name}")
        return KernelMap(self._lib, fd, key_size, value_size)

    def ring(self, name: str, receive: Callable[[bytes], None]) -> Callable[[], None]:
        """Open a ring buffer; calling the result passes on what waits in it."""

        def callback(_context: Any, data: Any, size: int) -> None:
            receive(ctypes.string_at(data, size))

        self._bpf[name.encode()].open_ring_buffer(callback)
        consume: Callable[[], None] = self._bpf.ring_buffer_consume
        return consume

    def settle(self) -> None:
        """Give the compiler's memory back; nothing is compiled after this."""
        self._bpf.free_bcc_memory()
        ctypes.CDLL(None).malloc_trim(0)
        unmap_code(COMPILER)

    def close(self) -> None:
        self._bpf.cleanup()


def unmap_code(libraries: tuple[str, ...]) -> None:
    """Take the code of these libraries out of this process (madvise(2)).

    It stays in the page cache while there is room, so that a restart is quick; what is called again is mapped again. Code
    only: their data has been written to (relocations), and what the file says of it is no longer true.
    """
    libc = ctypes.CDLL(None)
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, permissions, *_ = line.split(None, 2)
        if permissions == "r-xp" and line.rpartition("/")[2].startswith(libraries):
            first, last = (int(number, 16) for number in addresses.split("-"))
            libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_DONTNEED)


def program_id(fd: int) -> int:
    """The kernel's id of a loaded program (proc(5), fdinfo)."""
    text = Path(f"/proc/self/fdinfo/{fd}").read_text()
    found = re.search(r"^prog_id:\s*(\d+)$", text, re.MULTILINE)
    if not found:
        raise LoadError(f"descriptor {fd} is no eBPF program")
    return int(found[1])


class Steer:
    """steer.c, loaded but attached to nothing: until ``settings`` and ``alive`` are written it drops everything."""

    def __init__(self, config: Config) -> None:
        self.slots = config.steering.max_devices + 1
        self.cpus = possible_cpus()
        claims = config.steering.max_devices * config.steering.addresses6_per_device + layout.STRANGERS_ADDRESSES6
        self._module = _Module("steer.c", {"SLOTS": self.slots, "CPUS": self.cpus, "CLAIMS": claims})
        self.ingress = self._module.load("steer_ingress")
        self.egress = self._module.load("record_egress")
        self.settings = self._module.map("settings_map", 4, layout.SETTINGS.size)
        self.alive = self._module.map("alive_until", 4, 8)
        self.devices = self._module.map("devices", 8, layout.DEVICE.size)
        self.own4 = self._module.map("own4", 4, 1)
        self.own6 = self._module.map("own6", layout.ADDRESS6_SIZE, 1)
        self.listeners = self._module.map("listeners", 4, 8)
        self.claims6 = self._module.map("claims6", layout.ADDRESS6_SIZE, layout.CLAIM.size)
        self.claims6_made = self._module.map("claims6_made", 4, 8)
        self.claims6_freed = self._module.map("claims6_freed", 4, 8)
        self.flows = self._module.map("flows", layout.FLOW.size, 8)
        self.packet_meter = self._module.map("packet_meter", 4, 8)
        self.control_meter = self._module.map("control_meter", 4, 8)
        counters = self._module.map("counters", 4, layout.COUNTER.size)
        self._counters = mmap.mmap(
            counters.fd, self.cpus * self.slots * layout.REASONS * layout.COUNTER.size, mmap.MAP_SHARED, mmap.PROT_READ
        )
        self._module.settle()

    def counters(self) -> bytes:
        """All counters as they are: CPU by CPU, slot by slot, reason by reason."""
        return self._counters[:]

    def on_event(self, receive: Callable[[layout.Event], None]) -> Callable[[], None]:
        """Give each sampled drop to ``receive`` whenever the returned function is called."""
        return self._module.ring("events", lambda data: receive(layout.Event.unpack(data)))

    def close(self) -> None:
        """Let go. An attached program stays until it is replaced or detached; it then drops everything (``alive``)."""
        self._counters.close()
        self._module.close()


class Guard:
    """guard.c, loaded but attached to nothing."""

    def __init__(self) -> None:
        self._module = _Module("guard.c", {"SEATS": layout.SEATS})
        self.ingress = self._module.load("guard_ingress")
        self.settings = self._module.map("guard_settings_map", 4, layout.GUARD_SETTINGS.size)
        self.seats = self._module.map("seats", 8, layout.SEAT.size)
        self.ports = self._module.map("ports", 4, layout.PORT.size)
        self.freed = self._module.map("seats_freed", 4, 4)
        self._module.settle()

    def close(self) -> None:
        self._module.close()
