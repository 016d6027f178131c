"""A netlink socket for one piece of synchronous work; the only way in which this room opens one.

pyroute2's synchronous face drives an event loop of its own and so cannot be used on a thread where one runs already
(steering's). Each piece of work therefore gets a short-lived thread, which shares the caller's network namespace.
This module must never decide anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from gateway.network.errors import NetworkError

__all__ = ["NetlinkError", "in_thread", "with_netlink"]


def with_netlink[T](work: Callable[[Any], T]) -> T:
    """What ``work(ip)`` returns; its exceptions pass through. Raises NetworkError where netlink cannot be spoken."""

    def body() -> T:
        try:
            ip = IPRoute()
        except OSError as error:
            raise NetworkError(f"netlink: {error}; this needs a Linux kernel with rtnetlink and root") from error
        with ip:
            return work(ip)

    return in_thread(body)


def in_thread[T](work: Callable[[], T]) -> T:
    """Run ``work`` on a thread that ends with it, so that an event loop or a namespace that it enters is left behind."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # carried over to the caller's thread, whatever it is
            errors.append(error)

    thread = threading.Thread(target=body, name="network")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
