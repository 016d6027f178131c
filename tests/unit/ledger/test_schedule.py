"""When which message goes: what one vendor does with its messages is no other vendor's trouble."""

from __future__ import annotations

import pytest

from gateway.ledger.schedule import RESERVED, WINDOW, WINDOW_PER_HOST, Flight, Schedule

SLOW = [f"{number}.acme.example" for number in range(16)]  # as many as one manifest may name
OTHER = "in.borealis.example"


def fly(schedule: Schedule, host: str, seq: int) -> Flight:
    flight = Flight(seq, f"m-{seq}", "plug", "Vendor", host, "reading", 0.0)
    schedule.sent(flight)
    return flight


@pytest.fixture
def busy() -> Schedule:
    """All of the window is at the courier, for hosts that take messages and never answer."""
    schedule = Schedule(1.0, 300.0)
    for host in SLOW:
        schedule.queued(host, 1000)
    for host, number in schedule.wanted(0.0):
        for _ in range(number):
            fly(schedule, host, len(schedule.flights))
    assert WINDOW <= len(schedule.flights) <= WINDOW + RESERVED * len(SLOW)
    return schedule


def test_a_full_window_leaves_room_for_a_host_that_has_none_of_it(busy: Schedule) -> None:
    schedule = busy
    assert schedule.wanted(0.0) == []
    schedule.queued(OTHER)
    assert schedule.goes_straight(OTHER, "m-x")
    schedule.queued(OTHER, 99)
    assert schedule.wanted(0.0) == [(OTHER, RESERVED)]
    theirs = [fly(schedule, OTHER, 10_000 + n) for n in range(RESERVED)]
    assert schedule.wanted(0.0) == [], "and no more than that"
    schedule.finished(theirs[0], 1.0)
    assert schedule.wanted(1.0) == [(OTHER, 1)]


def test_a_window_that_is_free_is_one_hosts_to_use() -> None:
    schedule = Schedule(1.0, 300.0)
    schedule.queued(OTHER, 1000)
    assert schedule.wanted(0.0) == [(OTHER, WINDOW_PER_HOST)]
