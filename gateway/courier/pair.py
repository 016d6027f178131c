"""The connections of one device to one vendor host, and the messages that wait for one of them.

It must never lend a connection to another pair: two devices at one vendor share nothing that could link them.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.courier.carrier import Carrier
from gateway.courier.job import Job
from gateway.courier.newcomer import Newcomer
from gateway.courier.resolver import ForbiddenAddress, NoAddress, Resolver
from gateway.courier.trust import ALPN, ALPN2, Authorities
from gateway.http1.response import Response
from gateway.http1.violation import Limits, Violation
from gateway.reasons import Reason

log = logging.getLogger(__name__)
IDLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What all pairs have in common. Seconds; ``most``: connections per pair."""

    resolver: Resolver
    authorities: Authorities
    limits: Limits
    connect_seconds: float
    answer_seconds: float
    most: int
    still_permitted: Callable[[Job], bool]
    done: Callable[[Job, Response], None]
    failed: Callable[[Job, Reason, str], None]


class Pair:
    """Owner of its connections."""

    def __init__(self, host: str, terms: Terms) -> None:
        self._host = host
        self._terms = terms
        self._queue: deque[Job] = deque()  # as long as the ledger's window lets it be
        self._idle: list[Carrier] = []
        self._open: set[Carrier] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._multiplexed: bool | None = None  # whether the vendor's connections take several requests; None: not known yet

    @property
    def empty(self) -> bool:
        """Whether nothing is open, opening or waiting."""
        return not (self._queue or self._open or self._opening)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def put(self, job: Job) -> None:
        """Send ``job`` on a free connection, or let it wait for one."""
        while self._idle:
            connection = self._idle.pop()  # the one used last: the others grow old and are closed
            if connection.usable:
                connection.send(job, time.monotonic() + self._terms.answer_seconds)
                return
        if self._multiplexed and not self._queue:
            for connection in self._open:
                if connection.usable:
                    connection.send(job, time.monotonic() + self._terms.answer_seconds)
                    return
        self._queue.append(job)
        self._grow()

    def sweep(self, now: float) -> None:
        """End what took too long or idled too long."""
        late = [connection for connection in self._open if connection.deadline <= now]
        for connection in late:
            if not connection.busy:
                connection.close()
                continue
            jobs = connection.give_up()
            connection.abort()
            self._fail(jobs, Reason.VENDOR_UNREACHABLE, f"no answer within {self._terms.answer_seconds:g} s")
        if self._queue and not self._opening and not any(each.busy or not each.open for each in self._open):
            self._fail_queue(Reason.VENDOR_UNREACHABLE, "the vendor lets no request in")

    def abandon(self) -> None:
        """The ledger is gone: nothing more leaves, and what is under way has nobody to report to."""
        self._queue.clear()
        for connection in list(self._open):
            if connection.give_up():
                connection.abort()

    async def close(self) -> None:
        """End everything."""
        self.abandon()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in list(self._open):
            connection.abort()

    # --- what connections tell ---

    def answered(self, connection: Carrier, job: Job, response: Response) -> None:
        self._terms.done(job, response)
        self._free(connection)

    def turned_away(self, connection: Carrier, job: Job) -> None:
        if job.retried:
            self._fail([job], Reason.VENDOR_UNREACHABLE, "the vendor turned the request away twice")
            return
        job.retried = True  # RFC 9113 section 8.7: it was not processed, so once more at once
        self._queue.appendleft(job)
        self._free(connection)
        self._grow()

    def unanswered(self, connection: Carrier, job: Job) -> None:
        self._fail([job], Reason.VENDOR_UNREACHABLE, "the vendor broke off the request without an answer")
        self._free(connection)

    def violated(self, connection: Carrier, job: Job, violation: Violation) -> None:
        # Whether the vendor took the message cannot be known, so it is sent again; its id keeps that harmless.
        self._terms.failed(job, Reason.VENDOR_ANSWER, violation.detail)

    def lost(self, connection: Carrier, jobs: list[Job], *, heard: bool) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        # the vendor closed an idle connection at the moment at which we took it (RFC 9112 section 9.3.1)
        stale = connection.uses > len(jobs) and not heard
        again = [job for job in jobs if stale and not job.retried]
        for job in reversed(again):
            job.retried = True
            self._queue.appendleft(job)
        if failed := [job for job in jobs if job not in again]:
            self._fail(failed, Reason.VENDOR_UNREACHABLE, "the vendor closed the connection before it answered")
        self._grow()

    # --- within ---

    def _free(self, connection: Carrier) -> None:
        now = time.monotonic()
        while self._queue and connection.usable:
            job = self._queue.popleft()
            if self._terms.still_permitted(job):
                connection.send(job, now + self._terms.answer_seconds)
        if connection.usable and not connection.busy and connection not in self._idle:
            connection.deadline = now + IDLE_SECONDS
            self._idle.append(connection)

    def _fail(self, jobs: list[Job], reason: Reason, detail: str) -> None:
        """``jobs`` and whatever waits behind them: the ledger holds them all back together."""
        waiting = [*jobs, *self._queue]
        self._queue.clear()
        for each in waiting:
            self._terms.failed(each, reason, detail)

    def _grow(self) -> None:
        wanted = len(self._queue)
        if self._multiplexed is not False:
            wanted = min(wanted, 1)  # one takes several; or it is the first, which will tell
        while len(self._opening) < wanted and len(self._open) + len(self._opening) < self._terms.most:
            task = asyncio.get_running_loop().create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: connecting failed in an unforeseen way", self._host, exc_info=error)
            self._fail_queue(Reason.VENDOR_UNREACHABLE, "connecting failed")
        elif not task.cancelled():
            self._grow()

    def _fail_queue(self, reason: Reason, detail: str) -> None:
        if self._queue:
            self._fail([], reason, detail)

    async def _connect(self) -> None:
        try:
            connection = await self._first_that_answers()
        except ForbiddenAddress as error:
            self._fail_queue(Reason.VENDOR_ADDRESS, str(error))
        except ssl.SSLError as error:
            self._fail_queue(Reason.VENDOR_TLS, _told(error))
        except (ConnectionResetError, ConnectionAbortedError):
            # TCP was up (a closed port is ConnectionRefusedError), so it broke off the handshake: it speaks no TLS 1.3, say
            self._fail_queue(Reason.VENDOR_TLS, "the vendor broke off the TLS handshake")
        except (OSError, TimeoutError) as error:
            self._fail_queue(Reason.VENDOR_UNREACHABLE, _told(error))
        else:
            if not connection.usable:
                self._fail_queue(Reason.VENDOR_UNREACHABLE, "the vendor closed the connection at once")
                return
            self._multiplexed = connection.multiplexed
            self._open.add(connection)
            self._free(connection)

    async def _first_that_answers(self) -> Carrier:
        """Try the addresses in order, each for a fair part of the time. Raises OSError."""
        terms = self._terms
        loop = asyncio.get_running_loop()
        failure: OSError = NoAddress(f"{self._host} has no address")
        async with asyncio.timeout(terms.connect_seconds):
            addresses = await terms.resolver.addresses(self._host)
            context = terms.authorities.context(ALPN2, ALPN)
            for address in addresses:
                newcomer = Newcomer(self, terms.limits)
                connecting: Awaitable[tuple[asyncio.Transport, Newcomer]] = loop.create_connection(
                    lambda newcomer=newcomer: newcomer,  # type: ignore[misc]
                    str(address),
                    443,
                    ssl=context,
                    server_hostname=self._host,
                )
                try:
                    async with asyncio.timeout(max(terms.connect_seconds / (len(addresses) + 1), 1.0)):
                        await connecting
                except TimeoutError:
                    failure = TimeoutError(f"{address}: no answer")
                except ssl.SSLError as error:
                    failure = error
                except OSError as error:
                    failure = failure if isinstance(failure, ssl.SSLError) else error
                else:
                    if newcomer.carrier is not None:
                        return newcomer.carrier
                    failure = ssl.SSLError(f"the vendor chose the protocol {newcomer.chosen}")
        terms.resolver.forget(self._host)
        raise failure


def _told(error: BaseException) -> str:
    """An error in bounded words."""
    return (str(error) or type(error).__name__)[:300]
