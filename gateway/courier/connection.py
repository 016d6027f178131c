"""One TLS connection to a vendor host, for one device: one request at a time.

It must never write a second request before the first was answered, nor read on after the peer broke HTTP.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from gateway.courier.job import Job
from gateway.http1.response import Response, ResponseParser
from gateway.http1.violation import Limits, Violation


class Owner(Protocol):
    """Who is told what happens on a connection."""

    def answered(self, connection: Connection, job: Job, response: Response) -> None:
        """A whole response came; the connection takes another request unless it is closing."""

    def violated(self, connection: Connection, job: Job, violation: Violation) -> None:
        """The peer broke HTTP; the connection is closed."""

    def lost(self, connection: Connection, job: Job | None, *, heard: bool) -> None:
        """The connection is gone. ``job``: the request without an answer; ``heard``: whether a part of its answer had come."""


class Connection(asyncio.Protocol):
    """Times are monotonic seconds."""

    def __init__(self, owner: Owner, limits: Limits) -> None:
        self._owner = owner
        self._parser = ResponseParser(limits)
        self._transport: asyncio.Transport | None = None
        self._heard = False
        self.job: Job | None = None
        self.uses = 0
        self.deadline = 0.0  # of the answer while a job is under way, of the idling otherwise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports behave like asyncio.Transport without being one
        self._transport = cast(asyncio.Transport, transport)

    def send(self, job: Job, deadline: float) -> None:
        """Write one request; the answer is due by ``deadline``."""
        if self._transport is None or self.job is not None:
            raise RuntimeError("the connection is not free")
        self.job, self.deadline, self._heard = job, deadline, False
        self.uses += 1
        self._parser.expect("POST")
        self._transport.write(job.request)

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing() and self.job is None

    def data_received(self, data: bytes) -> None:
        job = self.job
        self._heard = True
        try:
            response = self._parser.feed(data)
        except Violation as violation:
            self.close()
            if job is not None:
                self.job = None
                self._owner.violated(self, job, violation)
            return
        if response is not None and job is not None:
            self.job = None
            if response.close:
                self.close()
            self._owner.answered(self, job, response)

    def eof_received(self) -> bool:
        return False  # close; what had come whole was answered already

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        job, self.job = self.job, None
        self._owner.lost(self, job, heard=self._heard)

    def close(self) -> None:
        """End it after what was written; ``lost`` follows."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once; ``lost`` follows."""
        if self._transport is not None:
            self._transport.abort()
