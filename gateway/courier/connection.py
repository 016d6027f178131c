"""One TLS connection to a vendor host over HTTP/1.1, for one device: one request at a time.

It must never write a second request before the first was answered, nor read on after the peer broke HTTP.
"""

from __future__ import annotations

from gateway.courier.carrier import Carrier, Owner
from gateway.courier.job import Job
from gateway.http1.response import ResponseParser
from gateway.http1.violation import Limits, Violation


class Connection(Carrier):
    """HTTP/1.1."""

    def __init__(self, owner: Owner, limits: Limits) -> None:
        super().__init__(owner, limits)
        self._parser = ResponseParser(limits)
        self._heard = False
        self._job: Job | None = None

    def send(self, job: Job, deadline: float) -> None:
        """Write one request; the answer is due by ``deadline``."""
        if self._transport is None or self._job is not None:
            raise RuntimeError("the connection is not free")
        self._job, self.deadline, self._heard = job, deadline, False
        self.uses += 1
        self._parser.expect("POST")
        self._transport.write(job.request)

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self.open and self._job is None

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._job is not None

    def give_up(self) -> list[Job]:
        """Let go of the job under way."""
        job, self._job = self._job, None
        return [] if job is None else [job]

    def data_received(self, data: bytes) -> None:
        job = self._job
        self._heard = True
        try:
            response = self._parser.feed(data)
        except Violation as violation:
            self.close()
            if job is not None:
                self._job = None
                self._owner.violated(self, job, violation)
            return
        if response is not None and job is not None:
            self._job = None
            if response.close:
                self.close()
            self._owner.answered(self, job, response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._owner.lost(self, self.give_up(), heard=self._heard)
