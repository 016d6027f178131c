"""The verdict on one message, either way.

It must never let pass what it did not understand, and never fail in any other way than by a refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import log2
from typing import Any

from gateway.reasons import Reason
from gateway.standard import bits, ijson
from gateway.standard.canonical import encode
from gateway.standard.envelope import MEDIA_TYPE, VERSION, Message, essence
from gateway.standard.manifest import Direction, Manifest
from gateway.standard.problem import BLANK, PROBLEM_MEDIA_TYPE, VENDOR_TYPES
from gateway.standard.refusal import MAX_POINTER, MAX_POINTERS, Refusal, token
from gateway.standard.schema import Schema
from gateway.standard.schemas import limit
from gateway.standard.validator import Mismatch
from gateway.standard.withholding import in_order, relaxed

MAX_PROBLEM_TEXT = {  # characters of a vendor's problem details
    name: limit("problem", f"properties/{name}/maxLength") for name in ("type", "title", "detail")
}

MAX_RELAXED = 64  # schemas kept for what owners withhold
_FROM_DEVICE = ("ce", "type", "vendor", "payload")
_FROM_VENDOR = ("ce", "type", "payload")


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's judged answer: what may go to the device. ``body``: canonical JSON or empty; ``bits``: what it may carry."""

    status: int
    body: bytes
    media_type: str
    bits: int = field(default=0, compare=False)


