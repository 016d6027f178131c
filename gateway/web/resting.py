"""The pages at rest: a process that holds the listening sockets and nothing else, until somebody knocks.

The pages take 30 MiB, and mostly nobody looks. So the process puts this program in its place (execve(2): one process for its
supervisor all the time) and is put back by it; who connects meanwhile waits in the sockets' queue. It must never accept a
connection, nor load more than the standard library's small part.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from gateway.notifying import notify

SOCKETS = "MUDROOM_WEB_SOCKETS"  # their descriptors, in the environment of who is put back


def rest(sockets: Sequence[socket.socket]) -> NoReturn:
    """Become the small process; it starts this very command again with these sockets. Raises OSError."""
    numbers = ",".join(str(sock.fileno()) for sock in sockets)
    for sock in sockets:
        sock.set_inheritable(True)
    os.execv(sys.executable, [sys.executable, "-m", "gateway.web.resting", numbers, *sys.orig_argv[1:]])  # noqa: S606 # our own interpreter, our own words


def woken() -> list[socket.socket]:
    """The listening sockets that the small process left; none where this is the first start."""
    found = []
    for number in os.environ.pop(SOCKETS, "").split(","):
        with contextlib.suppress(OSError, ValueError):
            sock = socket.socket(fileno=int(number))
            sock.set_inheritable(False)
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                found.append(sock)
            else:
                sock.close()
    return found


def main() -> None:
    """``argv``: the descriptors, then the interpreter's words for whom to start."""
    numbers, *words = sys.argv[1:]
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, _end)
    knocks = select.poll()
    for number in numbers.split(","):
        knocks.register(int(number), select.POLLIN)
    notify("READY=1\nSTATUS=waiting for somebody to look")
    period = int(os.environ.get("WATCHDOG_USEC", "0")) // 2_000
    while not knocks.poll(period or None):
        notify("WATCHDOG=1")
    notify("WATCHDOG=1\nSTATUS=somebody looks")
    os.environ[SOCKETS] = numbers
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 # as above


def _end(number: int, frame: object) -> NoReturn:
    notify("STOPPING=1")
    sys.exit(0)


if __name__ == "__main__":
    main()
