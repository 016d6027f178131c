"""The inbox of Clear Envelope 1: what a vendor host has for a device, judged where it comes in and again where it goes on. Pure.

It must never let pass an entry that the manifest does not declare to the device for this very host, nor a number that the
vendor chose: what the device gets is written anew from judged values and the gateway's own numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log2
from typing import Any

from gateway.reasons import Reason
from gateway.standard import bits, ijson
from gateway.standard.canonical import encode
from gateway.standard.envelope import VERSION
from gateway.standard.manifest import Direction, Manifest, MessageType
from gateway.standard.refusal import Refusal, token
from gateway.standard.schemas import limit
from gateway.standard.validator import Mismatch

PATH = "/.well-known/clear-envelope/v1/inbox"  # RFC 8615
TYPE = "(inbox)"  # in the record, where messages have their type: no message type can be called so
DEVICE_FIELD = "Clear-Envelope-Device"
RECEIVED_FIELD = "Clear-Envelope-Received"
MOST_ENTRIES = limit("inbox", "properties/inbox/maxItems")
MOST_SEQ = limit("inbox", "$defs/seq/maximum")
_MEMBERS = ("seq", "type", "payload")


@dataclass(frozen=True, slots=True)
class Entry:
    """One judged entry. ``seq``: the vendor's number; ``body``: canonical, ``payload`` and ``type``, or empty where ``refusal``
    says why it goes no further; ``bits``: what it could carry to the device."""

    seq: int
    type: str
    body: bytes
    bits: int
    refusal: Refusal | None = None


def to_device(manifest: Manifest, host: str) -> tuple[str, ...]:
    """The message types that ``host`` may send to the device."""
    return tuple(
        name
        for name, declared in manifest.messages.items()
        if declared.direction is Direction.TO_DEVICE and declared.host == host
    )


def read(manifest: Manifest, host: str, body: bytes, after: int, *, max_body: int, max_depth: int = 16) -> tuple[Entry, ...]:
    """The entries of what ``host`` answered, in order. ``after``: the highest number received before.

    One entry that does not conform has a refusal of its own and holds up none of the others. Where the answer as a whole
    cannot be read, or its numbers do not grow, it raises Refusal, and nothing else.
    """
    try:
        found = _numbered(body, after, max_body, max_depth)
        types = to_device(manifest, host)
        return tuple(_judged(manifest, host, len(types), place, value) for place, value in enumerate(found))
    except Refusal:
        raise
    except Exception as error:
        raise _fault(error) from error


def pass_on(manifest: Manifest, host: str, number: int, body: bytes, *, max_depth: int = 16) -> dict[str, object]:
    """The entry as the device gets it, of the ``body`` of an Entry that waited. Raises Refusal, and nothing else.

    ``manifest``: the one in force now: what it does not declare any more stays here. ``number``: the gateway's own.
    """
    try:
        value: Any = ijson.parse(body, max_depth=max_depth)
        declared, payload = _conforming(manifest, host, value["type"], value["payload"], "")
    except Refusal:
        raise
    except Exception as error:
        raise _fault(error) from error
    return {"payload": payload, "seq": number, "type": declared.name}


def compose(entries: Iterable[dict[str, object]]) -> bytes:
    """The canonical document for the device, of what ``pass_on`` gave."""
    return encode({"ce": VERSION, "inbox": list(entries)})


def received(value: str | None) -> int:
    """The number in a Clear-Envelope-Received field; 0 where there is none. Raises ValueError."""
    if value is None:
        return 0
    if not (value.isascii() and value.isdigit() and len(value) <= 16 and value[0] != "0" and int(value) <= MOST_SEQ):
        raise ValueError(f"{RECEIVED_FIELD} is the seq that was received last, a number from 1 on; send that, or leave it out")
    return int(value)


def _numbered(body: bytes, after: int, max_body: int, max_depth: int) -> list[dict[str, Any]]:
    """The entries, each an object with a number that is greater than the one before. Raises Refusal."""
    if len(body) > max_body:
        raise Refusal(Reason.HTTP_TOO_LARGE, f"{len(body)} bytes; at most {max_body}: send fewer entries at a time")
    value = ijson.parse(body, max_depth=max_depth)
    if not isinstance(value, dict) or value.keys() != {"ce", "inbox"}:
        raise Refusal(Reason.ENVELOPE, "an inbox is an object with ce and inbox, and no other member; send one")
    if value["ce"] != VERSION or isinstance(value["ce"], bool):
        raise Refusal(Reason.ENVELOPE, f"this gateway speaks version {VERSION} of Clear Envelope; send 1", ("/ce",))
    entries = value["inbox"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_ENTRIES:
        raise Refusal(
            Reason.ENVELOPE,
            f"inbox is an array of 1 to {MOST_ENTRIES} entries; send the oldest, or 204 without content",
            ("/inbox",),
        )
    for place, entry in enumerate(entries):
        seq = entry.get("seq") if isinstance(entry, dict) else None
        if type(seq) is not int or not after < seq <= MOST_SEQ:
            raise Refusal(
                Reason.ENVELOPE,
                f"each entry has a seq, a whole number greater than the one before it and than {RECEIVED_FIELD}; send that",
                (f"/inbox/{place}/seq",),
            )
        after = seq
    return entries


def _judged(manifest: Manifest, host: str, types: int, place: int, value: dict[str, Any]) -> Entry:
    """One entry, whatever is in it: a fault of the judge refuses this one, and the others go on."""
    seq, named = value["seq"], value.get("type")
    told = named if isinstance(named, str) and named in manifest.messages else ""
    try:
        _check_members(value, place)
        declared, payload = _conforming(manifest, host, named, value["payload"], f"/inbox/{place}")
        cost = log2(types) + declared.schema.cost(payload, 0)
        return Entry(seq, declared.name, encode({"payload": payload, "type": declared.name}), bits.whole(cost))
    except Refusal as refusal:
        return Entry(seq, told, b"", 0, refusal)
    except Exception as error:
        return Entry(seq, told, b"", 0, _fault(error))


def _check_members(value: dict[str, Any], place: int) -> None:
    """Raises Refusal."""
    for name in _MEMBERS:
        if name not in value:
            raise Refusal(Reason.ENVELOPE, "an entry needs this member; send it", (f"/inbox/{place}/{name}",))
    if len(value) != len(_MEMBERS):
        stray = next(name for name in value if name not in _MEMBERS)
        detail = "an entry has seq, type and payload, and no other member"
        raise Refusal(Reason.ENVELOPE, detail, (f"/inbox/{place}/{token(stray)}",))


def _conforming(manifest: Manifest, host: str, type_: object, payload: object, at: str) -> tuple[MessageType, dict[str, object]]:
    """The declaration and the rebuilt payload. ``at``: the entry's place in its document. Raises Refusal."""
    declared = manifest.messages.get(type_) if isinstance(type_, str) else None
    if declared is None or declared.direction is not Direction.TO_DEVICE or declared.host != host:
        raise Refusal(
            Reason.TYPE_UNKNOWN, "the manifest declares no such message from this host to the device; use one", (f"{at}/type",)
        )
    try:
        rebuilt: dict[str, object] = declared.schema.rebuild(payload)
    except Mismatch as mismatch:
        raise Refusal(mismatch.reason, mismatch.detail, (f"{at}/payload{mismatch.pointer}",)) from None
    return declared, rebuilt


def _fault(error: Exception) -> Refusal:
    return Refusal(Reason.JUDGE_ERROR, f"{type(error).__name__} inside the judge; the entry was dropped, report this")
