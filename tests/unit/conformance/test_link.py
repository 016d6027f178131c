"""The kit's own client goes nowhere else, sends no more than it said, and waits for nobody for ever."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from gateway.conformance.link import MOST_REQUESTS, Place, TooMany, context
from gateway.conformance.pair import Pair
from gateway.conformance.report import passed
from gateway.conformance.talk import Talk
from gateway.conformance.vendor import check
from gateway.standard.manifest import parse_manifest
from tests.home.reference import vendor as reference
from tests.unit.conformance.street import HOST, MANIFEST, Papers, issued, service, serving


@pytest.fixture
def found(tmp_path: Path) -> Papers:
    return issued(tmp_path)


class Silent(reference.Handler):
    """Takes requests and says nothing."""

    def rendered(self, answer: reference.Answer) -> bytes:
        return b"HTTP/1.1 "


def talk(found: Papers, port: int, **ways: object) -> Talk:
    place = Place(HOST, "127.0.0.1", port, context(str(found.ca)), **ways)  # type: ignore[arg-type]
    return Talk(place, parse_manifest(MANIFEST.read_bytes()), time.time_ns())


def host() -> reference.VendorHost:
    return reference.VendorHost(HOST, json.loads(MANIFEST.read_text()), service)


def test_no_more_requests_than_were_announced(found: Papers) -> None:
    with serving(host(), found.tls) as port:
        made = talk(found, port, left=2)
        assert made.send("one", made.good().request()).accepted
        assert made.send("two", made.good().request()).accepted
        with pytest.raises(TooMany):
            made.send("three", made.good().request())
        made.place.close()
        # and a whole run that comes to its end of it says so, and does not pass
        short = talk(found, port, left=20)
        lines = check(short)
        short.place.close()
    assert any("used up" in line.seen for line in lines if line.verdict == "fail")


def test_a_whole_run_stays_far_below_the_announced_number(found: Papers) -> None:
    with serving(host(), found.tls) as port:
        made = talk(found, port)
        before = made.place.left
        check(made)
        made.place.close()
    assert 50 < before - made.place.left < 100


def test_an_answer_that_never_ends_is_not_waited_for(found: Papers) -> None:
    with serving(host(), found.tls, Silent) as port:
        made = talk(found, port, seconds=0.3)
        exchange = made.send("a message", made.good().request())
        made.place.close()
        again = talk(found, port, seconds=0.2)
        lines = check(again)
        again.place.close()
        assert again.place.left == MOST_REQUESTS - 3, "and not over and over again"
        assert not passed(lines)
    assert (exchange.fault, exchange.status) == ("answered", 0)
    assert "no whole answer within 0.3 s" in exchange.why


def test_nobody_there_is_told() -> None:
    made = Talk(Place(HOST, "127.0.0.1", 1, context()), parse_manifest(MANIFEST.read_bytes()), time.time_ns())
    (line,) = check(made)
    assert (line.id, line.verdict) == ("tls", "fail")
    assert "ConnectionRefusedError" in line.seen


def test_what_it_signs_is_what_the_courier_signs(found: Papers) -> None:
    """The kit's good request is a gateway's, to the last byte, for the same envelope and key."""
    from gateway.courier.job import job_for
    from gateway.courier.keys import PairKey
    from gateway.courier.permission import Permit
    from gateway.ipc.messages import Deliver

    made = talk(found, 1)
    pair = Pair()
    envelope = made.good(pair)
    request = envelope.request()
    deliver = Deliver(envelope.members["id"], "plug", "Celsia", HOST, "temperature-reading", request.body)
    permit = Permit(made.judge, pair.device)
    assert job_for(deliver, permit, PairKey(pair.device, pair.keyid, pair.key.sign)).request == request.rendered()
