"""The box's clock: stepped once at boot, before anything of ours runs; afterwards forwards only, never backwards.

chronyd measures and moves the clock; this decides when it may step. Before any of this, systemd's first process moves a clock
that lags behind the last known time to it (systemd(1), "System clock epoch"); ``remember`` keeps that time. This module must
never set the clock by itself.

Nobody signs the time: whoever is between the box and its servers can say what he likes. So a time before the system was
packed is not believed, and what was measured at boot corrects the last known time in both directions: a lie lasts a boot.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from gateway.box.chrony import SOCKET

LAST_KNOWN = Path("/var/lib/systemd/timesync/clock")  # its mtime; systemd 257 reads it before it starts anything
STARTED = Path("/run/mudroom/box/clock-started")  # from here on this boot's services may be running
MEASURED = Path("/run/mudroom/clock/measured")  # its time: when the clock was last found right; the ledger reads it (ages.py)
REMEMBER_SECONDS = 600  # one small write in so many
POLL_SECONDS = 0.5
BOOT_STEP_SECONDS = 0.1  # below this chronyd's slewing is done within seconds
RUNNING_STEP_SECONDS = 10.0  # chronyd slews a second in twelve: this much takes two minutes
PACKED = (Path("/usr/lib/os-release"), Path("/usr/lib/systemd/systemd"), Path("/usr/sbin/chronyd"))
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


def may_step(tracking: Tracking, *, running: bool, now: float = math.inf, made: float = 0.0) -> bool:
    """Whether the clock may jump to what was measured now: at boot either way, while services run only far forwards.

    ``now``, and when the system was ``made``: seconds since 1970. To before that, never.
    """
    if not tracking.measured or now + tracking.slow < made:
        return False
    return tracking.slow > RUNNING_STEP_SECONDS if running else abs(tracking.slow) > BOOT_STEP_SECONDS


def system_made() -> float:
    """When the newest of the system's own files was packed (dpkg keeps the package's dates), in seconds since 1970.

    Not when it was installed: that would be by this very clock.
    """
    dates = [0.0]
    for file in PACKED:
        with contextlib.suppress(OSError):
            dates.append(file.stat().st_mtime)
    return max(dates)


@dataclass(frozen=True)
class Clock:
    """chronyd by its socket, and what must be remembered between calls and boots."""

    socket: str = SOCKET
    started: Path = STARTED
    last_known: Path = LAST_KNOWN
    measured: Path = MEASURED
    made: float = field(default_factory=system_made)  # seconds since 1970

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

    def remember(self, *, sure: bool = False) -> None:
        """Note the time for the next boot; forwards only, unless it was measured just now (``sure``)."""
        with contextlib.suppress(FileNotFoundError):
            if not sure and time.time() < self.last_known.stat().st_mtime + REMEMBER_SECONDS:
                return
        self.last_known.parent.mkdir(parents=True, exist_ok=True)
        self.last_known.touch(mode=0o644)
        os.utime(self.last_known)

    def _stepped(self, found: Tracking, *, running: bool) -> str:
        if not found.measured:
            return "no time server answers; the box goes by its own time"
        behind = f"{abs(found.slow):.3f} s {'behind' if found.slow > 0 else 'ahead'}"
        now = time.time()
        if now + found.slow < self.made:
            made = time.strftime("%F", time.gmtime(self.made))
            return f"the time servers say a time before this system was made ({made}); the box goes by its own time"
        if not may_step(found, running=running, now=now, made=self.made):
            if not running:
                self.remember(sure=True)
            if abs(found.slow) < RUNNING_STEP_SECONDS:
                self._found_right()
            return f"the clock is {behind}; chronyd brings it in line without a jump"
        self._chronyc("makestep")
        self.remember(sure=not running)
        self._found_right()
        return f"the clock was {behind} and was set"

    def _found_right(self) -> None:
        """Let who removes by age know. Where it cannot be said, nothing is removed, and the clock goes on all the same."""
        with contextlib.suppress(OSError):
            self.measured.touch(mode=0o644)
            os.utime(self.measured)

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
