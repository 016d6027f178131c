"""Sockets that systemd made: whoever connects while the service is away waits and is served; the file outlives the service."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ipc import channel as ipc
from gateway.ipc.inherited import FIRST
from gateway.ipc.messages import AskStatus, Status

SERVICE = """
import asyncio, sys
from pathlib import Path
from gateway import service
from gateway.ipc import channel
from gateway.ipc.messages import AskStatus, Status

async def work(stop):
    path = Path(sys.argv[1])
    answer = lambda link, message: link.send(Status("test", True, {"uid": str(link.uid)}))
    server = await channel.serve(path, lambda: channel.Channel(AskStatus, answer), {12345})
    print("ready", flush=True)
    await stop.wait()
    server.close()
    await server.wait_closed()
    channel.withdraw(path)

service.run("test", work)
"""


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """What a .socket unit holds."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.listen()
        yield sock


def start(path: Path, given: socket.socket | None, pid: str = "$$") -> subprocess.Popen[str]:
    """The service, with ``given`` as descriptor 3, as systemd starts it; returns once it serves."""
    line = f'exec "$0" -c "$1" "$2" {FIRST}<&{given.fileno()}' if given else 'exec "$0" -c "$1" "$2"'
    environment = f"export LISTEN_PID={pid} LISTEN_FDS=1 LISTEN_FDNAMES=x; " if given else ""
    process = subprocess.Popen(
        ["/bin/bash", "-c", environment + line, sys.executable, SERVICE, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        pass_fds=[given.fileno()] if given else [],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str], how: signal.Signals) -> None:
    process.send_signal(how)
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


def asked(path: Path) -> socket.socket:
    """A client that has put its question; nobody need be there."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(path))
    sock.sendall(ipc.encode(AskStatus()))
    return sock


def answer(sock: socket.socket) -> bytes:
    with sock:
        return sock.recv(1000)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_who_connects_while_the_service_is_away_is_served_when_it_is_back(
    tmp_path: Path, listener: socket.socket, how: signal.Signals
) -> None:
    path = tmp_path / "socket"
    inode = path.stat().st_ino
    early = asked(path)
    first = start(path, listener)
    assert b"test" in answer(early)
    end(first, how)
    assert path.stat().st_ino == inode
    meanwhile = asked(path)
    second = start(path, listener)
    assert b"test" in answer(meanwhile)
    end(second, signal.SIGTERM)
    assert path.stat().st_ino == inode


def test_the_peer_is_still_known_by_its_uid(tmp_path: Path, listener: socket.socket) -> None:
    process = start(tmp_path / "socket", listener)
    data = answer(asked(tmp_path / "socket"))
    end(process, signal.SIGTERM)
    assert str(os.geteuid()).encode() in data


def test_a_socket_for_another_process_is_not_taken(tmp_path: Path, listener: socket.socket) -> None:
    path = tmp_path / "socket"
    inode = path.stat().st_ino
    process = start(path, listener, pid="1")
    assert path.stat().st_ino != inode
    assert b"test" in answer(asked(path))
    end(process, signal.SIGTERM)


def test_without_systemd_the_service_makes_and_removes_its_own(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    process = start(path, None)
    assert b"test" in answer(asked(path))
    end(process, signal.SIGTERM)
    assert not path.exists()


def test_a_socket_of_another_kind_is_never_handed_out(tmp_path: Path) -> None:
    """A TCP listener from the supervisor would go on queueing devices after its worker's death."""
    with socket.socket(socket.AF_INET) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        path = tmp_path / "socket"
        process = start(path, listener)
        status = Status("test", True, {"uid": str(os.geteuid())})
        assert answer(asked(path)) == ipc.encode(status)
        end(process, signal.SIGTERM)
