"""The pages at rest: one process, a small program in its place until somebody knocks. Over real processes and sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from gateway.config import Config
from gateway.web import main, resting

SECONDS = 30.0
# In place of the pages: tells each visitor which process it is, and rests.
SERVED = """
import os, socket, sys
from gateway.web import resting
found = resting.woken()
if not found:
    found = [socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))]
    print(*(sock.getsockname()[1] for sock in found), flush=True)
    resting.rest(found)
for sock in found:
    sock.setblocking(False)
    try:
        while True:
            with sock.accept()[0] as visitor:
                visitor.sendall(str(os.getpid()).encode())
    except BlockingIOError:
        pass
resting.rest(found)
"""


class Started:
    """A process that rests, and what it tells its supervisor."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told.bind(str(folder / "notify"))
        self._told.settimeout(SECONDS)
        (folder / "served.py").write_text(SERVED)
        self.process = subprocess.Popen(
            [sys.executable, str(folder / "served.py")],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "PYTHONPATH": str(Path.cwd()), **environment},
        )
        assert self.process.stdout is not None
        self.ports = [int(word) for word in self.process.stdout.readline().split()]

    def heard(self, words: str) -> None:
        """Wait until it says so."""
        while words not in self._told.recv(4096).decode():
            pass

    def knock(self, port: int) -> int:
        """The process that answers."""
        with socket.create_connection(("127.0.0.1", port), SECONDS) as visitor:
            return int(visitor.recv(64))

    def runs(self) -> list[str]:
        return Path(f"/proc/{self.process.pid}/cmdline").read_text().split("\0")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._told.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    made: list[Started] = []

    def begin(**environment: str) -> Started:
        made.append(Started(tmp_path, **environment))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def test_whoever_knocks_is_answered_by_the_same_process_and_it_rests_again(start: Callable[..., Started]) -> None:
    resting_ = start()
    resting_.heard("READY=1")
    for port in (*resting_.ports, resting_.ports[0]):
        assert "gateway.web.resting" in resting_.runs()
        assert resting_.knock(port) == resting_.process.pid
        resting_.heard("READY=1")


def test_who_knocks_and_goes_wakes_it_in_vain(start: Callable[..., Started]) -> None:
    resting_ = start()
    resting_.heard("READY=1")
    socket.create_connection(("127.0.0.1", resting_.ports[1]), SECONDS).close()
    resting_.heard("READY=1")
    assert resting_.knock(resting_.ports[1]) == resting_.process.pid


def test_it_says_that_it_lives_and_ends_when_it_is_told_to(start: Callable[..., Started]) -> None:
    resting_ = start(WATCHDOG_USEC="100000")
    resting_.heard("READY=1")
    resting_.heard("WATCHDOG=1")
    resting_.process.send_signal(signal.SIGTERM)
    resting_.heard("STOPPING=1")
    assert resting_.process.wait(SECONDS) == 0


def test_it_stays_small(start: Callable[..., Started]) -> None:
    """What it loads decides: the pages' own libraries would be five times as much."""
    resting_ = start()
    resting_.heard("READY=1")
    mapped = Path(f"/proc/{resting_.process.pid}/maps").read_text()
    assert not [name for name in ("msgspec", "uvloop", "_ssl", "_asyncio") if name in mapped]


def test_descriptors_that_do_not_listen_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    monkeypatch.setenv(resting.SOCKETS, f"{one.fileno()},x,987654")
    assert resting.woken() == [] and resting.SOCKETS not in os.environ
    one.detach()
    other.close()


def test_the_pages_rest_when_nobody_looks_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``visited``: connections and requests, as the server counts them at each look."""
    looks = iter([(0, 0), (1, 0), (0, 1), (0, 2), (0, 2), (0, 2)])
    left = list(looks)
    clock = [0.0]

    class Pages:
        @property
        def visited(self) -> tuple[int, int]:
            return left.pop(0)

    async def slept(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(main, "REST_SECONDS", 2 * main.LOOK_SECONDS)
    monkeypatch.setattr(main.asyncio, "sleep", slept)
    monkeypatch.setattr(main.asyncio, "get_running_loop", lambda: SimpleNamespace(time=lambda: clock[0]))
    coroutine: Any = main._alone(Pages())  # type: ignore[arg-type]
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert left == [] and clock[0] == 5 * main.LOOK_SECONDS


def test_the_listening_sockets_outlive_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process rests with the sockets that it was given, after all else has ended."""
    given = [socket.create_server(("127.0.0.1", 0))]
    rested: list[list[socket.socket]] = []

    class Leaf:
        context = None

        def __init__(self, *words: object) -> None:
            pass

        async def first(self) -> None:
            pass

        async def keep(self) -> None:
            await asyncio.Event().wait()

    class Rests(Exception):
        pass

    def rest(sockets: list[socket.socket]) -> NoReturn:
        rested.append(sockets)
        raise Rests

    async def at_once(pages: object) -> None:
        pass

    monkeypatch.setattr(main, "Leaf", Leaf)
    monkeypatch.setattr(main, "_alone", at_once)
    monkeypatch.setattr(resting, "rest", rest)
    made = Config()
    with pytest.raises(Rests):
        asyncio.run(main.serve(made, given, asyncio.Event()))
    assert rested == [given]
    assert given[0].getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    given[0].close()
