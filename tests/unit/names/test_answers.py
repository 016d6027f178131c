"""The answerer as a device meets it: bytes in, bytes out, with dnslib as the independent reader."""

from __future__ import annotations

import struct

import pytest
from dnslib import EDNS0, QTYPE, RCODE, DNSHeader, DNSQuestion, DNSRecord
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.names.answers import MAX_QUESTION, MAX_REPLY, TTL_SECONDS, answer
from gateway.reasons import Reason
from gateway.registry import PoolAddress

APPROVED = {"api.acme.example": PoolAddress("10.127.0.10", "fd4d:7564:726d:7f::a")}


def ask(name: str, kind: str = "A", **header: int) -> bytes:
    return bytes(DNSRecord(DNSHeader(id=0x1234, rd=1, **header), q=DNSQuestion(name, getattr(QTYPE, kind))).pack())


def reply(question: bytes) -> DNSRecord:
    found = answer(question, APPROVED).reply
    assert found is not None
    return DNSRecord.parse(found)


@pytest.mark.parametrize(("kind", "address"), [("A", "10.127.0.10"), ("AAAA", "fd4d:7564:726d:7f::a")])
def test_an_approved_name_has_its_pool_address(kind: str, address: str) -> None:
    found = reply(ask("api.acme.example", kind))
    assert found.header.id == 0x1234
    assert (found.header.qr, found.header.rd, found.header.ra, found.header.rcode) == (1, 1, 1, RCODE.NOERROR)
    assert [(str(r.rname), QTYPE[r.rtype], str(r.rdata), r.ttl) for r in found.rr] == [
        ("api.acme.example.", kind, address, TTL_SECONDS)
    ]
    assert answer(ask("api.acme.example", kind), APPROVED).reason is None


@pytest.mark.parametrize("kind", ["MX", "TXT", "HTTPS", "ANY", "NS", "SOA", "NULL"])
def test_an_approved_name_has_nothing_else(kind: str) -> None:
    found = reply(ask("api.acme.example", kind))
    assert (found.header.rcode, found.rr, found.auth, found.ar) == (RCODE.NOERROR, [], [], [])


@pytest.mark.parametrize(
    "name", ["tracker.example", "acme.example", "x.api.acme.example", "api.acme.example.evil.example", "", "com", "_x._tcp.local"]
)
@pytest.mark.parametrize("kind", ["A", "AAAA", "TXT"])
def test_any_other_name_does_not_exist(name: str, kind: str) -> None:
    found = answer(ask(name, kind), APPROVED)
    assert (found.reason, found.name) == (Reason.NAME_NOT_APPROVED, name)
    assert found.reply is not None
    record = DNSRecord.parse(found.reply)
    assert (record.header.rcode, record.rr, record.auth, record.ar) == (RCODE.NXDOMAIN, [], [], [])
    assert str(record.q.qname) == f"{name}."


def test_the_case_of_the_question_is_kept_and_does_not_matter() -> None:
    found = answer(ask("aPi.AcMe.eXample"), APPROVED)
    assert found.name == "api.acme.example"
    assert found.reply is not None
    assert b"\x03aPi\x04AcMe\x07eXample\x00" in found.reply
    assert str(DNSRecord.parse(found.reply).rr[0].rdata) == "10.127.0.10"


def test_edns_is_neither_read_nor_answered() -> None:
    question = DNSRecord.parse(ask("api.acme.example"))
    question.add_ar(EDNS0(udp_len=4096, flags="do"))
    found = reply(bytes(question.pack()))
    assert found.ar == []
    assert str(found.rr[0].rdata) == "10.127.0.10"


def header(flags: int = 0x0100, counts: tuple[int, int, int, int] = (1, 0, 0, 0)) -> bytes:
    return struct.pack("!6H", 7, flags, *counts)


NAME = b"\x03api\x04acme\x07example\x00"
IN_A = struct.pack("!2H", 1, 1)
OPT = b"\x00" + struct.pack("!HHIH", 41, 1232, 0, 0)


