"""The record counted vendor by vendor: what is counted, and that nothing makes it long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ipc.frames import MAX_FRAME
from gateway.ipc.messages import Submit
from gateway.ledger import scoring
from gateway.ledger.batch import Answer, Batch
from gateway.ledger.leaks import DAY
from gateway.ledger.reader import Reader
from gateway.ledger.scoring import look, payload_of, places, refusal_of
from gateway.ledger.store import Quotas, Store
from gateway.reasons import Reason
from tests.unit.ledger.peers import submit

NOW = 20_000 * DAY + DAY // 2
PROBLEM = {"type": "urn:mudroom:refusal:required-withheld", "title": "no", "status": 422, "pointers": ["/payload/rooms/3/name"]}
OWNERS = {"plug": "Acme", "02:00:00:00:00:01": "Acme", "lamp": "Borealis"}


class Shelf:
    """A ledger's file, filled by a test."""

    def __init__(self, path: Path) -> None:
        self.at = NOW
        self.path = path / "ledger.db"
        self.store = Store(self.path, Quotas(10**9, 10**12, 10**9, 10**9), clock=lambda: self.at)
        self.store.open()
        self.number = 0

    def say(self, payload: Any, *, vendor: str = "Acme", days_ago: int = 0, type_: str = "reading", **more: Any) -> Submit:
        """One message that left."""
        self.number += 1
        self.at = NOW - days_ago * DAY
        body = json.dumps({"ce": 1, "type": type_, "payload": payload}).encode()
        base = submit(self.number, type_=type_, received=self.at, device=more.pop("device", "plug"))
        said = msgspec.structs.replace(base, vendor=vendor, outgoing=body, original=body, **more)
        (seq,) = self.store.commit(Batch(submits=[said]))
        assert isinstance(seq, int)
        self.seq = seq
        self.at = NOW
        return said

    def end(self, said: Submit, reason: int, body: object) -> None:
        """The vendor's answer to the last message."""
        outgoing = json.dumps(body).encode() if body is not None else b""
        answer = Answer(self.seq, said.id, said.device, said.vendor, said.host, said.type, 422, reason, "", b"x", outgoing, 0)
        self.store.commit(Batch(answers=[answer]))

    def scores(self, owners: dict[str, str] | None = None) -> dict[str, Any]:
        """By vendor."""
        with Reader(self.path) as reader:
            self.found = look(reader, OWNERS if owners is None else owners, NOW)
        return {each.name: each for each in self.found.vendors}


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path)
    yield made
    made.store.close()


def test_members_sent_and_withheld_are_counted_by_vendor_and_type(shelf: Shelf) -> None:
    shelf.say({"power": 3}, days_ago=40)
    shelf.say({"power": 1, "rooms": [{"name": "a"}, {"name": "b"}]}, withheld=("/payload/label",))
    shelf.say({"power": 2, "a/b~": None})
    shelf.say({"on": True}, vendor="Borealis", device="lamp", type_="event")
    acme, borealis = (shelf.scores()[name] for name in ("Acme", "Borealis"))
    (kind,) = acme.types
    assert (kind.type, kind.messages, acme.looked_at, acme.whole) == ("reading", 2, 2, True)
    assert dict(kind.sent) == {"/payload/power": 2, "/payload/rooms/-/name": 1, "/payload/a~1b~0": 1}
    assert dict(kind.withheld) == {"/payload/label": 1}
    assert [each.type for each in borealis.types] == ["event"]
    assert acme.days == ((20_000, 2, acme.days[0][2]),) and acme.days[0][2] > 0
    assert not shelf.found.more


