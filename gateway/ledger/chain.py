"""The hash chain over the ledger's records: pure, and the same for whoever writes and whoever checks.

Everything is hashed as one MessagePack array (shortest forms, as the MessagePack specification asks). A record's commitment is
SHA-256 over 32 random bytes, its salt, and the array of its contents: every field of ``FIELDS`` but seq and kind, in that
order, and the bits that it could hide. Its hash is SHA-256 over the array of 2 (the chain's version), the previous record's hash,
seq, kind, the day of ``at`` (days since the epoch) and the commitment. The first record's previous hash is 32 zero bytes.

So contents and salt can be erased and the chain still holds: what stays is a number, a kind, a day and 32 bytes that, without
the salt, confirm no guess of what was there.

Records of version 1 have no salt. Their hash is SHA-256 over the array of the previous record's hash and all of ``FIELDS``: they
can be removed, not erased. (One array begins with 32 bytes, the other with the number 2: neither can pass for the other.)

This module must never leave a stored field out of the hash.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

GENESIS = bytes(32)
SALT_BYTES = 32
VERSION = 2
DAY = 86_400 * 10**9  # nanoseconds
FIELDS = (
    "seq",  # int, from 1, without gaps
    "kind",  # text: "message", "answer" or "refusal"; "fetch", "fetched"; "inbox", "inbox-…" (mailbox.py)
    "id",  # text: the message id; empty for a refusal
    "device",  # text
    "vendor",  # text
    "host",  # text
    "type",  # text
    "received",  # int: nanoseconds since the epoch, when the door had it; of an answer, when the ledger had it
    "at",  # int: nanoseconds since the epoch, when the record was made
    "original",  # bytes
    "outgoing",  # bytes
    "status",  # int: the vendor's HTTP status, 0 where there is none
    "reason",  # int: Reason code, -1 where there is none
    "detail",  # text; of a message: which of the owner's rules decided what (gateway.policy.plan.recorded), or empty
    "pointers",  # text: a JSON array of JSON Pointers (RFC 6901), or empty; of a message: what its envelope says is withheld
)

Fields = tuple[int, str, str, str, str, str, str, int, int, bytes, bytes, int, int, str, str]
_encode = msgspec.msgpack.Encoder().encode


def link(previous: bytes, fields: Fields) -> bytes:
    """The 32-byte hash of a record whose predecessor's hash is ``previous``."""
    return sha256(_encode((previous, *fields))).digest()


def commitment(salt: bytes, fields: Fields, bits: int) -> bytes:
    """The 32 bytes that stand in the chain for a record's contents. ``salt``: ``SALT_BYTES``, used for this record only."""
    return sha256(salt + _encode((*fields[2:], bits))).digest()


def link_commitment(previous: bytes, seq: int, kind: str, at: int, committed: bytes) -> bytes:
    """The 32-byte hash of a record, erased or not, whose commitment is ``committed``. ``at``: any time of its day."""
    return sha256(_encode((VERSION, previous, seq, kind, at // DAY, committed))).digest()
