"""The verdict on one message, either way.

It must never let pass what it did not understand, and never fail in any other way than by a refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.reasons import Reason
from gateway.standard import ijson
from gateway.standard.canonical import encode
from gateway.standard.envelope import MEDIA_TYPE, VERSION, Message, essence
from gateway.standard.manifest import Direction, Manifest
from gateway.standard.problem import PROBLEM_MEDIA_TYPE
from gateway.standard.refusal import MAX_POINTER, MAX_POINTERS, Refusal, token
from gateway.standard.schemas import limit
from gateway.standard.validator import Mismatch

MAX_PROBLEM_TEXT = {  # characters of a vendor's problem details
    name: limit("problem", f"properties/{name}/maxLength") for name in ("type", "title", "detail")
}

_FROM_DEVICE = ("ce", "type", "vendor", "payload")
_FROM_VENDOR = ("ce", "type", "payload")


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's judged answer: what may go to the device. ``body``: canonical JSON or empty."""

    status: int
    body: bytes
    media_type: str


class Judge:
    """Holds messages against one manifest. Stateless between messages; ``max_body`` in bytes, ``max_depth`` in levels."""

    def __init__(self, manifest: Manifest, *, max_body: int = 65_536, max_depth: int = 16) -> None:
        self.manifest = manifest
        self.max_body = max_body
        self.max_depth = max_depth
        self._hosts = frozenset(manifest.hosts)

    def from_device(self, host: str, type: str, body: bytes) -> Message:
        """A device's message to ``host`` (lower case) under the path's ``type``. Raises Refusal, and nothing else."""
        return _only_refusals(self._from_device, host, type, body)

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
                return Answer(204, b"", "")
            if kind != MEDIA_TYPE:
                raise Refusal(Reason.VENDOR_ANSWER, f"an answer with content is {MEDIA_TYPE}; send that, or nothing")
            return Answer(200, self._to_device(body), MEDIA_TYPE)
        if 400 <= status <= 499 and kind == PROBLEM_MEDIA_TYPE:
            return Answer(status, encode(self._problem(status, body)), PROBLEM_MEDIA_TYPE)
        raise Refusal(
            Reason.VENDOR_ANSWER,
            f"status {status} with this content type; answer 2xx, or 4xx with {PROBLEM_MEDIA_TYPE} (RFC 9457)",
        )

    def _to_device(self, body: bytes) -> bytes:
        envelope = self._envelope(body, None, _FROM_VENDOR)
        type = envelope["type"]
        declared = self.manifest.messages.get(type) if isinstance(type, str) else None
        if declared is None or declared.direction is not Direction.TO_DEVICE:
            raise Refusal(
                Reason.TYPE_UNKNOWN, "the manifest declares no such message to the device; use a declared type", ("/type",)
            )
        return encode({"ce": VERSION, "payload": self._payload(declared.name, envelope["payload"]), "type": declared.name})

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
        pointers = value.get("pointers")
        if isinstance(pointers, list) and len(pointers) <= MAX_POINTERS:
            kept["pointers"] = [
                _readable(pointer, MAX_POINTER, f"/pointers/{index}")
                for index, pointer in enumerate(pointers)
                if isinstance(pointer, str) and (not pointer or pointer[0] == "/")
            ]
        return kept


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
