"""What a pair asks of a connection, whichever HTTP it speaks. It must never serve two pairs."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from gateway.courier.job import Job
from gateway.http1.response import Response
from gateway.http1.violation import Limits, Violation


class Owner(Protocol):
    """Who is told what happens on a connection."""

    def answered(self, connection: Carrier, job: Job, response: Response) -> None:
        """A whole response came; the connection takes another request unless it is closing."""

    def turned_away(self, connection: Carrier, job: Job) -> None:
        """The vendor surely did not process the request."""

    def unanswered(self, connection: Carrier, job: Job) -> None:
        """There will be no answer; the request may have been processed."""

    def violated(self, connection: Carrier, job: Job, violation: Violation) -> None:
        """The peer broke HTTP; the connection is closed."""

    def lost(self, connection: Carrier, jobs: list[Job], *, heard: bool) -> None:
        """The connection is gone. ``jobs``: those without an answer; ``heard``: whether a part of an answer may have come."""


class Carrier(asyncio.Protocol):
    """A connection to a vendor host. ``uses``: requests that it has taken. Times are monotonic seconds."""

    multiplexed = False  # whether it takes several requests at once

    def __init__(self, owner: Owner, limits: Limits) -> None:
        self._owner = owner
        self._limits = limits
        self._transport: asyncio.Transport | None = None
        self.uses = 0
        self.deadline = 0.0  # of the next answer while jobs are under way, of the idling otherwise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports behave like asyncio.Transport without being one
        self._transport = cast(asyncio.Transport, transport)

    def eof_received(self) -> bool:
        return False  # close; what had come whole was answered already

    def send(self, job: Job, deadline: float) -> None:
        """Write one request; the answer is due by ``deadline``."""
        raise NotImplementedError

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        raise NotImplementedError

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        raise NotImplementedError

    def give_up(self) -> list[Job]:
        """Let go of the jobs under way: nothing more is told of them."""
        raise NotImplementedError

    @property
    def open(self) -> bool:
        """Whether bytes can be written."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """End it after what was written; ``lost`` follows."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once; ``lost`` follows."""
        if self._transport is not None:
            self._transport.abort()
