"""The hash chain over the ledger's records: pure, and the same for whoever writes and whoever checks.

A record's hash is SHA-256 over one MessagePack array (shortest forms, as the MessagePack specification asks) of the
previous record's hash and every field of ``FIELDS`` in that order. The first record's previous hash is 32 zero bytes.
This module must never leave a stored field out of the hash.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

GENESIS = bytes(32)
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
