"""One DNS question in, one answer out. Bytes to bytes; no sockets, no clock, no registry.

The question is read strictly and by hand: a general DNS parser accepts far more than a resolver that only ever says a pool
address, "no such type" or "no such name" should look at. Whatever the bytes are, nothing here raises, the answer is at most
``MAX_REPLY`` bytes long, and a name that is not approved never gets an address.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from gateway.reasons import Reason
from gateway.registry import PoolAddress

HEADER = struct.Struct("!6H")  # RFC 1035 section 4.1.1
MAX_QUESTION = 512  # bytes; RFC 1035 section 4.2.1, and no honest question for one name is longer
MAX_NAME = 255  # bytes on the wire; RFC 1035 section 2.3.4
MAX_LABEL = 63
TTL_SECONDS = 60  # an approval that the owner takes back is forgotten soon
MAX_REPLY = HEADER.size + MAX_NAME + 4 + 12 + 16  # header, question, one record's fixed part, an IPv6 address

TYPE_A, TYPE_AAAA, TYPE_OPT, CLASS_IN = 1, 28, 41, 1
FLAG_RESPONSE, FLAG_TRUNCATED, FLAG_RECURSION_DESIRED, FLAG_RECURSION_AVAILABLE = 0x8000, 0x0200, 0x0100, 0x0080
# Letters, digits, hyphen (RFC 952, RFC 1123 section 2.1), and the underscore of service names (RFC 8552).
LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


class Code(IntEnum):
    """Response codes (RFC 1035 section 4.1.1)."""

    NO_ERROR = 0
    FORMAT_ERROR = 1
    NAME_ERROR = 3
    NOT_IMPLEMENTED = 4
    REFUSED = 5


@dataclass(frozen=True)
class Answer:
    """What to do with a question: ``reply`` to send (None: stay silent), and ``reason`` where it was an attempt."""

    reply: bytes | None
    reason: Reason | None = None
    name: str = ""  # lower case, no trailing dot; empty where none was read


class _Malformed(Exception):
    """The bytes are no question of the kind that is read here."""


def answer(question: bytes, approved: Mapping[str, PoolAddress]) -> Answer:
    """Answer one question. ``approved``: pool addresses by name (lower case, no trailing dot) for the device that asks."""
    if len(question) < HEADER.size or len(question) > MAX_QUESTION:
        return Answer(None, Reason.DNS_MALFORMED)
    number, flags, questions, answers, authorities, additional = HEADER.unpack_from(question)
    if flags & FLAG_RESPONSE:
        return Answer(None, Reason.DNS_MALFORMED)  # answering an answer could start a conversation without end
    if flags >> 11 & 0xF:
        return Answer(_header(number, flags, Code.NOT_IMPLEMENTED), Reason.DNS_MALFORMED)
    try:
        name, kind, class_, end = _read(question, flags, (questions, answers, authorities), additional)
    except _Malformed:
        return Answer(_header(number, flags, Code.FORMAT_ERROR), Reason.DNS_MALFORMED)
    asked = question[HEADER.size : end]  # echoed as it came, so that its case holds (draft-vixie-dnsext-dns0x20)
    if class_ != CLASS_IN:
        return Answer(_header(number, flags, Code.REFUSED, 1) + asked, Reason.DNS_MALFORMED, name)
    address = approved.get(name)
    if address is None:
        return Answer(_header(number, flags, Code.NAME_ERROR, 1) + asked, Reason.NAME_NOT_APPROVED, name)
    data = _address(kind, address)
    if not data:
        return Answer(_header(number, flags, Code.NO_ERROR, 1) + asked, None, name)
    record = struct.pack("!3HIH", 0xC000 | HEADER.size, kind, CLASS_IN, TTL_SECONDS, len(data)) + data
    return Answer(_header(number, flags, Code.NO_ERROR, 1, 1) + asked + record, None, name)


def _header(number: int, flags: int, code: Code, questions: int = 0, answers: int = 0) -> bytes:
    kept = flags & FLAG_RECURSION_DESIRED
    return HEADER.pack(number, FLAG_RESPONSE | kept | FLAG_RECURSION_AVAILABLE | code, questions, answers, 0, 0)


def _address(kind: int, address: PoolAddress) -> bytes:
    if kind == TYPE_A:
        return IPv4Address(address.v4).packed
    return IPv6Address(address.v6).packed if kind == TYPE_AAAA else b""


def _read(question: bytes, flags: int, counts: tuple[int, int, int], additional: int) -> tuple[str, int, int, int]:
    """The name, type and class that are asked for, and where the question ends."""
    if counts != (1, 0, 0) or additional > 1 or flags & FLAG_TRUNCATED:
        raise _Malformed
    name, position = _name(question)
    if position + 4 > len(question):
        raise _Malformed
    kind, class_ = struct.unpack_from("!2H", question, position)
    _nothing_but_opt(question, position + 4, additional)
    return name, kind, class_, position + 4


def _name(question: bytes) -> tuple[str, int]:
    """The name after the header, and where it ends. Compression has nothing to point at in a question."""
    labels: list[bytes] = []
    position = HEADER.size
    while True:
        if position >= len(question):
            raise _Malformed
        length = question[position]
        position += 1
        if not length:
            break
        label = question[position : position + length]
        if length > MAX_LABEL or len(label) < length or not LETTERS.issuperset(label):
            raise _Malformed
        labels.append(label)
        position += length
        if position + 1 - HEADER.size > MAX_NAME:
            raise _Malformed
    return b".".join(labels).lower().decode("ascii"), position


def _nothing_but_opt(question: bytes, position: int, additional: int) -> None:
    """After the question: nothing, or one EDNS OPT record (RFC 6891 section 6.1.2), which is not read and not answered."""
    if additional:
        if len(question) < position + 11:
            raise _Malformed
        root, kind, _size, _ttl, length = struct.unpack_from("!BHHIH", question, position)
        if root or kind != TYPE_OPT:
            raise _Malformed
        position += 11 + length
    if position != len(question):
        raise _Malformed