class Judge:
    """Holds messages against one manifest. Stateless between messages; ``max_body`` in bytes, ``max_depth`` in levels."""

    def __init__(self, manifest: Manifest, *, max_body: int = 65_536, max_depth: int = 16) -> None:
        self.manifest = manifest
        self.max_body = max_body
        self.max_depth = max_depth
        self._relaxed: dict[tuple[str, tuple[str, ...]], Schema] = {}
        self._hosts = frozenset(manifest.hosts)
        to_device = sum(declared.direction is Direction.TO_DEVICE for declared in manifest.messages.values())
        self._answer_bits = 1 + log2(to_device + 1)  # taken or refused; nothing, or one of the types
        self._order_bits = log2(max(len(manifest.messages) - to_device, 1))

    def from_device(self, host: str, type: str, body: bytes) -> Message:
        """A device's message to ``host`` (lower case) under the path's ``type``. Raises Refusal, and nothing else."""
        return _only_refusals(self._from_device, host, type, body)

    def bits(self, message: Message, reference: int, *, paced: bool, schema: Schema | None = None) -> int:
        """What a judged message could hide, in bits. ``reference``: start of its slot, s since the epoch. Raises Refusal.

        ``schema``: what its payload keeps to where the owner's rules left less than the manifest declares.

        Presence (``slots``) charges how many of each type come in a slot. Their order is the gateway's own where they are
        ``paced``, and the device's where not: then it is charged as a choice among the types.
        """
        order = 0.0 if paced else self._order_bits
        return _only_refusals(
            lambda: bits.whole(order + (schema or self.manifest.messages[message.type].schema).cost(message.payload, reference))
        )

    def declared(self, type: str, withheld: tuple[str, ...]) -> Schema:
        """What the payload of an envelope with this ``withheld`` keeps to. Raises LookupError, ValueError."""
        schema = self.manifest.messages[type].schema
        if not withheld:
            return schema
        known = self._relaxed.get((type, withheld))
        if known is None:
            if not in_order(withheld):
                raise ValueError("withheld: sorted pointers, each once")
            if len(self._relaxed) >= MAX_RELAXED:
                self._relaxed.clear()
            known = self._relaxed[type, withheld] = relaxed(schema, withheld)
        return known

    def from_vendor(self, status: int, media_type: str | None, body: bytes) -> Answer:
        """A vendor's answer: HTTP status, Content-Type and content.

        2xx with nothing becomes 204; 2xx with an envelope of a declared type to the device becomes 200 with its canonical
        form; 4xx with problem details keeps its status and the members that RFC 9457 names, and ``pointers``. Raises
        Refusal (VENDOR_ANSWER, JUDGE_ERROR), and nothing else.
        """
        try:
            return _only_refusals(self._from_vendor, status, media_type, body)
        except Refusal as refusal:
            if refusal.reason in {Reason.VENDOR_ANSWER, Reason.JUDGE_ERROR}:
                raise
            detail = f"{refusal.reason.words}: {refusal.detail}"
            raise Refusal(Reason.VENDOR_ANSWER, detail, refusal.pointers) from None

    def _from_device(self, host: str, type: str, body: bytes) -> Message:
        declared = self.manifest.messages.get(type)
        if declared is None or declared.direction is not Direction.FROM_DEVICE:
            raise Refusal(
                Reason.TYPE_UNKNOWN, "the manifest declares no such message from the device; use a declared type", ("/type",)
            )
        if declared.host != host:
            raise Refusal(Reason.HOST_MISMATCH, f"the manifest declares {type} for {declared.host}; send it there")
        envelope = self._envelope(body, type, _FROM_DEVICE)
        self._check_vendor(envelope["vendor"])
        return Message(type, host, self._payload(type, envelope["payload"]))

    def _from_vendor(self, status: int, media_type: str | None, body: bytes) -> Answer:
        kind = essence(media_type)
        if 200 <= status <= 299:
            if not body:
                return Answer(204, b"", "", bits.whole(self._answer_bits))
            if kind != MEDIA_TYPE:
                raise Refusal(Reason.VENDOR_ANSWER, f"an answer with content is {MEDIA_TYPE}; send that, or nothing")
            document, cost = self._to_device(body)
            return Answer(200, document, MEDIA_TYPE, bits.whole(self._answer_bits + cost))
        if 400 <= status <= 499 and kind == PROBLEM_MEDIA_TYPE:
            document = encode(self._problem(status, body))
            return Answer(status, document, PROBLEM_MEDIA_TYPE, 8 * len(document))
        raise Refusal(
            Reason.VENDOR_ANSWER,
            f"status {status} with this content type; answer 2xx, or 4xx with {PROBLEM_MEDIA_TYPE} (RFC 9457)",
        )

    def _to_device(self, body: bytes) -> tuple[bytes, float]:
        """The canonical envelope and the bits of its payload."""
        envelope = self._envelope(body, None, _FROM_VENDOR)
        type = envelope["type"]
        declared = self.manifest.messages.get(type) if isinstance(type, str) else None
        if declared is None or declared.direction is not Direction.TO_DEVICE:
            raise Refusal(
                Reason.TYPE_UNKNOWN, "the manifest declares no such message to the device; use a declared type", ("/type",)
            )
        payload = self._payload(declared.name, envelope["payload"])
        return encode({"ce": VERSION, "payload": payload, "type": declared.name}), declared.schema.cost(payload, 0)

    def _parse(self, body: bytes) -> object:
        if len(body) > self.max_body:
            raise Refusal(Reason.HTTP_TOO_LARGE, f"{len(body)} bytes; at most {self.max_body}: send less")
        return ijson.parse(body, max_depth=self.max_depth)

    def _envelope(self, body: bytes, type: str | None, members: tuple[str, ...]) -> dict[str, Any]:
        """The envelope's members, all of ``members`` and no other; ``type``: the one that it must carry, if known."""
        value = self._parse(body)
        if not isinstance(value, dict):
            raise Refusal(Reason.ENVELOPE, f"a Clear Envelope is an object with {', '.join(members)}; send one")
        for name in members:
            if name not in value:
                raise Refusal(Reason.ENVELOPE, "an envelope needs this member; send it", (f"/{name}",))
        if len(value) != len(members):
            stray = next(name for name in value if name not in members)
            raise Refusal(Reason.ENVELOPE, f"an envelope has {', '.join(members)} and no other member", ("/" + token(stray),))
        if value["ce"] != VERSION or isinstance(value["ce"], bool):
            raise Refusal(Reason.ENVELOPE, f"this gateway speaks version {VERSION} of Clear Envelope; send 1", ("/ce",))
        if type is not None and value["type"] != type:
            raise Refusal(Reason.ENVELOPE, "the type in the envelope is the type in the path; send the same", ("/type",))
        return value

    def _check_vendor(self, vendor: object) -> None:
        if not isinstance(vendor, dict) or vendor.keys() != {"name", "hosts"}:
            raise Refusal(Reason.ENVELOPE, "vendor is an object with name and hosts, and no other member", ("/vendor",))
        if vendor["name"] != self.manifest.vendor.name:
            raise Refusal(
                Reason.VENDOR_MISMATCH, "differs from the approved manifest's vendor name; send that", ("/vendor/name",)
            )
        hosts = vendor["hosts"]
        # In any order, each once: the manifest's order is the one that leaves.
        if (
            not isinstance(hosts, list)
            or len(hosts) != len(self._hosts)
            or not all(isinstance(name, str) and name in self._hosts for name in hosts)
            or len(set(hosts)) != len(hosts)
        ):
            raise Refusal(
                Reason.VENDOR_MISMATCH,
                "differs from the approved manifest's hosts; send all of them, each once",
                ("/vendor/hosts",),
            )

    def _payload(self, type: str, payload: object) -> dict[str, object]:
        try:
            rebuilt: dict[str, object] = self.manifest.messages[type].schema.rebuild(payload)
        except Mismatch as mismatch:
            raise Refusal(mismatch.reason, mismatch.detail, ("/payload" + mismatch.pointer,)) from None
        return rebuilt

    def _problem(self, status: int, body: bytes) -> dict[str, object]:
        """What may pass of a vendor's problem details; a member of the wrong type is left out (RFC 9457 section 3.1)."""
        value = self._parse(body)
        if not isinstance(value, dict):
            raise Refusal(Reason.VENDOR_ANSWER, "problem details are an object (RFC 9457 section 3); send one")
        kept: dict[str, object] = {"status": status}
        for name, most in MAX_PROBLEM_TEXT.items():
            text = value.get(name)
            if isinstance(text, str):
                kept[name] = _readable(text, most, f"/{name}")
        if "type" in kept and kept["type"] not in VENDOR_TYPES:
            kept["type"] = BLANK  # RFC 9457 section 3.1.1: what the standard's list does not know is no type here
        pointers = value.get("pointers")
        if isinstance(pointers, list):
            kept["pointers"] = [
                _readable(pointer, MAX_POINTER, f"/pointers/{index}")
                for index, pointer in enumerate(pointers[:MAX_POINTERS])
                if isinstance(pointer, str) and _is_pointer(pointer)
            ]
        return kept


def _is_pointer(text: str) -> bool:
    """Whether ``text`` is a JSON Pointer (RFC 6901 section 3)."""
    return (not text or text[0] == "/") and all(piece[:1] in {"0", "1"} for piece in text.split("~")[1:])


def _readable(text: str, most: int, pointer: str) -> str:
    if len(text) > most or not text.isprintable():
        raise Refusal(Reason.VENDOR_ANSWER, f"this is printable text of at most {most} characters; shorten it", (pointer,))
    return text


def _only_refusals[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Fail closed: whatever goes wrong inside is a refusal, and says nothing of the message."""
    try:
        return work(*args, **kwargs)
    except Refusal:
        raise
    except Exception as error:
        raise Refusal(
            Reason.JUDGE_ERROR, f"{type(error).__name__} inside the judge; the message was dropped, report this"
        ) from error
