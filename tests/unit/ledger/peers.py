"""The ledger's real process or loop, and peers that speak to it over its real socket with a service user's uid.

Never used by production code. ``as_uid`` changes the calling thread's uid alone (setresuid(2) without glibc's broadcast),
so that SO_PEERCRED names the service user while the test goes on as root.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import platform
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec

from gateway import config, service
from gateway.config import Config
from gateway.ipc.channel import Channel
from gateway.ipc.messages import (
    Deferred,
    Deliver,
    Delivered,
    Erased,
    Fetch,
    FetchAnswer,
    InboxAnswer,
    Outcome,
    Poll,
    Refused,
    Status,
    Submit,
)
from gateway.reasons import Reason

SETRESUID = {"x86_64": 117, "aarch64": 147}[platform.machine()]
libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def as_uid(uid: int) -> Iterator[None]:
    """The calling thread is ``uid`` inside the block."""
    if libc.syscall(SETRESUID, -1, uid, -1):
        raise OSError(ctypes.get_errno(), "setresuid")
    try:
        yield
    finally:
        libc.syscall(SETRESUID, -1, 0, -1)


class Peer:
    """One connection; what comes is in ``inbox``. ``ended`` is set when the other side is gone."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.ended = asyncio.Event()
        union = Outcome | Deliver | Fetch | FetchAnswer | Erased | Status | Poll | InboxAnswer
        self.channel = Channel(union, self._receive, lambda _: self.ended.set())

    def _receive(self, channel: Channel, message: Any) -> None:
        self.inbox.put_nowait(message)

    async def get(self, timeout: float = 10.0) -> Any:
        return await asyncio.wait_for(self.inbox.get(), timeout)

    def send(self, message: msgspec.Struct) -> None:
        self.channel.send(message)

    async def close(self) -> None:
        self.channel.close()
        await self.ended.wait()


async def connect(path: Path, role: str) -> Peer:
    """A peer that the kernel says is ``role`` ("root" or a service user's)."""
    uid = 0 if role == "root" else service.uid_of(role)
    deadline = time.monotonic() + 15
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.chmod(0o666)
            with as_uid(uid):
                sock.connect(str(path))
            break
        except OSError:
            sock.close()
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.02)
    peer = Peer()
    await asyncio.get_running_loop().create_unix_connection(lambda: peer.channel, sock=sock)
    return peer


async def answer(courier: Peer, *, status: int = 200, seen: list[Deliver] | None = None) -> None:
    """A courier whose vendors all answer at once. Cancel to end."""
    while True:
        deliver = await courier.inbox.get()
        if seen is not None:
            seen.append(deliver)
        courier.send(taken(deliver.id, status))


def taken(id: str, status: int = 200, body: bytes = b'{"ok":true}') -> Delivered:
    return Delivered(id, status, -1, "", body, body, "application/clear-envelope+json")


def deferred(id: str, reason: Reason = Reason.VENDOR_UNREACHABLE, retry_after: int = 0) -> Deferred:
    return Deferred(id, reason.code, "in a test", retry_after)


def submit(
    number: int,
    *,
    device: str = "plug",
    host: str = "in.acme.example",
    wait_ms: int = 0,
    size: int = 200,
    bits: int = 1,
    budget: int = 10**9,
    slot_ms: int = 1000,
    paced: bool = False,
    type_: str = "reading",
    received: int | None = None,
) -> Submit:
    body = b'{"n":%d,"x":"' % number + b"x" * size + b'"}'
    at = time.time_ns() if received is None else received
    return Submit(
        number, f"m-{number:08d}", device, "Acme", host, type_, at, b" " + body, body, wait_ms, bits, budget, slot_ms, paced
    )


def refusal(device: str = "plug", size: int = 50) -> Refused:
    return Refused(device, "in.acme.example", "reading", Reason.NOT_DECLARED.code, "no", ("/a",), time.time_ns(), b"y" * size)


def settings(folder: Path, **sections: dict[str, object]) -> Config:
    """Settings with state and sockets below ``folder``; written there too, for processes."""
    run = folder / "run"
    (run / "ledger").mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    lines = ["[paths]", f'state = "{folder / "state"}"', f'run = "{run}"', f'policy = "{folder / "policy.d"}"']
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}" for name, value in values.items()]
    text = "\n".join(lines) + "\n"
    (folder / "mudroom.toml").write_text(text)
    return config.parse(text)


RUN = """
import sys
from pathlib import Path
from gateway import config, service
from gateway.{room}.main import serve
settings = config.load(Path(sys.argv[1]))
service.run("{room}", lambda stop: serve(settings, stop))
"""


class Process:
    """The ledger as a process of its own, so that it can be killed."""

    def __init__(self, folder: Path, *, room: str = "ledger", prefix: tuple[str, ...] = ()) -> None:
        command = [*prefix, sys.executable, "-c", RUN.format(room=room), str(folder / "mudroom.toml")]
        with (folder / f"{room}.log").open("ab") as log:
            self.popen = subprocess.Popen(command, stderr=log)

    def kill(self) -> None:
        """As `kill -9` does."""
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(timeout=10)

    def cpu(self) -> float:
        """Seconds of CPU, user and system."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rows(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """What another process sees in the file."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(statement, values).fetchall()


@contextlib.asynccontextmanager
async def running(settings: Config) -> AsyncIterator[Path]:
    """The ledger in this loop; yields its socket."""
    from gateway.ledger.main import serve

    stop = asyncio.Event()
    task = asyncio.create_task(serve(settings, stop))
    path = settings.paths.socket("ledger")
    try:
        while not path.exists() and not task.done():  # noqa: ASYNC110  # a file has no event
            await asyncio.sleep(0.005)
        yield path
    finally:
        stop.set()
        await task
