"""The Unix socket where door, enrolment and names get their listeners and ask who a device is.

Written by hand on add_reader, because asyncio's transports cannot send descriptors. A worker's listener is in the sockmap
exactly as long as its connection here. This module must never keep a copy of a listener that it handed over.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway import service
from gateway.ipc.channel import peer_uid, share
from gateway.ipc.frames import FrameError, FrameReader, decoded, encode
from gateway.ipc.messages import AskStatus, Holder, Listeners, Message, Register, Status, WhoIs
from gateway.steering import sockets
from gateway.steering.layout import Listener, door_listener
from gateway.steering.loader import KernelMap

MAX_FRAME = 4096
PEERS_PER_WORKER = 4  # connections of one user: a worker needs one, and another while it comes back
log = logging.getLogger(__name__)


class Refusal(Exception):
    """The peer asked for what it may not have."""


@dataclass
class _Peer:
    sock: socket.socket
    uid: int
    reader: FrameReader = field(default_factory=lambda: FrameReader(MAX_FRAME))
    holds: tuple[str, int] | None = None  # role and worker


def slots(role: str, worker: int) -> dict[str, int]:
    """The sockmap slot of each of a worker's listeners."""
    if role == "names":
        return {"tcp4": Listener.TCP4, "tcp6": Listener.TCP6, "udp4": Listener.UDP4, "udp6": Listener.UDP6}
    if role == "enrolment":
        return {"tcp4": Listener.ENROL4, "tcp6": Listener.ENROL6}
    return {"tcp4": door_listener(worker, 4), "tcp6": door_listener(worker, 6)}


class Control:
    """The server. ``who`` answers WhoIs, ``status`` AskStatus; ``workers`` is the number of doors."""

    def __init__(
        self,
        *,
        path: Path,
        interface: str,
        workers: int,
        listeners: KernelMap,
        who: Callable[[str], tuple[str, str]],
        status: Callable[[], Status],
        uid_of: Callable[[str], int] = service.uid_of,
    ) -> None:
        self._path = path
        self._interface = interface
        self._workers = {"door": workers, "enrolment": 1, "names": 1}
        self._map = listeners
        self._who = who
        self._status = status
        self._uid_of = uid_of
        self._decoder = msgspec.msgpack.Decoder(Register | WhoIs | AskStatus)
        self._peers: dict[int, _Peer] = {}
        self._server: socket.socket | None = None

    @property
    def registered(self) -> list[tuple[str, int]]:
        """Role and worker of everyone who holds listeners."""
        return sorted(peer.holds for peer in self._peers.values() if peer.holds)

    def start(self) -> None:
        """Listen; an old socket in the same place is replaced. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            server.bind(str(self._path))
            share(self._path)
            server.listen(64)
        except OSError:
            server.close()
            raise
        self._server = server
        asyncio.get_running_loop().add_reader(server.fileno(), self._accept)

    def close(self) -> None:
        """Stop listening and let all workers go."""
        if self._server is not None:
            asyncio.get_running_loop().remove_reader(self._server.fileno())
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)
        self.release_all()

    def release_all(self) -> None:
        """Let all workers go; they come back for new listeners. Needed when the DMZ's interface was made anew."""
        for peer in list(self._peers.values()):
            self._drop(peer)

    def _accept(self) -> None:
        assert self._server is not None  # noqa: S101  # for mypy
        try:
            sock, _ = self._server.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        sock.setblocking(False)
        peer = _Peer(sock, peer_uid(sock))
        if not self._welcome(peer.uid):
            sock.close()
            return
        self._peers[sock.fileno()] = peer
        asyncio.get_running_loop().add_reader(sock.fileno(), self._read, peer)

    def _welcome(self, uid: int) -> bool:
        """Whether one more peer of this user may come: descriptors that a broken worker took would be missing everywhere else."""
        try:
            known = uid in {0, *(self._uid_of(role) for role in self._workers)}
        except LookupError as error:
            log.error("%s", error)
            known = uid == 0
        if not known:
            log.error("uid %d may not speak to steering", uid)
            return False
        most = PEERS_PER_WORKER * sum(self._workers.values())
        if sum(peer.uid == uid for peer in self._peers.values()) >= most:
            log.error("uid %d has %d connections; it gets no more", uid, most)
            return False
        return True

    def _read(self, peer: _Peer) -> None:
        try:
            data = peer.sock.recv(65536)
            if not data:
                self._drop(peer)
                return
            for payload in peer.reader.feed(data):
                self._serve(peer, decoded(self._decoder, payload))
        except (BlockingIOError, InterruptedError):
            return
        except (FrameError, Refusal, OSError, LookupError) as error:
            log.error("cut off a peer (uid %d): %s", peer.uid, error)
            self._drop(peer)

    def _serve(self, peer: _Peer, message: Register | WhoIs | AskStatus) -> None:
        match message:
            case Register():
                self._register(peer, message.role, message.worker)
            case WhoIs():
                if peer.holds is None and peer.uid != 0:
                    raise Refusal("asked who a device is before it registered")
                device, mac = self._who(message.address)
                self._send(peer, Holder(message.ref, device, mac))
            case AskStatus():
                if peer.uid != 0:
                    raise Refusal("only root may ask for the status")
                self._send(peer, self._status())

    def _register(self, peer: _Peer, role: str, worker: int) -> None:
        if peer.holds is not None:
            raise Refusal("registered twice on one connection")
        if role not in self._workers or not 0 <= worker < self._workers[role]:
            raise Refusal(f"there is no worker {worker} of {role!r} in the settings (door.workers)")
        if peer.uid not in (0, self._uid_of(role)):
            raise Refusal(f"uid {peer.uid} may not be {role}")
        for other in list(self._peers.values()):
            if other.holds == (role, worker):  # the newest wins: the old one hung, or has not noticed its end yet
                log.warning("%s %d registered again; the earlier one is let go", role, worker)
                self._drop(other)
        owner = self._uid_of(role)
        made = sockets.make(role, self._interface, owner)
        try:
            peer.holds = (role, worker)
            for name, slot in slots(role, worker).items():
                self._map.set(slot.to_bytes(4, "little"), made[name].fileno().to_bytes(8, "little"))
            socket.send_fds(peer.sock, [encode(Listeners(tuple(made)))], [sock.fileno() for sock in made.values()])
        finally:
            for sock in made.values():
                sock.close()
        log.info("%s %d has its listeners", role, worker)

    def _send(self, peer: _Peer, message: Message) -> None:
        frame = encode(message)
        if peer.sock.send(frame) != len(frame):
            raise Refusal("does not read its answers")

    def _drop(self, peer: _Peer) -> None:
        number = peer.sock.fileno()
        if number < 0 or self._peers.pop(number, None) is None:
            return
        asyncio.get_running_loop().remove_reader(number)
        peer.sock.close()
        if peer.holds is not None:
            # the kernel does this when the last copy of the socket closes; the peer may still hold one
            for slot in slots(*peer.holds).values():
                try:
                    self._map.delete(slot.to_bytes(4, "little"))
                except OSError as error:
                    log.error("cannot take %s %d out of the sockmap: %s", *peer.holds, error)
            log.info("%s %d is gone", *peer.holds)
