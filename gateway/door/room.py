"""When a connection may be given the next piece of a file: once the kernel has the last one.

It must never let more of a file wait in this process than one piece, nor leave a connection slower for what comes after it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

# Of a file, in the kernel: so a slow device's progress is seen with each such part that it takes, and not by the megabyte.
MOST_NOT_SENT = 65_536


class Room:
    """Of one connection. ``go_on``: called in a turn of the loop of its own, so that others have theirs."""

    def __init__(self, go_on: Callable[[], None]) -> None:
        self._go_on = go_on
        self._loop = asyncio.get_running_loop()
        self._narrow = False
        self._wanted = False

    def want(self, transport: asyncio.Transport | None, *, stalled: bool) -> None:
        """A piece was written, and another will follow."""
        if transport is None or transport.is_closing():
            return  # the device broke off; connection_lost is on its way
        if not self._narrow:
            self._narrow = True
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_NOT_SENT)
            transport.set_write_buffer_limits(high=0)  # asyncio says "stalled" until the kernel has all of it
        self._wanted = True
        if not stalled:
            self._loop.call_soon(self._go_on)

    def freed(self) -> None:
        """The kernel has all that was written."""
        if self._wanted:
            self._loop.call_soon(self._go_on)

    def take(self) -> bool:
        """Whether a piece is due; it is then no more."""
        wanted, self._wanted = self._wanted, False
        return wanted

    def leave(self, transport: asyncio.Transport | None) -> None:
        """What was due was written: where nothing more follows, the connection is as before."""
        if self._narrow and not self._wanted and transport is not None:
            self._narrow = False
            transport.set_write_buffer_limits()
