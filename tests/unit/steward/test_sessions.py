"""Sessions: whose a token is, and when it is nobody's."""

from __future__ import annotations

import pytest

from gateway.steward import sessions
from gateway.steward.sessions import IDLE_SECONDS, MOST, MOST_SECONDS, Sessions
from tests.unit.steward.test_guesses import Clock

MARKS = {"owner": "o1", "household": "h1"}


def test_each_login_gets_a_token_of_its_own() -> None:
    found = Sessions(Clock())
    tokens = {found.begin("owner", "o1") for _ in range(20)}
    assert len(tokens) == 20 and all(len(token) == 43 for token in tokens)
    assert {found.find(token, MARKS) for token in tokens} == {"owner"}


@pytest.mark.parametrize("token", ["", "x", "é", "\udc80", "a" * 100_000])
def test_a_token_that_was_not_made_here_is_nobodys(token: str) -> None:
    found = Sessions(Clock())
    found.begin("owner", "o1")
    assert found.find(token, MARKS) == ""


def test_it_ends_by_rest_and_by_age() -> None:
    clock = Clock()
    found = Sessions(clock)
    resting, working = found.begin("owner", "o1"), found.begin("household", "h1")
    clock.now += IDLE_SECONDS - 1
    assert found.find(working, MARKS) == "household"
    assert found.find(resting, MARKS, touch=False) == "owner"
    clock.now += 2
    assert found.find(resting, MARKS) == "", "a look that is no work does not keep it"
    assert found.find(working, MARKS) == "household"
    for _ in range(int(MOST_SECONDS / (IDLE_SECONDS / 2)) + 1):
        clock.now += IDLE_SECONDS / 2
        found.find(working, MARKS)
    assert found.find(working, MARKS) == ""
    assert len(found) == 0


def test_another_password_ends_that_roles_sessions() -> None:
    found = Sessions(Clock())
    owner, guest = found.begin("owner", "o1"), found.begin("household", "h1")
    assert found.find(owner, {"owner": "o2", "household": "h1"}) == ""
    assert found.find(guest, {"owner": "o2", "household": "h1"}) == "household"
    assert found.find(guest, {"owner": "o2"}) == ""
    assert found.find(owner, MARKS) == "", "it does not come back with the old one"


def test_they_are_bounded_and_the_one_that_rested_longest_goes() -> None:
    clock = Clock()
    found = Sessions(clock)
    first = found.begin("owner", "o1")
    others = []
    for _ in range(MOST):
        clock.now += 1
        others.append(found.begin("owner", "o1"))
    assert found.find(first, MARKS) == ""
    assert {found.find(token, MARKS) for token in others} == {"owner"}
    assert len(found) == sessions.MOST


def test_the_household_cannot_push_the_owner_out() -> None:
    clock = Clock()
    found = Sessions(clock)
    owner = found.begin("owner", "o1")
    for _ in range(2 * MOST):
        clock.now += 1
        guest = found.begin("household", "h1")
    assert found.find(owner, MARKS) == "owner"
    assert found.find(guest, MARKS) == "household"
    assert len(found) == MOST


def test_an_ended_one_is_over() -> None:
    found = Sessions(Clock())
    token = found.begin("owner", "o1")
    found.end(token)
    found.end("nothing")
    assert found.find(token, MARKS) == ""
