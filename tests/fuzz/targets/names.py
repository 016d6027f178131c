"""A DNS question: whatever it is, no name that is not approved has an address, and the answer is one that others read."""

from __future__ import annotations

import dnslib

from gateway.names.answers import MAX_REPLY, answer
from gateway.reasons import Reason
from gateway.registry import PoolAddress

WORDS = (
    b"\x03api\x04acme\x07example\x00",
    b"\x00\x01\x00\x01",
    b"\x00\x1c\x00\x01",
    b"\x00\x00\x29\x05\xc0",
    b"\xc0\x0c",
    b"\x01\x00\x00\x01",
)
APPROVED = {"api.acme.example": PoolAddress("10.99.0.1", "fd99::1"), "b.example": PoolAddress("10.99.0.2", "fd99::2")}


def check(data: bytes) -> None:
    """Silence or one short answer to that question; addresses from the pool only, under the name that they are for."""
    found = answer(data, APPROVED)
    assert found.reason in {None, Reason.DNS_MALFORMED, Reason.NAME_NOT_APPROVED}
    if found.reply is None:
        assert found.reason is Reason.DNS_MALFORMED
        return
    assert len(found.reply) <= MAX_REPLY
    assert found.reply[:2] == data[:2]
    assert found.reply[2] & 0x80, "it is no answer"
    read = dnslib.DNSRecord.parse(found.reply)
    if found.reason is not None:
        assert not read.rr
    for record in read.rr:
        pool = APPROVED[str(record.rname).lower().rstrip(".")]
        assert str(record.rdata) in {pool.v4, pool.v6}
        assert found.name in APPROVED
        assert data[12:].startswith(found.reply[12 : 12 + len(found.name) + 6]), "the question is not echoed"
