"""One TLS connection to a vendor host over HTTP/2, for one device: several requests at once, each on its stream.

The requests are those of HTTP/1.1 to the last field: ``:authority`` is the Host that was signed. It must never read on after the
peer broke HTTP, nor be imported before a vendor chose HTTP/2: it loads the parser.
"""

from __future__ import annotations

import asyncio

from gateway.courier.carrier import Carrier, Owner
from gateway.courier.job import Job
from gateway.http1.violation import Limits
from gateway.http2.breach import Breach
from gateway.http2.client import Answered, ClientSide, Unanswered


class Connection2(Carrier):
    """HTTP/2."""

    multiplexed = True

    def __init__(self, owner: Owner, limits: Limits) -> None:
        super().__init__(owner, limits)
        self._side = ClientSide(limits)
        self._jobs: dict[int, tuple[Job, float]] = {}  # stream: what was asked on it, and until when; oldest first
        self._heard = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._write()

    def send(self, job: Job, deadline: float) -> None:
        """Write one request; the answer is due by ``deadline``."""
        if not self.usable:
            raise RuntimeError("the connection is not free")
        body = job.deliver.body
        fields = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", job.deliver.host.encode("ascii")),
            (b":path", job.path.encode("ascii")),
            *((name.lower().encode("ascii"), value.encode("ascii")) for name, value in job.headers),
            (b"content-length", b"%d" % len(body)),
        ]
        if not self._jobs:
            self._heard = False
            self.deadline = deadline
        self._jobs[self._side.ask(fields, body)] = (job, deadline)
        self.uses += 1
        self._write()

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self.open and self._side.room > 0

    @property
    def busy(self) -> bool:
        """Whether jobs are under way."""
        return bool(self._jobs)

    def give_up(self) -> list[Job]:
        """Let go of the jobs under way."""
        jobs = [job for job, _ in self._jobs.values()]
        self._jobs.clear()
        return jobs

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            for told in self._side.feed(data):
                self._tell(told)
        except Breach as breach:
            self._side.end(breach.code, f"{breach.reason.label}: {breach.detail}")
            self._write()
            self.close()
            for job in self.give_up():
                self._owner.violated(self, job, breach)
            return
        self._write()
        if self._side.leaving and not self._jobs:
            self._side.end()
            self._write()
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._side.release()
        self._owner.lost(self, self.give_up(), heard=self._heard)

    def _tell(self, told: Answered | Unanswered) -> None:
        job, _ = self._jobs.pop(told.stream, (None, 0.0))
        if self._jobs:
            self.deadline = min(deadline for _, deadline in self._jobs.values())
        if job is None:  # given up
            return
        if isinstance(told, Answered):
            self._owner.answered(self, job, told.response)
        elif told.processed:
            self._owner.unanswered(self, job)
        else:
            self._owner.turned_away(self, job)

    def _write(self) -> None:
        written = self._side.take()
        if written and self.open and self._transport is not None:
            self._transport.write(written)
