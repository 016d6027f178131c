"""A flood of refusals becomes numbers, and memory stays bounded."""

from __future__ import annotations

from gateway.enrolment.tally import MORE, MOST_ROWS, Tally
from gateway.reasons import Reason


def test_equal_refusals_are_one_row_and_too_many_kinds_one_more() -> None:
    tally = Tally()
    for _ in range(3):
        tally.note("plug", Reason.ENROLMENT_PROOF)
    for number in range(10_000):
        tally.note(f"stranger-{number}", Reason.ENROLMENT_WAITING)
    assert len(tally) == MOST_ROWS + 1
    rows = tally.drain()
    assert (rows[0].device, rows[0].count, rows[0].layer) == ("plug", 3, "enrolment")
    assert sum(row.count for row in rows) == 10_003
    assert rows[-1].device == MORE
    assert len(tally) == 0
