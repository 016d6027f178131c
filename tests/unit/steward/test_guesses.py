"""How often somebody may guess."""

from __future__ import annotations

from gateway.steward import guesses
from gateway.steward.guesses import ALL_AT_ONCE, ALL_SECONDS, EACH_AT_ONCE, EACH_SECONDS, Guesses


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_address_has_a_few_tries_and_then_one_at_a_time() -> None:
    clock = Clock()
    found = Guesses(clock)
    assert [found.wait("a") for _ in range(EACH_AT_ONCE)] == [0] * EACH_AT_ONCE
    assert 0 < found.wait("a") <= EACH_SECONDS + 1
    assert found.wait("b") == 0, "another address has its own"
    clock.now += EACH_SECONDS
    assert found.wait("a") == 0
    assert found.wait("a") > 0


def test_a_refused_try_does_not_lengthen_the_wait() -> None:
    clock = Clock()
    found = Guesses(clock)
    for _ in range(EACH_AT_ONCE):
        found.wait("a")
    waits = {found.wait("a") for _ in range(100)}
    assert len(waits) == 1


def test_many_addresses_share_what_all_have_together() -> None:
    clock = Clock()
    found = Guesses(clock)
    assert [found.wait(f"a{n}") for n in range(ALL_AT_ONCE)] == [0] * ALL_AT_ONCE
    assert found.wait("another") > 0
    clock.now += ALL_SECONDS
    assert found.wait("another") == 0
    in_a_day = 0
    for second in range(0, 86_400, 5):
        clock.now = 10_000 + second
        in_a_day += any(found.wait(f"b{second}-{n}") == 0 for n in range(3))
    assert in_a_day <= 86_400 / ALL_SECONDS + ALL_AT_ONCE


def test_who_was_right_begins_anew() -> None:
    found = Guesses(Clock())
    for _ in range(EACH_AT_ONCE):
        found.wait("a")
    found.forgive("a")
    assert found.wait("a") == 0


def test_addresses_are_bounded_and_none_that_waits_is_forgotten() -> None:
    clock = Clock()
    found = Guesses(clock)
    for _ in range(EACH_AT_ONCE):
        found.wait("a")
    assert found.wait("a") > 0
    for n in range(3 * guesses.MOST_ADDRESSES):
        clock.now += ALL_SECONDS * 0.01
        found.wait(f"n{n}")
    assert len(found._each) <= guesses.MOST_ADDRESSES


def test_it_is_quiet_once_everybody_waited_it_out() -> None:
    clock = Clock()
    found = Guesses(clock)
    assert found.quiet
    found.wait("a")
    assert not found.quiet
    clock.now += EACH_SECONDS
    assert found.quiet
