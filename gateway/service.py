"""What every long-running process of the gateway does the same way: log, tell systemd, stop on a signal.

sd_notify(3) is spoken whoever supervises: systemd on the appliance, the virtual home's supervisor in tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pwd
import signal
from collections.abc import Awaitable, Callable

import uvloop

from gateway.notifying import notify
from gateway.plain import plain

YOUNG_OBJECTS = 20_000  # between two looks of the collector; a message makes some dozens, hardly ever in a cycle

GROUP = "mudroom"  # of all of them: reads the registry, connects to the sockets
# The process's user by its role; created by the image (sysusers) and by image/userland with the same names.
USERS = {role: f"mudroom-{role}" for role in ("door", "names", "signer", "ledger", "courier", "dhcp", "lan", "enrolment", "web")}
# Who tells notices: it serves nobody and reads no socket of ours, so it is none of the above, and not in their group.
TELLING_USER, TELLING_UID = "mudroom-telling", 960
TIME_USER = "_chrony"  # Debian's user of chronyd


def uid_of(role: str) -> int:
    """The uid that runs ``role``. Raises LookupError that says what to do."""
    try:
        return pwd.getpwnam(USERS[role]).pw_uid
    except KeyError:
        raise LookupError(f"there is no user {USERS[role]}; install the mudroom role or run `make setup`") from None


class Lines(logging.Formatter):
    """Each message on one line, whoever chose the words in it: nobody writes a line into a log that looks like ours."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # logging's own name
        record.message = plain(record.message)
        return super().formatMessage(record)


def start_logging(service: str) -> None:
    """Log to standard error, where the journal takes it up."""
    level = os.environ.get("MUDROOM_LOG", "INFO").upper()
    to = logging.StreamHandler()
    to.setFormatter(Lines(f"%(asctime)s mudroom-{service} %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[to])


def run(service: str, work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run ``work(stop)`` on uvloop until it returns; SIGTERM and SIGINT set ``stop``.

    ``work`` calls ``ready()`` itself once it serves, and returns soon after ``stop`` is set.
    """
    start_logging(service)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        watchdog = asyncio.ensure_future(_watchdog())
        try:
            await work(stop)
        finally:
            notify("STOPPING=1")
            watchdog.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watchdog

    uvloop.run(main())


def ready(status: str) -> None:
    """Say that the service does its work now; call it once all is set up."""
    gc.collect()
    gc.freeze()  # what was made until now lives as long as the process: the collector need not look at it again
    gc.set_threshold(YOUNG_OBJECTS)
    notify(f"READY=1\nSTATUS={status}")


async def _watchdog() -> None:
    period = int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    while period:
        notify("WATCHDOG=1")
        await asyncio.sleep(period)
