"""sd_notify(3), for whoever supervises: systemd on the appliance, the virtual home's supervisor in tests.

Standard library only, and little of it: the console's lasting process imports this too.
"""

from __future__ import annotations

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Tell the supervisor ("READY=1", "WATCHDOG=1", "STATUS=…", "STOPPING=1"); nothing where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock, contextlib.suppress(OSError):
        sock.sendto(state.encode(), address)
