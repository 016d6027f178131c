"""The console's lasting process: small, draws when something changed, clears screens but not serial lines."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cli import screen
from gateway.cli.screen import CLEAR, Line

DRAWN = """
import sys
from pathlib import Path
from gateway.cli import screen
Path(sys.argv[1]).exists() or Path(sys.argv[1]).write_text("one\\n")
screen.STATED = (sys.argv[1],)
screen.WATCHED = ()
screen.watch([screen.Line(1, sys.argv[2])], ["cat", sys.argv[1]], poll=0.1)
"""


def read(master: int, until: bytes, timeout: float = 15.0) -> bytes:
    data, end = b"", time.monotonic() + timeout
    while until not in data:
        ready, _, _ = select.select([master], [], [], max(end - time.monotonic(), 0))
        assert ready, data
        data += os.read(master, 4096)
    return data


@contextmanager
def watching(file: Path, name: str, **environment: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    master, slave = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", DRAWN, str(file), name], stdout=slave, env={**os.environ, **environment})
    os.close(slave)
    try:
        yield master, process
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.mark.parametrize(("name", "clears"), [("tty1", True), ("ttyS0", False)])
def test_it_draws_anew_when_something_changed(tmp_path: Path, name: str, clears: bool) -> None:
    with watching(tmp_path / "state", name) as (master, process):
        first = read(master, b"one")
        assert (CLEAR in first) == clears
        (tmp_path / "state").write_text("two\n")
        second = read(master, b"two")
        assert b"one" not in second.replace(first, b"")
        assert (CLEAR in second) == clears
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_while_the_box_starts_it_says_so_and_looks_at_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    looked: list[str] = []
    answers = iter([False, False, True])
    monkeypatch.setattr(screen, "started", lambda: next(answers))
    monkeypatch.setattr(
        screen, "picture", lambda _call: looked.append("looked") or os.kill(os.getpid(), signal.SIGTERM) or "all\n"
    )
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    try:
        screen.watch([Line(writer, "ttyS0")], ["false"], poll=0.01)
        os.close(writer)
        shown = b"".join(iter(lambda: os.read(reader, 4096), b""))
        assert shown.index(b"Starting. Devices reach nothing yet.") < shown.index(b"all")
        assert looked == ["looked"]
        assert next(answers, None) is None
    finally:
        os.close(reader)
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGHUP, before[1])


def test_it_tells_systemd_that_it_lives(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(10)
        with watching(tmp_path / "state", "tty1", NOTIFY_SOCKET=str(tmp_path / "notify")):
            assert supervisor.recv(100).startswith(b"READY=1")
            assert supervisor.recv(100) == b"WATCHDOG=1"


def test_it_stays_small(tmp_path: Path) -> None:
    with watching(tmp_path / "state", "tty1") as (master, process):
        read(master, b"one")
        facts = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        assert int(facts["RssAnon"].split()[0]) < 8_000
        assert int(facts["VmRSS"].split()[0]) < 20_000


def test_a_terminal_that_takes_nothing_holds_nobody_up() -> None:
    reader, writer = os.pipe()
    try:
        began = time.monotonic()
        Line(writer, "ttyS0").show("x" * 200_000)
        assert time.monotonic() - began < 10
    finally:
        os.close(reader)
        os.close(writer)


def test_what_cannot_be_drawn_is_said_so() -> None:
    assert "mudroom doctor" in screen.picture(["false"])
    assert "mudroom doctor" in screen.picture(["/nonexistent/program"])


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["console"], []),
        (["-c", "x.toml", "console"], []),
        (["console", "--tty", "tty1", "--tty", "ttyS0"], ["tty1", "ttyS0"]),
        (["console", "--once"], None),
        (["console", "--help"], None),
        (["status"], None),
    ],
)
def test_its_call_is_known_by_sight(words: list[str], names: list[str] | None) -> None:
    assert screen.call(words) == names


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["console", "--once"], (True, None)),
        (["-c", "x.toml", "console", "--once"], (True, Path("x.toml"))),
        (["console"], (False, None)),
        (["console", "--once", "--help"], (False, None)),
        (["status"], (False, None)),
    ],
)
def test_a_drawing_is_known_by_sight(words: list[str], found: tuple[bool, Path | None]) -> None:
    assert screen.drawing(words) == found


def test_a_drawing_loads_neither_the_whole_command_nor_an_event_loop(tmp_path: Path) -> None:
    (tmp_path / "mudroom.toml").write_text(f'[paths]\nstate = "{tmp_path}"\nrun = "{tmp_path}"\n')
    words = ["mudroom", "-c", str(tmp_path / "mudroom.toml"), "console", "--once"]
    lines = f"import sys\nsys.argv = {words!r}\nfrom gateway.cli import main\nmain()\n"
    lines += "print([name for name in ('typer', 'rich', 'asyncio', 'cryptography') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert "Closed" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_screens_text_is_printed_once_without_systemd_and_settings(tmp_path: Path) -> None:
    (tmp_path / "mudroom.toml").write_text(f'[paths]\nstate = "{tmp_path}"\nrun = "{tmp_path}"\n')
    call = [sys.executable, "-m", "gateway.cli", "-c", str(tmp_path / "mudroom.toml"), "console", "--once"]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert "Closed" in done.stdout
    assert len(done.stdout.splitlines()) < 24