@pytest.mark.parametrize(
    ("what", "question"),
    [
        ("two questions", header(counts=(2, 0, 0, 0)) + (NAME + IN_A) * 2),
        ("no question", header(counts=(0, 0, 0, 0))),
        ("an answer section", header(counts=(1, 1, 0, 0)) + NAME + IN_A),
        ("an authority section", header(counts=(1, 0, 1, 0)) + NAME + IN_A),
        ("two additional records", header(counts=(1, 0, 0, 2)) + NAME + IN_A + OPT * 2),
        (
            "an additional record that is no OPT",
            header(counts=(1, 0, 0, 1)) + NAME + IN_A + b"\x00" + struct.pack("!HHIH", 1, 1, 0, 0),
        ),
        ("an OPT record that is not there", header(counts=(1, 0, 0, 1)) + NAME + IN_A),
        ("an OPT record longer than the packet", header(counts=(1, 0, 0, 1)) + NAME + IN_A + OPT[:-2] + b"\x00\x09"),
        ("bytes after the question", header() + NAME + IN_A + b"x"),
        ("bytes after the OPT record", header(counts=(1, 0, 0, 1)) + NAME + IN_A + OPT + b"x"),
        ("truncated in the name", header() + NAME[:9]),
        ("truncated in the type", header() + NAME + IN_A[:3]),
        ("a compressed name", header() + b"\xc0\x0c" + IN_A),
        ("a name that points to itself later", header() + b"\x03api\xc0\x0c" + IN_A),
        ("a label of 64 bytes", header() + b"\x40" + b"a" * 64 + b"\x00" + IN_A),
        ("a name of 256 bytes", header() + (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\x00" + IN_A),
        ("bytes that no host name has", header() + b"\x04\xff\x00\x01\x02\x00" + IN_A),
        ("a space in a label", header() + b"\x03a b\x00" + IN_A),
        ("the truncation flag", header(flags=0x0300) + NAME + IN_A),
    ],
)
def test_a_malformed_question_is_refused(what: str, question: bytes) -> None:
    found = answer(question, APPROVED)
    assert found.reason is Reason.DNS_MALFORMED, what
    assert found.reply == struct.pack("!6H", 7, 0x8181, 0, 0, 0, 0)


def test_the_longest_name_is_read() -> None:
    longest = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\x00"
    assert len(longest) == 255
    assert answer(header() + longest + IN_A, APPROVED).reason is Reason.NAME_NOT_APPROVED


@pytest.mark.parametrize(
    ("what", "question"),
    [
        ("nothing", b""),
        ("less than a header", header()[:-1]),
        ("more than a question", ask("api.acme.example").ljust(MAX_QUESTION + 1, b"\0")),
        ("an answer", header(flags=0x8180) + NAME + IN_A),
    ],
)
def test_what_is_no_question_gets_silence(what: str, question: bytes) -> None:
    found = answer(question, APPROVED)
    assert (found.reply, found.reason) == (None, Reason.DNS_MALFORMED), what


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 15])
def test_other_operations_are_not_implemented(opcode: int) -> None:
    found = answer(ask("api.acme.example", opcode=opcode), APPROVED)
    assert found.reason is Reason.DNS_MALFORMED
    assert found.reply is not None
    assert DNSRecord.parse(found.reply).header.rcode == RCODE.NOTIMP


@pytest.mark.parametrize("class_", [0, 3, 4, 254, 255])
def test_other_classes_are_refused(class_: int) -> None:
    found = answer(bytes(DNSRecord(q=DNSQuestion("api.acme.example", QTYPE.A, class_)).pack()), APPROVED)
    assert found.reason is Reason.DNS_MALFORMED
    assert found.reply is not None
    assert DNSRecord.parse(found.reply).header.rcode == RCODE.REFUSED


POOL = (b"\x0a\x7f\x00\x0a", bytes.fromhex("fd4d7564726d007f000000000000000a"))


def hold(question: bytes) -> None:
    """What holds for any bytes: no exception, a bounded reply of at most one record, an address for an approved name only."""
    found = answer(question, APPROVED)
    if found.reply is None:
        assert found.reason is not None
        return
    assert len(found.reply) <= MAX_REPLY
    number, flags, _questions, answers, authorities, additional = struct.unpack_from("!6H", found.reply)
    assert number == struct.unpack_from("!H", question)[0]
    assert flags & 0x8000
    assert (authorities, additional) == (0, 0)
    if answers:
        record = DNSRecord.parse(found.reply)
        assert str(record.q.qname).lower() == "api.acme.example."
        assert [bytes(r.rdata.data) for r in record.rr] in ([POOL[0]], [POOL[1]])
        assert found.reason is None
    if found.name != "api.acme.example":
        assert answers == 0
        assert found.reason is not None


@given(st.binary(max_size=600))
@example(b"\0" * 12)
def test_any_bytes(question: bytes) -> None:
    hold(question)


LABEL = st.one_of(st.binary(min_size=1, max_size=70), st.sampled_from([b"api", b"ACME", b"acme", b"example", b"Example"]))


@given(
    flags=st.one_of(st.just(0x0100), st.integers(0, 0xFFFF)),
    counts=st.one_of(st.just((1, 0, 0, 0)), st.just((1, 0, 0, 1)), st.tuples(*[st.integers(0, 3)] * 4)),
    labels=st.one_of(st.just([b"api", b"acme", b"example"]), st.lists(LABEL, max_size=8)),
    kind=st.sampled_from([1, 28, 15, 255, 41]),
    class_=st.sampled_from([1, 3, 255]),
    tail=st.one_of(st.just(b""), st.just(OPT), st.binary(max_size=40)),
)
def test_nearly_right_questions(
    flags: int, counts: tuple[int, int, int, int], labels: list[bytes], kind: int, class_: int, tail: bytes
) -> None:
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"
    hold(header(flags, counts) + name + struct.pack("!2H", kind, class_) + tail)
