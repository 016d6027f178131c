"""The addresses of vendor hosts, asked of the system's resolver in threads and kept for a minute.

It must never hand out an address that ``destination.is_permitted`` refuses. A name is asked for by one thread at a time, so
that a vendor whose name servers keep silent holds up its own names and nobody else's.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from gateway.courier.destination import Address, Network, is_permitted

KEPT_SECONDS = 60.0
MOST_NAMES = 1024
MOST_ADDRESSES = 16
# Started when needed. A silent name server holds one for half a minute, and a manifest names 16 hosts at most.
THREADS = 64

Lookup = Callable[[str], Iterable[str]]


class NoAddress(OSError):
    """The name has no address now."""


class ForbiddenAddress(OSError):
    """The name leads only to addresses where a vendor cannot be."""


def system_lookup(host: str) -> list[str]:
    """Addresses in the order that the system prefers (RFC 6724). Blocks. Raises OSError."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)]


class Resolver:
    """``home``: prefixes of this home; ``lookup`` blocks and runs in a thread."""

    def __init__(self, home: Iterable[Network], lookup: Lookup = system_lookup) -> None:
        self._home = tuple(home)
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolver")
        self._asking: dict[str, asyncio.Future[tuple[Address, ...]]] = {}
        self._kept: dict[str, tuple[float, tuple[Address, ...]]] = {}

    async def addresses(self, host: str) -> tuple[Address, ...]:
        """Where ``host`` may be connected to, at least one address. Raises NoAddress or ForbiddenAddress."""
        kept = self._kept.get(host)
        if kept is not None and kept[0] > time.monotonic():
            found = kept[1]
        else:
            asking = self._asking.get(host)
            if asking is None:
                asking = self._asking[host] = asyncio.get_running_loop().run_in_executor(self._threads, self._ask, host)
                asking.add_done_callback(lambda done: self._asked(host, done))
            found = await asyncio.shield(asking)  # whoever gives up waiting leaves it to the others
        permitted = tuple(address for address in found if is_permitted(address, self._home))
        if not permitted:
            raise ForbiddenAddress(f"{host} leads to {found[0]}, where no vendor can be")
        return permitted

    def forget(self, host: str) -> None:
        """Ask anew next time: nothing of what was told answered."""
        self._kept.pop(host, None)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _asked(self, host: str, done: asyncio.Future[tuple[Address, ...]]) -> None:
        self._asking.pop(host, None)
        if done.cancelled() or done.exception() is not None:  # looked at, for perhaps nobody waits any more
            return
        if len(self._kept) >= MOST_NAMES:
            self._kept.clear()
        self._kept[host] = (time.monotonic() + KEPT_SECONDS, done.result())

    def _ask(self, host: str) -> tuple[Address, ...]:
        try:
            found = dict.fromkeys(ip_address(text) for text in self._lookup(host))
        except (OSError, ValueError) as error:
            raise NoAddress(f"{host}: {error}") from error
        if not found:
            raise NoAddress(f"{host} has no address")
        return tuple(found)[:MOST_ADDRESSES]
