"""When which committed message goes to the courier: windows and back-off, pure (the caller brings the monotonic time).

For each vendor host it knows how many messages wait on disk, which are at the courier, and whether the host is in
back-off. A host in back-off gets one message at a time as a probe, each time another one, so that a single message that
the vendor cannot digest never holds up the rest. This module must never hold a message's body.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush

WINDOW = 512  # messages at the courier
WINDOW_PER_HOST = 128
RESERVED = 8  # of them that a host may have at the courier however many others have: slow vendors must not hold up the rest
RESTING = 256  # deferred messages per host whose own wait is remembered; beyond it the oldest may go again at once
MAX_RETRY_AFTER = 3_600.0  # seconds; a vendor cannot park messages for longer


@dataclass(slots=True)
class Flight:
    """A message that is at the courier. ``answered``: its answer is on the way to disk."""

    seq: int
    id: str
    device: str
    vendor: str
    host: str
    type: str
    sent: float
    answered: bool = False


@dataclass(slots=True)
class Host:
    """What is known of one vendor host. Times are monotonic seconds."""

    queued: int = 0  # rows in the outbox
    flying: dict[int, Flight] = field(default_factory=dict)  # by seq
    resting: dict[int, float] = field(default_factory=dict)  # seq to the time from which it may go again
    held: dict[int, float] = field(default_factory=dict)  # seq to the end of the slot in which it came
    release: list[tuple[float, int]] = field(default_factory=list)  # the same as a heap
    tries: dict[int, int] = field(default_factory=dict)  # failed tries of those that rest
    loading: bool = False
    failures: int = 0
    since: float = 0.0  # when the last back-off began
    until: float = 0.0  # when the next probe may go

    @property
    def eligible(self) -> int:
        """Rows that are neither at the courier nor resting nor held."""
        return self.queued - len(self.flying) - len(self.resting) - len(self.held)


class Schedule:
    """All hosts. ``first`` and ``most``: seconds of back-off; ``jitter`` returns a number in [0, 1)."""

    def __init__(self, first: float, most: float, jitter: Callable[[], float] = random.random) -> None:
        self._first = first
        self._most = most
        self._jitter = jitter
        self.hosts: dict[str, Host] = {}
        self.flights: dict[str, Flight] = {}  # by message id

    def queued(self, host: str, number: int = 1) -> None:
        """``number`` messages for ``host`` were committed."""
        self.hosts.setdefault(host, Host()).queued += number

    def recount(self, hosts: dict[str, int]) -> None:
        """What waits on disk by host, counted at this moment between two commits."""
        for host in self.hosts.values():
            host.queued = 0
        for name, number in hosts.items():
            self.hosts.setdefault(name, Host()).queued = number

    def backing_off(self, host: str) -> bool:
        """Whether the last try of this host failed."""
        found = self.hosts.get(host)
        return found is not None and found.failures > 0

    def goes_straight(self, host: str, id: str) -> bool:
        """Whether a message for ``host`` that was committed just now may go to the courier without a look at the disk."""
        found = self.hosts[host]
        return (
            not found.failures
            and not found.loading
            and found.eligible == 1  # itself: nobody is overtaken
            and len(found.flying) < WINDOW_PER_HOST
            and (len(self.flights) < WINDOW or len(found.flying) < RESERVED)
            and id not in self.flights
        )

    def hold(self, host: str, seq: int, until: float) -> None:
        """A message that was committed just now must not go before ``until``."""
        found = self.hosts[host]
        found.held[seq] = until
        heappush(found.release, (until, seq))

    def release(self, now: float) -> None:
        """What was held until now may go."""
        for host in self.hosts.values():
            while host.release and host.release[0][0] <= now:
                host.held.pop(heappop(host.release)[1], None)

    def next_release(self) -> float | None:
        """When the next held message may go."""
        return min((host.release[0][0] for host in self.hosts.values() if host.release), default=None)

    def sent(self, flight: Flight) -> None:
        """A message was given to the courier."""
        self.flights[flight.id] = flight
        self.hosts[flight.host].flying[flight.seq] = flight

    def finished(self, flight: Flight, now: float) -> None:
        """The answer to a message is committed; its row is gone."""
        host = self._landed(flight)
        host.queued -= 1
        host.tries.pop(flight.seq, None)
        if host.failures and flight.sent >= host.since:
            host.failures = 0
            # What rests because the host was away goes soon; one that failed often by itself later each time.
            for seq, due in host.resting.items():
                host.resting[seq] = min(due, now + self._first * host.tries.get(seq, 0))
        self._forget(flight.host, host)

    def deferred(self, flight: Flight, now: float, retry_after: float = 0.0) -> float:
        """A try failed; returns the seconds until the next try of this message."""
        host = self._landed(flight)
        if flight.sent >= host.since or not host.failures:
            # one failure for all that were under way together
            host.failures += 1
            host.since = now
            host.until = now + self._wait(host.failures, retry_after)
        tries = host.tries.pop(flight.seq, 0) + 1
        wait = self._wait(tries, retry_after)
        while len(host.resting) >= RESTING:
            oldest = next(iter(host.resting))
            del host.resting[oldest]
            host.tries.pop(oldest, None)
        if len(host.tries) >= 16 * RESTING:
            host.tries.clear()
        host.tries[flight.seq] = tries
        host.resting[flight.seq] = now + wait
        return wait

    def returned(self, flight: Flight, now: float, wait: float) -> None:
        """The message goes back to the queue for ``wait`` seconds; the host is not to blame."""
        host = self._landed(flight)
        host.resting[flight.seq] = now + wait

    def courier_lost(self) -> None:
        """Whatever was at the courier waits again, but for what is answered already."""
        for flight in [flight for flight in self.flights.values() if not flight.answered]:
            self._landed(flight)

    def expired(self, host: str, seq: int) -> None:
        """A message was given up; its row is gone."""
        found = self.hosts[host]
        found.queued -= 1
        found.resting.pop(seq, None)
        found.held.pop(seq, None)
        found.tries.pop(seq, None)
        self._forget(host, found)

    def wanted(self, now: float) -> list[tuple[str, int]]:
        """(host, how many) to read from disk and send now."""
        self.release(now)
        room = WINDOW - len(self.flights)
        found: list[tuple[str, int]] = []
        for name, host in self.hosts.items():
            if host.loading or not host.queued:
                continue
            if host.failures and (now < host.until or host.flying):
                continue
            for seq in [seq for seq, due in host.resting.items() if due <= now]:
                del host.resting[seq]
            if host.eligible <= 0:
                if not (host.failures and host.resting):
                    continue
                # the host may be probed and all of its messages rest: the one that rested longest goes
                del host.resting[next(iter(host.resting))]
            if host.failures:
                number = 1
            elif len(host.flying) > WINDOW_PER_HOST // 2:
                continue  # read many at once, not one for each that comes back
            else:
                number = min(WINDOW_PER_HOST - len(host.flying), host.eligible, max(room, RESERVED - len(host.flying)))
            if number > 0:
                found.append((name, number))
                room -= number
        return found

    def due(self, now: float) -> float | None:
        """Seconds until ``wanted`` may change by itself; None: it will not."""
        times = [
            max(host.until if host.failures else 0.0, now if host.eligible > 0 else min(host.resting.values(), default=now))
            for host in self.hosts.values()
            if host.queued > len(host.held) and not (host.failures and host.flying)
        ]
        return max(min(times) - now, 0.0) if times else None

    def skip(self, host: str) -> set[int]:
        """Seqs of ``host`` that must not be read from disk now."""
        found = self.hosts[host]
        return {*found.flying, *found.resting, *found.held}

    def _landed(self, flight: Flight) -> Host:
        del self.flights[flight.id]
        host = self.hosts[flight.host]
        del host.flying[flight.seq]
        return host

    def _wait(self, failures: int, retry_after: float) -> float:
        # half fixed, half jitter: homes that lost the same vendor do not come back in step
        wait = min(self._first * 2.0 ** min(failures - 1, 32), self._most)
        return max(wait * (0.5 + 0.5 * self._jitter()), min(retry_after, MAX_RETRY_AFTER))

    def _forget(self, name: str, host: Host) -> None:
        if not host.queued and not host.failures and not host.loading:
            del self.hosts[name]
