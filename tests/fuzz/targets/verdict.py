"""A vendor's whole response, from bytes to what the ledger is told: the first byte chooses the manifest, the second a claim."""

from __future__ import annotations

import msgspec

from gateway.courier.verdict import MOST_RETRY_AFTER, weigh
from gateway.http1 import Limits, ResponseParser, Violation
from gateway.ipc.frames import FrameReader, decoded, encode
from gateway.ipc.messages import CourierToLedger, Deferred
from gateway.reasons import Reason
from tests.fuzz.manifests import CHOICES
from tests.fuzz.oracles import canonical
from tests.fuzz.targets import answer, http_response

WORDS = (
    *http_response.WORDS,
    *answer.WORDS,
    "HTTP/1.1 429 \r\n",
    "Retry-After: 9\r\n",
    "Content-Type: application/problem+json\r\n",
)
DECODER = msgspec.msgpack.Decoder(CourierToLedger)


def check(data: bytes) -> None:
    """No response, or one verdict that the ledger can read; what may go to the device is canonical and was asked for."""
    judge, _, _ = CHOICES[data[0] % len(CHOICES) if data else 0]
    is_claim = bool(data[1:2] > b"\x7f")
    parser = ResponseParser(Limits())
    parser.expect("POST")
    try:
        response = parser.feed(data[2:])
    except Violation:
        return
    if response is None:
        return
    told = weigh("m", judge, response, is_claim=is_claim)
    assert decoded(DECODER, FrameReader().feed(encode(told))[0]) == told
    if isinstance(told, Deferred):
        assert 0 <= told.retry_after <= MOST_RETRY_AFTER
        return
    assert told.reason in {-1, Reason.VENDOR_REFUSED.code, Reason.VENDOR_ANSWER.code}
    assert told.original == response.body
    if told.answer:
        canonical(told.answer)
        assert told.media_type
        assert not (is_claim and response.status < 300), "a claim is answered with nothing"
        assert told.reason != Reason.VENDOR_ANSWER.code, "an answer that does not conform goes no further"