def test_refusals_are_counted_by_the_standards_types(shelf: Shelf) -> None:
    for body, reason in (
        (PROBLEM, Reason.VENDOR_REFUSED.code), (PROBLEM, Reason.VENDOR_REFUSED.code), (None, Reason.VENDOR_REFUSED.code),
        ({"type": "https://acme.example/we-know-you-mr-smith"}, Reason.VENDOR_REFUSED.code), ({"ok": True}, -1),
        (None, Reason.VENDOR_ANSWER.code),
    ):  # fmt: skip
        shelf.end(shelf.say({"power": 1}), reason, body)
    acme = shelf.scores()["Acme"]
    assert (acme.answered, acme.odd) == (6, 1)
    assert {(each.label, each.count, each.needs) for each in acme.denied} == {
        ("required-withheld", 2, (("/payload/rooms/-/name", 2),)),
        ("", 2, ()),
    }


def test_a_vendor_of_no_device_is_found_in_the_record(shelf: Shelf) -> None:
    shelf.say({"power": 1}, vendor="Gone & Co")
    found = shelf.scores({})
    assert found["Gone & Co"].looked_at == 1
    assert found["Gone & Co"].days == (), "days are counted by device, and it has none"


def test_names_that_differ_in_capitals_only_are_two_vendors(shelf: Shelf) -> None:
    shelf.say({"power": 1}, vendor="Acme")
    shelf.say({"power": 1}, vendor="ACME")
    found = shelf.scores()
    assert (found["Acme"].looked_at, found["ACME"].looked_at) == (1, 1)


def test_what_is_beyond_a_bound_is_said(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        shelf.say({f"p{number}": 1})
    monkeypatch.setattr(scoring, "LOOKED_AT", 4)
    acme = shelf.scores({"plug": "Acme"})["Acme"]
    assert (acme.looked_at, acme.whole) == (4, False)
    assert acme.days[0][1] == 6, "days count every message"
    monkeypatch.setattr(scoring, "LOOKED_AT", 4_000)
    monkeypatch.setattr(scoring, "MOST_PLACES", 3)
    acme = shelf.scores()["Acme"]
    assert len(acme.types[0].sent) == 1 and shelf.found.more, "beside the host and the type"
    monkeypatch.setattr(scoring, "MOST_PLACES", 4_096)
    monkeypatch.setattr(scoring, "MOST_BYTES", 1)
    acme = shelf.scores()["Acme"]
    assert (acme.looked_at, acme.whole, shelf.found.more) == (0, False, True)


def test_what_is_told_fits_into_a_frame_whatever_is_on_record(shelf: Shelf) -> None:
    """A door that was taken over may have anything written."""
    for number in range(300):
        wide = {chr(0x10000 + number) * 100 + str(n): 1 for n in range(40)}
        shelf.say(wide, type_=f"{number}" + "\U0001f512" * 300, host=f"{number}" + "\U0001f512" * 300, withheld=tuple(wide))
    shelf.scores()
    assert shelf.found.more and len(msgspec.msgpack.encode(shelf.found)) < MAX_FRAME / 2


def test_no_more_vendors_than_fit(shelf: Shelf) -> None:
    for number in range(scoring.MOST_VENDORS + 6):
        shelf.say({"power": 1}, vendor=f"V{number}")
    assert len(shelf.scores({})) == scoring.MOST_VENDORS and shelf.found.more


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_any_payload_has_places_of_bounded_length(payload: Any) -> None:
    assert all(place.startswith("/payload") and len(place) <= scoring.MOST_WORD for place in places(payload))


@given(st.binary(max_size=60) | JSON.map(lambda found: json.dumps(found).encode()))
def test_any_body_is_read_or_passed_over(body: bytes) -> None:
    payload_of(body)
    label, needs = refusal_of(body)
    assert isinstance(label, str) and isinstance(needs, set)


def test_deep_and_wide_bodies_do_no_harm() -> None:
    assert payload_of(b'{"payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}") is None
    assert len(places({str(n): n for n in range(10_000)})) == scoring.MOST_BELOW
    assert refusal_of(json.dumps({"pointers": ["/a" * 10_000] * 500}).encode())[0] == ""
