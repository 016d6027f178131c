"""Search: it finds what is there, wherever the index is, and nothing that is not meant."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ipc.messages import Refused
from gateway.ledger import asked, index, searching, terms
from gateway.ledger.batch import Batch
from gateway.ledger.reader import Reader
from gateway.ledger.searching import Field, TooLongError, Wanted
from gateway.ledger.store import Quotas, Store
from gateway.ledger.tending import Tender
from tests.unit.ledger.grown import message, said, tend, wish
from tests.unit.ledger.peers import refusal, rows
from tests.unit.ledger.test_space import deliver

QUOTAS = Quotas(10**9, 10**12, 10**9, 10**9)
MESSAGES = (
    message(0, {"power": 21, "note": "Battery LOW"}),
    message(1, {"power": 21.0, "note": "all is well"}, device="lamp"),
    message(2, {"power": "21", "place": {"room": "Küche"}}, vendor="Borealis"),
    message(3, {"list": [1, {"a/b": True, "m~n": None}]}, type_="event"),
    message(4, {"power": 22, "note": "battery is not low, it is " + "very " * 400 + "full"}, host="other.example"),
)  # fmt: skip


def found(store: Store, wanted: Wanted, limit: int = 1000) -> list[int]:
    with Reader(store.path) as reader:
        newest = [int(record.id.removeprefix("m-")) for record in reader.search(wanted, limit)]
        if limit == 1000:
            assert newest == [int(record.id.removeprefix("m-")) for record in reader.walk(wanted)][::-1]
        return newest


SEARCHES = [
    (Wanted(), [4, 3, 2, 1, 0]),
    (Wanted(device="plug"), [4, 3, 2, 0]),
    (Wanted(device="plu"), []),
    (Wanted(vendor="borealis"), [2]),
    (Wanted(type="event"), [3]),
    (Wanted(host="other.example"), [4]),
    (Wanted(fields=(Field("/payload/power"),)), [4, 2, 1, 0]),
    (Wanted(fields=(Field("/payload/power", "21"),)), [2, 1, 0]),
    (Wanted(fields=(Field("/payload/power", "21.0"),)), [1, 0]),
    (Wanted(fields=(Field("/payload/power", '"21"'),)), [2]),
    (Wanted(fields=(Field("/payload/list/1/a~1b", "true"), Field("/payload/list/1/m~0n", "null"))), [3]),
    (Wanted(fields=(Field("/payload/list/1/a~1b", "false"),)), []),
    (Wanted(fields=(Field("/payload/place"),)), [2]),
    (Wanted(text="battery"), [4, 0]),
    (Wanted(text="low BATTERY"), [4, 0]),
    (Wanted(text="batter"), []),
    (Wanted(text="küche", vendor="Borealis"), [2]),
    (Wanted(text="full"), [4]),
    (Wanted(text='" OR NEAR(*:'), []),
    (Wanted(device='"', text="battery"), []),
    (Wanted(kind="refusal"), []),
]


@pytest.mark.parametrize("indexed", [0, 2, 3, 100])
def test_it_finds_the_same_however_far_the_index_is(store: Store, indexed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    said(store, *MESSAGES)
    hashing = index.Hashing(store.step(index.key))
    if indexed:
        monkeypatch.setattr("gateway.ledger.index.AT_ONCE", indexed)
        store.step(lambda database: index.step(database, hashing))
    assert store.look(index.upto) == min(indexed, 10)
    for wanted, numbers in SEARCHES:
        assert found(store, wanted) == numbers, wanted


def test_limits_give_the_newest_and_steps_leave_no_gap(store: Store, tender: Tender, monkeypatch: pytest.MonkeyPatch) -> None:
    said(store, *(message(n, {"n": n % 3}) for n in range(300)))
    tend(tender)
    said(store, *(message(n, {"n": n % 3}) for n in range(300, 330)))
    assert found(store, Wanted(), 4) == [329, 328, 327, 326]
    monkeypatch.setattr("gateway.ledger.searching.LOOKED_AT", 7)
    monkeypatch.setattr("gateway.ledger.reader.PAGE", 5)
    assert found(store, Wanted(fields=(Field("/payload/n", "1"),))) == [n for n in range(329, -1, -1) if n % 3 == 1]


def test_times_are_exact_also_where_the_clock_was_set(store: Store, tender: Tender, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [50, 10, 20, 90, 5, 60]
    now = [0]
    store._clock = lambda: now[0]
    for number, at in enumerate(times):
        now[0] = at
        said(store, message(number, {"n": 1}), answer=False)
    monkeypatch.setattr("gateway.ledger.index.AT_ONCE", 2)
    for since, until in ((0, 100), (10, 51), (60, 61), (61, 90), (91, 95), (5, 6)):
        assert found(store, Wanted(since=since, until=until)) == [n for n in range(5, -1, -1) if since <= times[n] < until]
    tend(tender)
    for since, until in ((0, 100), (10, 51), (60, 61), (61, 90), (91, 95), (5, 6)):
        assert found(store, Wanted(since=since, until=until)) == [n for n in range(5, -1, -1) if since <= times[n] < until]


def test_a_message_with_more_terms_than_are_kept_is_found_all_the_same(store: Store, tender: Tender) -> None:
    many = {f"f{n}": f"word{n}" for n in range(index.MOST_TERMS)}
    said(store, message(1, many), message(2, {"x": 1}))
    tend(tender)
    assert found(store, Wanted(text=f"word{index.MOST_TERMS - 1}")) == [1]
    assert found(store, Wanted(fields=(Field("/payload/f0"),))) == [1]
    assert found(store, Wanted(text="word9999")) == []
    assert rows(store.path, "SELECT count(*) FROM search WHERE search MATCH ?", index.MORE) == [(1,)]


def test_what_the_owners_rules_withheld_is_found_where_the_device_sent_it(store: Store, tender: Tender) -> None:
    whole, left = (json.dumps({"payload": payload}).encode() for payload in ({"power": 1, "place": "attic"}, {"power": 1}))
    record = terms.Searched("message", "plug", "Acme", "h", "t", whole, left, "", '["/payload/place"]')
    assert "wattic" in set(terms.body(record))
    assert "wattic" not in set(terms.body(record._replace(pointers="")))


def test_refused_messages_are_found_too_whatever_they_are(store: Store, tender: Tender) -> None:
    bodies = (
        b'{"payload":{"note":"battery"}}',
        b"\xff\xfe",
        b"[" * 5000,
        b'"battery"',
        b"{" + b'"payload":{' * 4000,
        b'{"payload":' + b"1" * 5000 + b"}",
    )
    store.commit(Batch(refusals=[msgspec.structs.replace(refusal(), original=body) for body in bodies]))
    for _ in range(2):
        with Reader(store.path) as reader:
            assert len(reader.search(Wanted(kind="refusal"))) == len(bodies)
            assert [record.original for record in reader.search(Wanted(kind="refusal", text="battery"))] == [bodies[0]]
        tend(tender)


def test_one_record_that_cannot_be_read_keeps_no_other_out(store: Store, tender: Tender, monkeypatch: pytest.MonkeyPatch) -> None:
    said(store, message(1, {"note": "kettle"}), message(2, {"note": "toaster"}))

    def body(record: terms.Searched) -> Iterator[str]:
        if b"kettle" in record.outgoing:
            raise RuntimeError
        return iter(["wtoaster"])

    with monkeypatch.context() as patch:
        patch.setattr(terms, "body", body)
        tend(tender)
    assert found(store, Wanted(text="kettle")) == [1]
    assert found(store, Wanted(text="toaster")) == [2]


def test_what_made_room_leaves_the_index_and_what_waits_stays_in_it(store: Store, tender: Tender) -> None:
    said(store, message(900_000, {"note": "waits"}, host="slow.example"), answer=False)
    for first in range(0, 4000, 500):
        deliver(store, range(first, first + 500))
        tend(tender)
    (oldest,) = rows(store.path, "SELECT min(seq) FROM records WHERE seq > 1")[0]
    assert oldest > 2
    assert rows(store.path, "SELECT min(rowid) FROM search_docsize WHERE rowid > 1")[0][0] >= oldest
    assert found(store, Wanted(text="waits")) == [900_000]
    assert found(store, Wanted(since=0, until=2**62, host="slow.example")) == [900_000]
    assert len(found(store, Wanted(), 10_000)) == rows(store.path, "SELECT count(*) FROM records WHERE kind = 'message'")[0][0]


def test_an_erasure_leaves_no_term_in_the_index(store: Store, tender: Tender) -> None:
    said(store, message(1, {"note": "kettle"}), message(2, {"note": "toaster"}, device="lamp"))
    tend(tender)
    hashing = index.Hashing(store.look(index.key))
    blocks = "SELECT count(*) FROM search_data WHERE instr(block, ?)"
    store.step(lambda database: database.execute("INSERT INTO search (search) VALUES ('optimize')"))
    assert rows(store.path, blocks, hashing("wkettle")[1:].encode()) == [(1,)]  # what terms share at their start is kept once
    store.commit(Batch(notes=[wish("plug")]))
    tender.wish()
    tend(tender)
    assert rows(store.path, blocks, hashing("wkettle")[1:].encode()) == [(0,)]
    assert found(store, Wanted()) == [2]
    assert store.look(index.upto) == store.head[0]


def test_the_index_waits_while_commits_come_unless_it_is_far_behind(
    store: Store, tender: Tender, monkeypatch: pytest.MonkeyPatch
) -> None:
    tend(tender)
    said(store, *(message(n, {"n": n}) for n in range(20)))
    assert not tender.step(idle=False).again
    assert store.look(index.upto) == 0
    monkeypatch.setattr("gateway.ledger.tending.LAG", 10)
    assert tender.step(idle=False).again
    assert store.look(index.upto) == 40


def test_what_an_earlier_version_wrote_is_found_before_it_is_indexed(tmp_path: Path) -> None:
    from tests.unit.ledger.test_erasing import old_file

    path = tmp_path / "ledger" / "ledger.db"
    old_file(path, 4)
    store = Store(path, QUOTAS)
    store.open()
    store.close()
    with Reader(path) as reader:
        assert [record.id for record in reader.search(Wanted(device="lamp"))] == ["old-3", "old-1"]


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
)
payloads = st.recursive(
    scalars, lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=8), below, max_size=4), max_leaves=20
)


@given(payloads)
@settings(deadline=None, max_examples=100)
def test_every_place_value_and_word_of_any_body_is_a_term(payload: object) -> None:
    body = json.dumps({"payload": payload}).encode()
    record = terms.Searched("message", "d", "v", "h", "t", body, body, "", "")
    told = set(terms.body(record))

    def below(pointer: str, value: object) -> None:
        assert "p" + pointer in told
        if isinstance(value, dict):
            for key, inner in value.items():
                below(f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}", inner)
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                below(f"{pointer}/{number}", inner)
        else:
            assert terms.value(pointer, value) in told

    below("/payload", payload)


# One name as long as half a body, with as many values below it as fit into the other half.
LONG = {"k" * 32_000: [1] * 16_000}


def hostile() -> Refused:
    return msgspec.structs.replace(refusal(), original=json.dumps({"payload": LONG}, separators=(",", ":")).encode())


def test_a_name_that_is_long_takes_no_more_memory_than_its_body_asks_for(store: Store) -> None:
    """A refused message may be anything: the ledger, which indexes it, and the steward, which searches it, must survive it."""
    store.commit(Batch(refusals=[hostile()]))
    hashing = index.Hashing(store.step(index.key))
    tracemalloc.start()
    try:
        store.step(lambda database: index.step(database, hashing))
        with Reader(store.path) as reader:
            assert not reader.search(Wanted("refusal", text="nowhere"))
            assert len(reader.search(Wanted("refusal", fields=(Field("/payload/" + "k" * 32_000 + "/7", "1"),)))) == 1
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 32 * 1024 * 1024


def test_a_step_ends_where_bodies_are_long(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a device chose shall not hold up the pages: what is looked at in one step is bounded in bytes, too."""
    store.commit(Batch(refusals=[hostile() for _ in range(9)]))
    monkeypatch.setattr("gateway.ledger.searching.READ", 100_000)
    wanted, steps = Wanted("refusal", text="nowhere"), 0
    edge: int | None = 2**63 - 1
    with Reader(store.path) as reader:
        while edge is not None:
            records, edge = reader.page(wanted, edge, 10)
            assert not records
            steps += 1
    assert steps >= 4


