"""`mudroom console`: shows the box's state on a screen or a serial line, for as long as the box runs.

Two processes share the work, so that the one that lives forever stays small: it polls a few small files and, when they
changed, starts ``mudroom console --once``, which loads what it needs, prints the screen's text and ends. It must never read
the keyboard, nor open a shell. Nothing but the standard library is imported at the top.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gateway.notifying import notify

POLL_SECONDS = 5.0
SOON_SECONDS = 60.0  # how old a picture of something wrong may get
START_SECONDS = 240.0  # how long the box may take to start before its state is looked at all the same
STARTING = "Mudroom\n\nStarting. Devices reach nothing yet.\n"
LATE_SECONDS = 300.0  # how old any picture may get
DRAW_SECONDS = 60.0  # how long drawing may take on a slow box
CLEAR = b"\x1b[H\x1b[2J"  # ECMA-48: cursor home, erase the display; on a screen only
SERIAL = ("ttyS", "ttyAMA", "ttyUSB", "hvc")
WATCHED = (
    "/proc/net/fib_trie",
    "/proc/net/if_inet6",
)
STATED = (
    "/run/mudroom/box/notices.json",
    "/var/lib/mudroom/settings.toml",
    "/var/lib/mudroom/registry.json",
    "/var/lib/mudroom/box/first-start-code",
    "/run/reboot-required",
)
CGROUP = Path("/sys/fs/cgroup/system.slice")


class Line:
    """A terminal that the picture goes to. A serial line gets each new picture below the last one."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.descriptor = descriptor
        self.serial = Path(name).name.startswith(SERIAL)

    def show(self, picture: str) -> None:
        """Write without waiting for a terminal that takes nothing (a serial line with nobody at its end)."""
        text = picture.replace("\n", "\r\n").encode()
        data = b"\r\n" + text if self.serial else CLEAR + text
        os.set_blocking(self.descriptor, False)
        end = time.monotonic() + 2.0
        while data and time.monotonic() < end:
            try:
                data = data[os.write(self.descriptor, data) :]
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:  # hung up; the next picture may find it again
                return


def fingerprint() -> int:
    """A number that changes when what is shown may have changed. A few dozen small reads."""
    parts: list[object] = []
    for name in WATCHED:
        try:
            parts.append(Path(name).read_bytes())
        except OSError:
            parts.append(name)
    for name in STATED:
        try:
            found = Path(name).stat()
            parts.append((found.st_ino, found.st_mtime_ns, found.st_size))
        except OSError:
            parts.append(name)
    for folder, wanted in (("/sys/class/net", "carrier"), ("/sys/class/net", "operstate")):
        for entry in sorted(Path(folder).glob(f"*/{wanted}")):
            try:
                parts.append((str(entry), entry.read_bytes()))
            except OSError:
                parts.append(str(entry))
    # a service that started, ended or was restarted has other processes
    for entry in sorted((*CGROUP.glob("mudroom-*/cgroup.procs"), *CGROUP.glob("system-mudroom*/*/cgroup.procs"))):
        try:
            parts.append((str(entry), entry.read_bytes()))
        except OSError:
            parts.append(str(entry))
    return hash(tuple(parts))


def picture(call: Sequence[str]) -> str:
    """The screen's text, by a process that ends; where it cannot be drawn, that is what it says."""
    try:
        done = subprocess.run(call, capture_output=True, text=True, errors="replace", timeout=DRAW_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"Mudroom\n\nThe state of the box cannot be shown: {type(error).__name__}.\nLog in and run `mudroom doctor`.\n"
    if done.returncode or not done.stdout:
        return "Mudroom\n\nThe state of the box cannot be shown.\nLog in and run `mudroom doctor`.\n"
    return done.stdout


def started() -> bool:
    """Whether systemd has brought all of the router up, or does not run here."""
    if not Path("/run/systemd/system").is_dir():
        return True
    try:
        command = ("/usr/bin/systemctl", "is-active", "--quiet", "mudroom.target")
        return subprocess.run(command, capture_output=True, timeout=DRAW_SECONDS, check=False).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False


def watch(lines: Sequence[Line], call: Sequence[str], poll: float = POLL_SECONDS) -> None:
    """Draw until SIGTERM. While the box starts, its processor is for what starts: only that is said, and nothing looked at."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    known, last, drawn = 0, "", 0.0
    notify("READY=1\nSTATUS=showing")
    began = time.monotonic()
    if not started():
        for line in lines:
            line.show(STARTING)
        while not stopped and not started() and time.monotonic() - began < START_SECONDS:
            notify("WATCHDOG=1")
            _rest(poll, stopped)
    while not stopped:
        now = time.monotonic()
        found = fingerprint()
        troubled = "\n! " in last or "Starting" in last or not last
        if found != known or now - drawn > (SOON_SECONDS if troubled else LATE_SECONDS):
            text = picture(call)
            # looked at before drawing, compared after: what changes meanwhile is drawn in the next turn
            known, drawn = found, time.monotonic()
            if text != last:
                for line in lines:
                    line.show(text)
                last = text
        notify("WATCHDOG=1")
        _rest(poll, stopped)
    notify("STOPPING=1")


def _rest(seconds: float, stopped: list[int]) -> None:
    end = time.monotonic() + seconds
    while not stopped and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))


def _after_settings(words: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The settings' file of a call ``[-c FILE] …``, and the words after it."""
    left = list(words)
    if left[:1] in (["-c"], ["--config"]) and len(left) > 1:
        return Path(left[1]), left[2:]
    return None, left


def drawing(words: Sequence[str]) -> tuple[bool, Path | None]:
    """Whether a call is ``[-c FILE] console --once``, and the settings' file that it names."""
    path, left = _after_settings(words)
    return left == ["console", "--once"], path


def call(words: Sequence[str]) -> list[str] | None:
    """The terminals (names below /dev) of a call ``[-c FILE] console [--tty NAME]…``; None where it is another call."""
    _, left = _after_settings(words)
    if left[:1] != ["console"]:
        return None
    left = left[1:]
    names = []
    while len(left) > 1 and left[0] == "--tty":
        names.append(left[1])
        left = left[2:]
    return None if left else names


def main(words: Sequence[str], names: Sequence[str]) -> None:
    """Show on the named terminals, or on standard output. Raises OSError where none of them can be opened."""
    if names:
        lines = []
        for name in names:
            path = Path("/dev", Path(name).name)
            if path.exists():
                lines.append(Line(os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK), path.name))
        if not lines:
            raise OSError(f"none of {', '.join(names)} is a terminal of this machine")
    else:
        try:
            name = os.ttyname(1)
        except OSError:
            name = "ttyS"  # a pipe or a file: no screen to be cleared
        lines = [Line(1, name)]
    before = list(words[: list(words).index("console")])
    watch(lines, [sys.executable, "-m", "gateway.cli", *before, "console", "--once"])
