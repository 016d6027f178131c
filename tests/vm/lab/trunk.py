"""The switch at the guest's trunk port: adds and strips the 802.1Q tag, because the host's kernel may not know VLANs.

Its access ports are isolated from each other, as docs/operating.md asks of the owner's switch. Each belongs to one VLAN, the
devices' where nothing else is said. It writes down every frame that the guest sends into the trunk, and lets a test send any
bytes in.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from dataclasses import dataclass
from typing import Self

from tests.vm.lab.taps import Tap

TPID = 0x8100  # IEEE 802.1Q
_MULTICAST = 0x01


@dataclass(frozen=True)
class Seen:
    """A frame that came out of the guest's trunk port. ``at``: time.monotonic()."""

    data: bytes
    at: float

    @property
    def vlan(self) -> int | None:
        """The outer tag's VLAN; None for an untagged frame."""
        if int.from_bytes(self.data[12:14]) != TPID:
            return None
        return int.from_bytes(self.data[14:16]) & 0x0FFF

    @property
    def inner(self) -> bytes:
        """The frame without its outer tag."""
        return self.data if self.vlan is None else self.data[:12] + self.data[16:]


def tagged(frame: bytes, vlan: int, *, priority: int = 0, tpid: int = TPID) -> bytes:
    """``frame`` with an 802.1Q tag (another one where it has one already)."""
    return frame[:12] + tpid.to_bytes(2) + ((priority << 13) | vlan).to_bytes(2) + frame[12:]


class Trunk:
    """The switch. A context manager; ``peer`` is the end for QEMU's `-netdev dgram` (a Unix datagram socket, one frame each).

    ``line``: a connected datagram socket to use in its place (for example UDP on loopback towards a QEMU that another
    program starts); then ``peer`` is None.
    """

    def __init__(self, vlan: int, line: socket.socket | None = None, limit: int = 20_000) -> None:
        self.vlan = vlan
        self.seen: list[Seen] = []
        self.peer: socket.socket | None = None
        self._ports: dict[Tap, int] = {}  # access port to VLAN; 0: untagged on the trunk too
        self._lock = threading.Lock()  # of the ports
        self._selector = selectors.DefaultSelector()
        self._limit = limit
        if line is None:
            line, self.peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.peer.setblocking(False)
        self._line = line
        self._line.setblocking(False)
        self._stop, self._stopping = os.pipe()
        self._thread = threading.Thread(target=self._switch, name="trunk", daemon=True)

    def plug(self, tap: Tap, vlan: int | None = None) -> None:
        """Give ``tap`` an access port in ``vlan`` (None: the devices'; 0: what the trunk carries untagged), or another VLAN."""
        with self._lock:
            if tap not in self._ports:
                tap.plain()
                self._selector.register(tap.fd, selectors.EVENT_READ, tap)
            self._ports[tap] = self.vlan if vlan is None else vlan

    def unplug(self, tap: Tap) -> None:
        """Leave ``tap`` alone: a QEMU may have it."""
        with self._lock:
            if self._ports.pop(tap, None) is not None:
                self._selector.unregister(tap.fd)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stopping, b"x")
        self._thread.join()
        os.close(self._stop)
        os.close(self._stopping)
        self._selector.close()
        self._line.close()
        if self.peer is not None:
            self.peer.close()

    def inject(self, frame: bytes) -> None:
        """Send these bytes into the guest's trunk port as they are."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._line.send(frame)

    def drain(self) -> None:
        """Throw away what waits for a machine that is not there."""
        if self.peer is not None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.peer.recv(65_536)

    def mark(self) -> int:
        """A place in ``seen``, for `since`."""
        return len(self.seen)

    def since(self, mark: int) -> list[Seen]:
        """What the guest has sent since `mark`."""
        return self.seen[mark:]

    def _switch(self) -> None:
        self._selector.register(self._line, selectors.EVENT_READ, None)
        self._selector.register(self._stop, selectors.EVENT_READ, "stop")
        while True:
            for key, _ in self._selector.select():
                if key.data == "stop":
                    return
                with self._lock:
                    if key.data is None:
                        self._from_guest()
                    elif key.data in self._ports:
                        self._from_port(key.data)

    def _from_guest(self) -> None:
        for _ in range(64):
            try:
                frame = self._line.recv(65_536)
            except (BlockingIOError, ConnectionError):
                return
            if len(frame) < 14:
                continue
            found = Seen(frame, time.monotonic())
            if len(self.seen) < self._limit:
                self.seen.append(found)
            if found.vlan != 0:  # a priority tag is no VLAN of ours
                self._deliver(found.inner, found.vlan or 0)

    def _deliver(self, frame: bytes, vlan: int) -> None:
        target = frame[:6]
        for port, own in self._ports.items():
            if own == vlan and (target[0] & _MULTICAST or target == bytes.fromhex(port.mac.replace(":", ""))):
                with contextlib.suppress(OSError):
                    port.send(frame)

    def _from_port(self, port: Tap) -> None:
        vlan = self._ports[port]
        for _ in range(64):
            try:
                frame = port.receive()
            except OSError:
                return
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self._line.send(tagged(frame, vlan) if vlan else frame)
