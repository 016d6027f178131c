"""Attempts add up, and a flood of names takes a bounded number of rows."""

from __future__ import annotations

from gateway.ipc.messages import Attempt
from gateway.names.tally import MORE, Tally
from gateway.reasons import Reason

REFUSED = Reason.NAME_NOT_APPROVED


def test_equal_attempts_are_one_row() -> None:
    tally = Tally()
    for now in (5, 7, 9):
        tally.add("plug", REFUSED, "tracker.example", now)
    assert tally.drain() == [Attempt("plug", REFUSED.code, "dns", "tracker.example", 53, 3, 5, 9, "names")]
    assert tally.drain() == []


def test_a_flood_of_names_is_bounded_and_still_counted() -> None:
    tally = Tally(names_per_device=4)
    for number in range(1000):
        tally.add("plug", REFUSED, f"{number}.tunnel.example", number)
    tally.add("lamp", REFUSED, "tracker.example", 1)
    assert len(tally) == 6
    rows = tally.drain()
    assert sum(row.count for row in rows if row.device == "plug") == 1000
    assert [row.count for row in rows if row.destination == MORE] == [996]
    assert [row.destination for row in rows if row.device == "lamp"] == ["tracker.example"]  # another's flood hides nothing


def test_a_flood_of_devices_is_bounded_too() -> None:
    tally = Tally(names_per_device=2, devices=3)
    for number in range(100):
        tally.add(f"02:00:00:00:00:{number:02x}", REFUSED, f"{number}.example", number)
    assert len(tally) <= 2 * (3 + 1) + 1
    assert sum(row.count for row in tally.drain()) == 100
