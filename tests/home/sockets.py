"""Sockets and captures inside network namespaces, held by this process."""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.network.rtnl import in_thread

ETH_P_ALL = 0x0003


def visit[T](namespace: str, do: Callable[[], T]) -> T:
    """Call ``do`` in a thread that stands in ``namespace`` (setns(2) is per thread); its result. Raises what it raises."""

    def go() -> T:
        handle = os.open(Path("/run/netns", namespace), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.setns(handle, os.CLONE_NEWNET)
        finally:
            os.close(handle)
        return do()

    return in_thread(go)


def socket_in(namespace: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """A socket that lives in ``namespace``: a thread visits it and the socket stays."""
    return visit(namespace, lambda: socket.socket(family, kind, protocol))


@dataclass(frozen=True)
class Frame:
    """A captured Ethernet frame. ``outgoing``: sent by the namespace itself."""

    data: bytes
    outgoing: bool

    @property
    def ethertype(self) -> int:
        """What it carries."""
        return int.from_bytes(self.data[12:14])

    @property
    def source(self) -> str:
        """The IP source address, or empty."""
        if self.ethertype == 0x0800 and len(self.data) >= 34:
            return socket.inet_ntop(socket.AF_INET, self.data[26:30])
        if self.ethertype == 0x86DD and len(self.data) >= 54:
            return socket.inet_ntop(socket.AF_INET6, self.data[22:38])
        return ""

    @property
    def destination(self) -> str:
        """The IP destination address, or empty."""
        if self.ethertype == 0x0800 and len(self.data) >= 34:
            return socket.inet_ntop(socket.AF_INET, self.data[30:34])
        if self.ethertype == 0x86DD and len(self.data) >= 54:
            return socket.inet_ntop(socket.AF_INET6, self.data[38:54])
        return ""

    @property
    def protocol(self) -> int:
        """The IP protocol or next header, or -1."""
        if self.ethertype == 0x0800 and len(self.data) >= 34:
            return self.data[23]
        if self.ethertype == 0x86DD and len(self.data) >= 54:
            return self.data[20]
        return -1

    @property
    def ports(self) -> tuple[int, int]:
        """Source and destination port of TCP and UDP without options, or (-1, -1)."""
        start = 34 if self.ethertype == 0x0800 else 54
        if self.protocol not in (6, 17) or len(self.data) < start + 4:
            return (-1, -1)
        ports: tuple[int, int] = struct.unpack_from("!HH", self.data, start)
        return ports

    def __str__(self) -> str:
        way = "out" if self.outgoing else "in"
        ends = f"{self.source or hex(self.ethertype)}:{self.ports[0]} -> {self.destination}:{self.ports[1]}"
        return f"{way} {ends} protocol {self.protocol}, {len(self.data)} bytes"


class Capture:
    """Every frame on an interface of a namespace, from `with` to its end; at most ``limit`` are kept, all are counted."""

    def __init__(self, namespace: str, interface: str = "eth0", limit: int = 50_000) -> None:
        self.frames: list[Frame] = []
        self.count = 0
        self._limit = limit
        self._socket = socket_in(namespace, socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024 * 1024)
        self._socket.bind((interface, ETH_P_ALL))
        self._stop, self._stopping = os.pipe()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Capture:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stopping, b"x")
        self._thread.join()
        self._drain()
        self._socket.close()
        os.close(self._stop)
        os.close(self._stopping)

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._stop, selectors.EVENT_READ)
            while True:
                if any(key.fd == self._stop for key, _ in selector.select()):
                    return
                self._drain()

    def _drain(self) -> None:
        while True:
            try:
                data, address = self._socket.recvfrom(65_535)
            except BlockingIOError:
                return
            except OSError:  # the interface went away; what was seen stays seen
                return
            self.count += 1
            if len(self.frames) < self._limit:
                self.frames.append(Frame(data, outgoing=address[2] == socket.PACKET_OUTGOING))

    def with_marker(self, marker: bytes) -> list[Frame]:
        """The frames that carry these bytes."""
        return [frame for frame in self.frames if marker in frame.data]
