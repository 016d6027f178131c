"""`python -m tests.home.lab up | down | supervise`: the virtual home's switch (`make lab-up`, `make lab-down`)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from tests.home.lab import layout, wires

PID = layout.RUN / "supervisor.pid"
JANITOR = layout.RUN / "janitor.pid"
LOCK = layout.RUN / "lock"
USAGE = "usage: python -m tests.home.lab up|down|supervise"


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def up() -> int:
    """Start the home; returns when all of it is ready. A home that runs already is replaced by a fresh one."""
    started = time.monotonic()
    if PID.exists() or wires.existing(layout.Home()):
        say("virtual home: an earlier one is there; it makes room")
        down(quiet=True)
    layout.RUN.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()
    with (layout.RUN / "supervisor.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.home.lab", "supervise", str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writing],
            start_new_session=True,
        )
    os.close(writing)
    ready = False
    with os.fdopen(reading) as progress:
        for line in progress:
            ready = line.strip() == "ready"
            if ready:
                break
            say(f"virtual home: {line.strip()}")
    if not ready:
        process.wait()
        say((layout.RUN / "supervisor.log").read_text(errors="replace")[-4000:])
        say("virtual home: did not start; the lines above say why")
        down(quiet=True)
        return 1
    process.returncode = 0  # it lives on by design; silence the warning about a child left behind
    say(f"virtual home: ready after {time.monotonic() - started:.1f} s; {layout.HOME_JSON} describes it")
    return 0


def down(quiet: bool = False) -> int:
    """Stop the home and remove all that it made, also after a crash."""
    home = layout.Home()
    if (pid := _ours(PID)) is not None:
        _end(pid)
    if (pid := _ours(JANITOR)) is not None:
        _end(pid, ask=False)  # it ends by itself once the supervisor is gone
    _kill_members(home)
    wires.remove(home)
    for folder in (layout.RUN, layout.STATE):
        for child in folder.iterdir() if folder.exists() else ():
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child, ignore_errors=True)
            else:
                child.unlink(missing_ok=True)
    if not quiet:
        say("virtual home: gone")
    return 0


def _ours(file: Path) -> int | None:
    """The id of a process of the home's own that still runs, from its file."""
    try:
        pid = int(file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if b"tests.home.lab" in command else None


def _end(pid: int, *, ask: bool = True) -> None:
    """SIGTERM (where ``ask``), a while, SIGKILL; returns when it is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    import select

    with os.fdopen(handle, "rb", buffering=0) as watched:
        if ask:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([watched], [], [], 30)[0]:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([watched], [], [], 5)


def supervise(progress: int) -> int:
    """The long-running part; ``progress`` is the pipe that `up` reads."""
    import uvloop

    from tests.home.lab.home import live

    with LOCK.open("w") as lock, os.fdopen(progress, "w", buffering=1) as pipe:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        PID.write_text(str(os.getpid()))
        reading, _kept_until_we_end = os.pipe()
        argv = [sys.executable, "-m", "tests.home.lab", "janitor"]
        JANITOR.write_text(str(subprocess.Popen(argv, stdin=reading, start_new_session=True).pid))
        os.close(reading)
        uvloop.run(live(_teller(pipe)))
    return 0


def janitor() -> int:
    """Wait until the supervisor is gone, however it went (its end of our standard input closes), then end what it left.

    PR_SET_PDEATHSIG alone does not do: a process that changes its own user or fsuid (dnsmasq, steering) loses it.
    """
    sys.stdin.buffer.read()
    _kill_members(layout.Home())
    return 0


def _kill_members(home: layout.Home) -> None:
    """End every process that lives in one of the home's namespaces."""
    for name in wires.existing(home):
        for member in wires.processes(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)


def _teller(pipe: IO[str]):
    def tell(line: str) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):
            pipe.write(line + "\n")
            if line == "ready":
                pipe.close()

    return tell


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["up"]:
            sys.exit(up())
        case ["down"]:
            sys.exit(down())
        case ["janitor"]:
            sys.exit(janitor())
        case ["supervise", number]:
            sys.exit(supervise(int(number)))
        case _:
            sys.exit(USAGE)
