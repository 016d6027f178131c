"""The box's clock: stepped once at boot, before anything of ours runs; afterwards forwards only, never backwards.

chronyd measures and moves the clock; this decides when it may step. Before any of this, systemd's first process moves a clock
that lags behind the last known time to it (systemd(1), "System clock epoch"); ``remember`` keeps that time. This module must
never set the clock by itself.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from gateway.box.chrony import SOCKET

LAST_KNOWN = Path("/var/lib/systemd/timesync/clock")  # its mtime; systemd 257 reads it before it starts anything
STARTED = Path("/run/mudroom/box/clock-started")  # from here on this boot's services may be running
REMEMBER_SECONDS = 600  # one small write in so many
POLL_SECONDS = 0.5
BOOT_STEP_SECONDS = 0.1  # below this chronyd's slewing is done within seconds
RUNNING_STEP_SECONDS = 10.0  # chronyd slews a second in twelve: this much takes two minutes
OWN_CLOCK = ("00000000", "7F7F0101")  # chronyd's reference: none yet; its own clock (`local`)
FIELDS = 14  # of chronyc's report (chronyc(1), tracking)


class ClockError(RuntimeError):
    """chronyd cannot be asked, or refuses. Says what to do."""


@dataclass(frozen=True)
class Tracking:
    """What chronyd knows. ``slow``: seconds that the box's clock is behind the servers' (negative: ahead)."""

    measured: bool
    slow: float


def parse(report: str) -> Tracking:
    """From ``chronyc -c tracking``. Raises ClockError."""
    fields = report.strip().split(",")
    try:
        slow = float(fields[4])
    except (IndexError, ValueError):
        slow = math.nan
    if len(fields) != FIELDS or not math.isfinite(slow):
        raise ClockError(f"chronyd's report cannot be read: {report.strip()[:100]!r}; is this chrony 4?")
    return Tracking(measured=fields[0] not in OWN_CLOCK and fields[13] != "Not synchronised", slow=slow)


def may_step(tracking: Tracking, *, running: bool) -> bool:
    """Whether the clock may jump to what was measured now: at boot either way, while services run only far forwards."""
    if not tracking.measured:
        return False
    return tracking.slow > RUNNING_STEP_SECONDS if running else abs(tracking.slow) > BOOT_STEP_SECONDS


@dataclass(frozen=True)
class Clock:
    """chronyd by its socket, and what must be remembered between calls and boots."""

    socket: str = SOCKET
    started: Path = STARTED
    last_known: Path = LAST_KNOWN

    def settle(self, seconds: float) -> str:
        """At boot: wait up to ``seconds`` for the first measurement and step to it; returns what came of it, in words.

        Called again in the same boot (a unit that is restarted), it does what ``keep`` does.
        """
        if self.started.exists():
            return self.keep()
        self.started.parent.mkdir(parents=True, exist_ok=True)
        self.started.touch()  # whatever becomes of this call, services start after it
        deadline = time.monotonic() + seconds
        problem = "no time server answered"
        while True:
            try:
                found = self.tracking()
            except ClockError as error:  # chronyd is starting
                problem = str(error)
            else:
                problem = "no time server answered"
                if found.measured:
                    return self._stepped(found, running=False)
            if time.monotonic() >= deadline:
                now = time.strftime("%F %T UTC", time.gmtime())
                return f"{problem} within {seconds:g} s; going on with the box's own time, {now}"
            time.sleep(POLL_SECONDS)

    def keep(self) -> str:
        """While services run: step forwards where the clock is far behind, and remember the time; returns what was done."""
        self.remember()
        return self._stepped(self.tracking(), running=True)

    def tracking(self) -> Tracking:
        """What chronyd knows now. Raises ClockError."""
        return parse(self._chronyc("tracking"))

    def remember(self) -> None:
        """Note the time for the next boot, forwards only."""
        with contextlib.suppress(FileNotFoundError):
            if time.time() < self.last_known.stat().st_mtime + REMEMBER_SECONDS:
                return
        self.last_known.parent.mkdir(parents=True, exist_ok=True)
        self.last_known.touch(mode=0o644)
        os.utime(self.last_known)

    def _stepped(self, found: Tracking, *, running: bool) -> str:
        if not found.measured:
            return "no time server answers; the box goes by its own time"
        behind = f"{abs(found.slow):.3f} s {'behind' if found.slow > 0 else 'ahead'}"
        if not may_step(found, running=running):
            return f"the clock is {behind}; chronyd brings it in line without a jump"
        self._chronyc("makestep")
        self.remember()
        return f"the clock was {behind} and was set"

    def _chronyc(self, *command: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603
                ["/usr/bin/chronyc", "-c", "-h", self.socket, *command], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ClockError(f"chronyc: {error}; install chrony, and see `systemctl status chrony`") from error
        if done.returncode:
            said = (done.stdout + done.stderr).strip() or f"exit {done.returncode}"
            raise ClockError(f"chronyc {' '.join(command)}: {said}; see `systemctl status chrony`")
        return done.stdout