def test_a_step_ends_in_time_and_the_next_goes_on_from_there(
    store: Store, tender: Tender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that goes on by a second at each look: each step takes one record, and none is lost."""
    said(store, *(message(n, {"n": n}) for n in range(6)))
    tend(tender)
    monkeypatch.setattr("gateway.ledger.searching.monotonic", count().__next__)
    with Reader(store.path) as reader:
        seen: list[str] = []
        edge: int | None = searching.FOREVER
        while edge is not None:
            records, edge = reader.page(Wanted(), edge, 100, seconds=1.5)
            assert len(records) < 6
            seen += [record.id for record in records]
        assert seen == [f"m-{n:08d}" for n in reversed(range(6))]


def test_sqlite_is_stopped_where_it_finds_nothing_to_look_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    said(store, *(message(n, {"n": n}) for n in range(64)))
    monkeypatch.setattr(searching, "OPCODES", 1)
    with Reader(store.path) as reader:
        with pytest.raises(TooLongError, match="a device, a vendor or a time"):
            reader.page(Wanted(kind="refusal"), searching.FOREVER, 1, seconds=-1.0)
        assert len(reader.page(Wanted(), searching.FOREVER, 100)[0]) == 64, "the next search has its own time"


def test_many_words_cost_the_index_no_more_than_few_and_all_of_them_count(store: Store, tender: Tender) -> None:
    every = " ".join(f"word{n}" for n in range(120))
    said(store, message(1, {"note": every}), message(2, {"note": every.replace("word0 ", "")}))
    tend(tender)
    assert found(store, Wanted(text=every)) == [1]
    asked_for: list[str] = []
    with Reader(store.path) as reader:
        reader._database.set_trace_callback(asked_for.append)
        assert len(reader.search(Wanted(text=every + " word1" * 50))) == 1
    (matched,) = [line for line in asked_for if "MATCH" in line]
    assert matched.count(f'OR "{index.MORE}"') == searching.MOST_MATCHED


@pytest.mark.parametrize("text", ["***", "-", '"" ()', "\u202e"])
def test_a_text_without_a_word_is_refused_and_does_not_mean_everything(text: str) -> None:
    with pytest.raises(asked.AskedError, match="no word in it"):
        asked.wanted("message", None, None, None, None, (), text, "", "")


@pytest.mark.parametrize("place", range(6))
def test_what_is_too_long_is_refused(place: int) -> None:
    said = ["x"] * 4 + ["/payload/x", "x"]
    said[place] += "x" * asked.MOST
    *head, field, text = said
    with pytest.raises(asked.AskedError, match="longer than 256"):
        asked.wanted("message", *head, (field,), text, "", "")
