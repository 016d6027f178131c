"""What was tried, added up by SQLite for the pages, held against the plain walk that the command makes of the same record."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.batch import Batch, Tally
from gateway.ledger.reader import Reader
from gateway.ledger.store import Quotas, Store
from gateway.ledger.tried import Tried, summed, tried
from gateway.reasons import Reason
from tests.unit.ledger.peers import refusal

DEVICES = ("lamp", "plug", "02:00:00:00:01:01")
CODES = [Reason.QUIC.code, Reason.MULTICAST.code, Reason.PASS_DOOR.code, 9999]  # the last: a newer version's
KEYS = st.tuples(
    st.sampled_from(DEVICES), st.sampled_from(CODES), st.sampled_from(["udp", "tcp"]),
    st.sampled_from(["a.example", "b.example", "c.example", "(more)"]), st.sampled_from([0, 443]),
    st.sampled_from(["kernel", "door"]),
)  # fmt: skip
TALLIES = st.builds(
    lambda count, first, longer: Tally(count, first, first + longer),
    st.integers(1, 2**40), st.integers(1, 2**60), st.integers(0, 2**40),
)  # fmt: skip


def told(row: Tried) -> dict[str, Any]:
    """What a page tells of a row."""
    noted = sum(place.count for place in row.places) + row.more_count
    return {
        "count": row.count, "first": row.first, "last": row.last, "places": len(row.places) + row.more_places, "noted": noted,
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(KEYS, TALLIES, max_size=40),
    st.dictionaries(st.tuples(st.sampled_from(DEVICES), st.sampled_from(CODES)), st.integers(1, 2**40), max_size=8),
    st.lists(st.sampled_from(DEVICES), max_size=4),
    st.sampled_from((None, *DEVICES)),
    st.integers(0, 12),
    st.integers(0, 5),
)
def test_the_sums_are_those_of_the_plain_walk(
    attempts: dict[Any, Tally], counters: dict[Any, int], refused: list[str], device: str | None, rows: int, places: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        store = Store(path, Quotas(10**9, 10**12, 10**9, 10**9))
        store.open()
        packets = {key: (count, count) for key, count in counters.items()}
        store.commit(Batch(attempts=attempts, counters=packets, refusals=[refusal(name) for name in refused]))
        store.close()
        with Reader(path) as reader:
            plain = {(row.device, row.reason): row for row in tried(reader, device)}
            shown, left = summed(reader, device, rows, places)
            assert reader.version(), "no transaction is left open"
    assert len(shown) == min(rows, len(plain)) and len(shown) + len(left) == len(plain)
    assert {(row.device, row.reason): told(row) for row in shown + left} == {key: told(row) for key, row in plain.items()}
    assert [row.last for row in shown + left] == sorted((row.last for row in plain.values()), reverse=True)
    assert all(row.more_places >= 0 and row.more_count >= 0 for row in shown + left)
    for row in shown:
        most = [place.count for place in plain[row.device, row.reason].places]
        assert [place.count for place in row.places] == most[:places]
    assert all(row.places == [] for row in left)
