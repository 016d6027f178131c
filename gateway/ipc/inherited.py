"""Listening Unix sockets that systemd made before the service ran (sd_listen_fds(3)).

Such a socket outlives the service: whoever connects while it restarts waits instead of failing. This module must never hand
out a socket of another kind: the devices' listeners come from steering alone, and die with their worker.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
from pathlib import Path

FIRST = 3  # SD_LISTEN_FDS_START
MOST = 16
log = logging.getLogger(__name__)


class Inherited:
    """What one process was given. Each socket is handed out once; its path stays systemd's, so nobody here unlinks it."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}
        self._paths: set[str] = set()

    def take_over(self) -> None:
        """Read and forget the environment's LISTEN_PID and LISTEN_FDS; nothing where they mean another process."""
        owner, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
        os.environ.pop("LISTEN_FDNAMES", None)
        if owner != str(os.getpid()) or not count.isdecimal():
            return
        for number in range(FIRST, FIRST + min(int(count), MOST)):
            sock = _listener(number)
            if sock is not None:
                path = str(sock.getsockname())
                self._sockets[path] = sock
                self._paths.add(path)

    def pop(self, path: Path) -> socket.socket | None:
        """The socket that listens at ``path``, which is the caller's from now on; None where systemd gave none."""
        return self._sockets.pop(str(path), None)

    def owns(self, path: Path) -> bool:
        """Whether the socket at ``path`` is systemd's, so that it stays when the service ends."""
        return str(path) in self._paths


def _listener(number: int) -> socket.socket | None:
    try:
        is_socket = stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        is_socket = False
    if not is_socket:
        log.error("descriptor %d from the supervisor is no socket; left alone", number)
        return None
    sock = socket.socket(fileno=number)
    if (
        sock.family != socket.AF_UNIX
        or sock.type != socket.SOCK_STREAM
        or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    ):
        log.error("descriptor %d from the supervisor is no listening Unix stream socket; closed", number)
        sock.close()
        return None
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


given = Inherited()
