"""Vendor hosts that break one rule each. They are the reference host with one method changed, as a vendor might have it wrong."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from tests.home.reference.vendor import (
    COVERED,
    ENVELOPE,
    PARAMETERS,
    PROBLEM,
    Answer,
    Ed25519PublicKey,
    Handler,
    InvalidSignature,
    Refused,
    VendorHost,
    base64,
)  # fmt: skip

Fields = list[tuple[str, str]]


class IgnoresSignature(VendorHost):
    def verified(self, method: str, target: str, named: dict[str, str], content: bytes) -> tuple[str, int]:
        found = PARAMETERS.fullmatch(named.get("signature-input", "").removeprefix("ce="))
        if not found or not re.fullmatch(r"ce=:([A-Za-z0-9+/]{86}==):", named.get("signature", "")):
            raise Refused(400, "signature-invalid", "no signature")
        return found["keyid"], int(found["created"])


class TakesUnsigned(VendorHost):
    def verified(self, method: str, target: str, named: dict[str, str], content: bytes) -> tuple[str, int]:
        if "signature" in named and "signature-input" in named:
            return super().verified(method, target, named, content)
        (keyid,) = self.store.execute("SELECT keyid FROM devices WHERE device = ?", (json.loads(content)["device"],)).fetchone()
        return keyid, int(time.time()) // 60 * 60

    def matches(self, envelope: dict[str, Any], named: dict[str, str], content: bytes, created: int) -> None:
        if "signature" in named and "signature-input" in named:
            super().matches(envelope, named, content, created)


class TakesAnyCover(VendorHost):
    """As a general library does that is not told what must be covered."""

    def verified(self, method: str, target: str, named: dict[str, str], content: bytes) -> tuple[str, int]:
        _label, _, parameters = named.get("signature-input", "").partition("=")
        parameters = parameters.partition(", x=")[0]
        found = re.match(r'\(([^)]*)\);created=([0-9]+);keyid="([^"]{43})"', parameters)
        signature = re.match(r"[a-z]+=:([A-Za-z0-9+/=]+):", named.get("signature", ""))
        if not found or not signature:
            raise Refused(400, "signature-invalid", "no signature")
        known = {"@method": method, "@authority": named["host"], "@path": target} | named
        lines = [f"{name}: {known.get(name.strip('"'), '')}" for name in found[1].split(" ")]
        base = "\n".join([*lines, f'"@signature-params": {parameters}'])
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(found[3] + "="))
            key.verify(base64.b64decode(signature[1]), base.encode())
        except (InvalidSignature, ValueError):
            raise Refused(400, "signature-invalid", "wrong") from None
        return found[3], int(found[2])


class SignsWhatItExpects(VendorHost):
    """Takes the content type for what it should be, and does not look."""

    def head(self, method: str, target: str, fields: Fields) -> dict[str, str]:
        return super().head(method, target, [(n, ENVELOPE if n.lower() == "content-type" else v) for n, v in fields])


class IgnoresDigest(VendorHost):
    def matches(self, envelope: dict[str, Any], named: dict[str, str], content: bytes, created: int) -> None:
        digest = base64.b64encode(__import__("hashlib").sha256(content).digest()).decode()
        super().matches(envelope, named | {"content-digest": f"sha-256=:{digest}:"}, content, created)


class IgnoresCreated(VendorHost):
    def matches(self, envelope: dict[str, Any], named: dict[str, str], content: bytes, created: int) -> None:
        super().matches(envelope | {"sent": time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(created))}, named, content, created)


class IgnoresIdempotencyKey(VendorHost):
    def matches(self, envelope: dict[str, Any], named: dict[str, str], content: bytes, created: int) -> None:
        super().matches(envelope, named | {"idempotency-key": f'"{envelope["id"]}"'}, content, created)


class RefusesByAge(VendorHost):
    def matches(self, envelope: dict[str, Any], named: dict[str, str], content: bytes, created: int) -> None:
        super().matches(envelope, named, content, created)
        if created < time.time() - 86_400:
            raise Refused(400, "signature-invalid", "too old")


class PinsNothing(VendorHost):
    def pinned(self, device: str, keyid: str) -> None:
        self.store.execute("INSERT OR REPLACE INTO devices (device, keyid) VALUES (?, ?)", (device, keyid))


class LetsTheForgerIn(VendorHost):
    """Refuses the other key, and notes it."""

    def pinned(self, device: str, keyid: str) -> None:
        try:
            super().pinned(device, keyid)
        except Refused:
            self.store.execute("UPDATE devices SET keyid = ? WHERE device = ?", (keyid, device))
            raise


class RefusesOtherKeysOddly(VendorHost):
    def pinned(self, device: str, keyid: str) -> None:
        try:
            super().pinned(device, keyid)
        except Refused:
            raise Refused(400, "signature-invalid", "another key") from None


class KnowsOneDevice(VendorHost):
    def pinned(self, device: str, keyid: str) -> None:
        super().pinned(device, keyid)
        if self.store.execute("SELECT count(*) FROM devices").fetchone() != (1,):
            self.store.execute("DELETE FROM devices WHERE device = ?", (device,))
            raise Refused(403, "key-unknown", "who is that?")


class RefusesRepetition(VendorHost):
    def known(self, device: str, id: str) -> Answer | None:
        if super().known(device, id) is not None:
            raise Refused(422, "envelope", "this was here before")
        return None


class AnswersAnew(VendorHost):
    """Takes a message as often as it comes, which shows in what it answers."""

    minutes = 1

    def known(self, device: str, id: str) -> Answer | None:
        found = super().known(device, id)
        if found is None or found.status != 200:
            return found
        self.minutes += 1
        return Answer(200, ENVELOPE, json.dumps({"ce": 1, "type": "interval", "payload": {"minutes": self.minutes}}).encode())


class RefusesWarmth(VendorHost):
    def message(self, envelope: dict[str, Any], type: str) -> Answer:
        payload = envelope.get("payload")
        if isinstance(payload, dict) and payload.get("temperature", 0) > 60:
            raise Refused(422, "not-in-schema", "too warm", "/payload/temperature")
        return super().message(envelope, type)


class ClaimsFirst(VendorHost):
    """Breaks nothing."""

    def message(self, envelope: dict[str, Any], type: str) -> Answer:
        answer = super().message(envelope, type)
        (account,) = self.store.execute("SELECT account FROM devices WHERE device = ?", (envelope["device"],)).fetchone()
        if not account:
            raise Refused(403, "claim-required", "whose are you?")
        return answer


class AsksForWhatIsWithheld(VendorHost):
    def message(self, envelope: dict[str, Any], type: str) -> Answer:
        return super().message(envelope | {"withheld": []}, type)


class NamesNothing(VendorHost):
    def message(self, envelope: dict[str, Any], type: str) -> Answer:
        try:
            return super().message(envelope, type)
        except Refused as refusal:
            raise Refused(refusal.status, refusal.label, refusal.title) from None


class AnyHost(VendorHost):
    def head(self, method: str, target: str, fields: Fields) -> dict[str, str]:
        self.authority = {n.lower(): v for n, v in fields}["host"]
        return super().head(method, target, [(n, self.host if n.lower() == "host" else v) for n, v in fields])

    def verified(self, method: str, target: str, named: dict[str, str], content: bytes) -> tuple[str, int]:
        host, self.host = self.host, self.authority
        try:
            return super().verified(method, target, named, content)
        finally:
            self.host = host


class AnyQuery(VendorHost):
    def answer(self, method: str, target: str, fields: Fields, content: bytes) -> Answer:
        return super().answer(method, target.partition("?")[0], fields, content)


class MergesFields(VendorHost):
    def head(self, method: str, target: str, fields: Fields) -> dict[str, str]:
        return super().head(method, target, list({name.lower(): (name, value) for name, value in fields}.values()))


class TakesAnything(VendorHost):
    """A member twice is as good as once to most parsers."""

    def envelope(self, content: bytes) -> dict[str, Any]:
        try:
            return super().envelope(content)
        except Refused as refusal:
            if "twice" not in str(refusal):
                raise
            found: dict[str, Any] = json.loads(content)
            return found


class FallsOver(VendorHost):
    """An exception, as a framework answers it."""

    def envelope(self, content: bytes) -> dict[str, Any]:
        try:
            return super().envelope(content)
        except Refused as refusal:
            raise Refused(500, refusal.label, "Internal Server Error") from None


class AnyType(VendorHost):
    def message(self, envelope: dict[str, Any], type: str) -> Answer:
        return super().message(envelope, type) if type in self.extension["messages"] else Answer(204)


class AnyClaim(VendorHost):
    def claimed(self, envelope: dict[str, Any], keyid: str) -> Answer:
        return Answer(204)


class NoClaims(VendorHost):
    def claimed(self, envelope: dict[str, Any], keyid: str) -> Answer:
        raise Refused(404, "http-target", "no such path")


class ClaimBeforeSignature(VendorHost):
    def verified(self, method: str, target: str, named: dict[str, str], content: bytes) -> tuple[str, int]:
        if target.endswith("/claim") and b"NO-SUCH" in content:
            raise Refused(403, "claim-unknown", "no such text")
        return super().verified(method, target, named, content)


class AnswersClaims(VendorHost):
    def claimed(self, envelope: dict[str, Any], keyid: str) -> Answer:
        super().claimed(envelope, keyid)
        return Answer(200, ENVELOPE, b'{"ce":1,"type":"interval","payload":{"minutes":5}}')


class TalksAtLength(VendorHost):
    def problem(self, refusal: Refused) -> Answer:
        answer = super().problem(refusal)
        return answer._replace(content=json.dumps(json.loads(answer.content) | {"detail": "x" * 513}).encode())


class SaysAnotherStatus(VendorHost):
    def problem(self, refusal: Refused) -> Answer:
        answer = super().problem(refusal)
        return answer._replace(content=json.dumps(json.loads(answer.content) | {"status": 418}).encode())


class OwnTypes(VendorHost):
    def problem(self, refusal: Refused) -> Answer:
        answer = super().problem(refusal)
        if refusal.label != "type-unknown":
            return answer
        return answer._replace(content=json.dumps(json.loads(answer.content) | {"type": "https://acme.example/7"}).encode())


class PlainJson(VendorHost):
    def problem(self, refusal: Refused) -> Answer:
        return super().problem(refusal)._replace(media="application/json")


class PlainAnswers(VendorHost):
    def message(self, envelope: dict[str, Any], type: str) -> Answer:
        answer = super().message(envelope, type)
        return answer._replace(media="application/json") if answer.media == ENVELOPE else answer


class Undeclared(VendorHost):
    def message(self, envelope: dict[str, Any], type: str) -> Answer:
        answer = super().message(envelope, type)
        return answer._replace(content=answer.content.replace(b"minutes", b"seconds"))


class Busy(VendorHost):
    """One type is not taken now, and the host does not say when."""

    def message(self, envelope: dict[str, Any], type: str) -> Answer:
        if type == "battery-low":
            return Answer(503, PROBLEM, b"{}")
        return super().message(envelope, type)


class Limits(VendorHost):
    """So many requests, and then no more for a while. Breaks nothing."""

    left = 30

    def answer(self, method: str, target: str, fields: Fields, content: bytes) -> Answer:
        self.left -= 1
        return super().answer(method, target, fields, content) if self.left >= 0 else Answer(429, PROBLEM, b"{}")


class Html(VendorHost):
    def problem(self, refusal: Refused) -> Answer:
        return Answer(refusal.status, "text/html", b"<h1>No</h1>")


# --- what a server or a front makes of answers -----------------------------------------------------------------------


class Rendering(Handler):
    """Changes what goes out for 2xx."""

    def rendered(self, answer: Answer) -> bytes:
        raw = super().rendered(answer)
        return self.changed(raw) if answer.status < 300 else raw

    def changed(self, raw: bytes) -> bytes:
        raise NotImplementedError


class Redirects(Rendering):
    def changed(self, raw: bytes) -> bytes:
        return b"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://other.invalid/\r\nContent-Length: 0\r\n\r\n"


class Continues(Rendering):
    def changed(self, raw: bytes) -> bytes:
        return b"HTTP/1.1 100 Continue\r\n\r\n" + raw


class Chunked(Rendering):
    """As the standard allows it."""

    extension, trailer = b"", b""

    def changed(self, raw: bytes) -> bytes:
        head, _, content = raw.partition(b"\r\n\r\n")
        if not content:
            return raw
        head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
        return b"%s\r\n\r\n%x%s\r\n%s\r\n0\r\n%s\r\n" % (head, len(content), self.extension, content, self.trailer)


class ChunkExtension(Chunked):
    extension = b";a=b"


class Trailer(Chunked):
    trailer = b"X-Checksum: 1\r\n"


class LengthTwice(Rendering):
    def changed(self, raw: bytes) -> bytes:
        return re.sub(rb"(Content-Length: \d+\r\n)", rb"\1\1", raw)


class UntilTheEnd(Rendering):
    def changed(self, raw: bytes) -> bytes:
        self.close_connection = True
        return re.sub(rb"Content-Length: \d+\r\n", b"Connection: close\r\n", raw)


class HangsUp(Rendering):
    """After each answer, without a word."""

    def changed(self, raw: bytes) -> bytes:
        self.close_connection = True
        return raw


class SaysClose(Rendering):
    """After each answer, and says so."""

    def changed(self, raw: bytes) -> bytes:
        self.close_connection = True
        return raw.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


class SaysWhen(Handler):
    """To come again."""

    def rendered(self, answer: Answer) -> bytes:
        raw = super().rendered(answer)
        return raw.replace(b"\r\n", b"\r\nRetry-After: 60\r\n", 1) if answer.status == 429 else raw


class CutsOff(Handler):
    """Whatever it does not like."""

    def rendered(self, answer: Answer) -> bytes:
        if answer.status < 400:
            return super().rendered(answer)
        self.close_connection = True
        return b""


class CannotReadJson(Handler):
    """Dies where the content is no JSON."""

    def rendered(self, answer: Answer) -> bytes:
        if b"json-syntax" in answer.content:
            self.close_connection = True
            return b""
        return super().rendered(answer)


assert COVERED[0] == "@method"
