"""A vendor host and forged messages: whatever does not prove whose it is must be refused (section 8).

The forgeries are of this run's own device, made up for it; it must never speak in the name of a device that exists.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.conformance.pair import MINUTE, Request
from gateway.conformance.report import Requirement, Seen, Verdict, left_open
from gateway.conformance.talk import Talk, refused, taken
from gateway.standard.envelope import PATH_PREFIX, sent_at
from gateway.standard.signing import COMPONENTS, LABEL

INVALID = (400, "signature-invalid")


def misread(talk: Talk) -> Seen:
    """A signature over another value of one component than the one that came."""
    sent = [
        talk.send(f"a signature over another {name}", talk.good().request(misread=name))
        for name in (*COMPONENTS, "@signature-params")
    ]
    return refused(sent, *INVALID)


def changed(talk: Talk) -> Seen:
    """A request that was changed after it was signed."""
    elsewhere = talk.types[-1].name
    cases = {
        "another Content-Type": talk.good().request().with_field("Content-Type", "application/clear-envelope+json;charset=utf-8"),
        "another Content-Digest": talk.good().request().with_field("Content-Digest", f"sha-256=:{'A' * 43}=:"),
        "another Idempotency-Key": talk.good().request().with_field("Idempotency-Key", '"another"'),
        "another key's signature": _foreign_signature(talk),
    }
    if elsewhere != talk.types[0].name:
        cases["another path"] = replace(talk.good().request(), path=PATH_PREFIX + elsewhere)
    return refused([talk.send(words, request) for words, request in cases.items()])


def _foreign_signature(talk: Talk) -> Request:
    envelope = talk.good()
    other = replace(envelope, pair=talk.pair.other_key()).request()
    return envelope.request().with_field("Signature", dict(other.fields)["Signature"])


def missing(talk: Talk) -> Seen:
    """No signature, or half of one."""
    request = talk.good().request()
    sent = [
        talk.send(f"without {' and '.join(names)}", request.without_fields(*names))
        for names in (("Signature", "Signature-Input"), ("Signature",), ("Signature-Input",))
    ]
    return refused(sent, *INVALID)


def cover(talk: Talk) -> Seen:
    """Signatures that fit, but are not the one that section 8 describes."""
    good = talk.good()
    request = good.request()
    fields = dict(request.fields)
    cases = {
        f"a signature without {name}": good.request(covered=tuple(c for c in COMPONENTS if c != name)) for name in COMPONENTS
    }
    cases |= {
        "a cover in another order": good.request(covered=COMPONENTS[::-1]),
        "another tag": good.request(rename=('tag="clear-envelope"', 'tag="other"')),
        "another algorithm's name": good.request(rename=('alg="ed25519"', 'alg="hmac-sha256"')),
        "a parameter more": good.request(rename=('tag="clear-envelope"', 'tag="clear-envelope";nonce="1"')),
        "another label": request.with_field("Signature-Input", "sig" + fields["Signature-Input"].removeprefix(LABEL)).with_field(
            "Signature", "sig" + fields["Signature"].removeprefix(LABEL)
        ),
        "two signatures": request.with_field(
            "Signature-Input", f"{fields['Signature-Input']}, x{fields['Signature-Input'].removeprefix(LABEL)}"
        ).with_field("Signature", f"{fields['Signature']}, x{fields['Signature'].removeprefix(LABEL)}"),
    }
    return refused([talk.send(words, request) for words, request in cases.items()], *INVALID)


def digest(talk: Talk) -> Seen:
    """Another content under a signature that fits its header."""
    request = talk.good().request()
    other = request.body.replace(talk.pair.device.encode(), b"d-" + b"0" * 16)
    return refused([talk.send("another content than the digest's", replace(request, body=other))])


def created(talk: Talk) -> Seen:
    """``created`` that is not ``sent``, under a signature that fits."""
    later = sent_at(talk.now + MINUTE)
    return refused([talk.send("created a minute after sent", talk.good().request(sent=later))])


def key_is_id(talk: Talk) -> Seen:
    """An idempotency key that is not the id, under a signature that fits."""
    return refused([talk.send("an Idempotency-Key that is not the id", talk.good().request(idempotency_key='"another"'))])


def pinned(talk: Talk) -> Seen:
    """The run's device with another key, and then with its own."""
    first = talk.send("a message", talk.good().request())
    if not first.accepted:
        return left_open(f"its first message was not taken ({first.fault or first.told}), so there may be no key to know it by")
    forged = talk.send("the same device with another key", talk.good(talk.pair.other_key()).request())
    seen = refused([forged], 403, "key-unknown")
    after = taken([talk.send("the device itself after that", talk.good().request())], "the device itself")
    return after if seen.verdict is Verdict.HELD and after.verdict is Verdict.BROKEN else seen


SIGNATURES: tuple[Requirement[Talk], ...] = (
    Requirement(
        "signature",
        "8 (step 2)",
        "a signature that does not fit is refused: 400 signature-invalid, for every part of its base",
        "build the base from the request that came, and verify it with the key in keyid",
        misread,
    ),
    Requirement(
        "signed-parts",
        "8 (step 2)",
        "a request that was changed after signing is refused",
        "take every value of the base from the request itself, none from what you expect",
        changed,
    ),
    Requirement(
        "signature-missing", "8 (step 1)", "no signature: 400 signature-invalid", "ask for Signature and Signature-Input", missing
    ),
    Requirement(
        "signature-cover",
        "8 (step 1)",
        "a signature with another label, cover, tag or algorithm is refused: 400 signature-invalid",
        "hold Signature-Input against the one form of section 8",
        cover,
    ),
    Requirement(
        "digest",
        "8 (step 3)",
        "another content than Content-Digest's is refused",
        "compare it with the content's SHA-256",
        digest,
    ),
    Requirement(
        "created", "8 (step 3)", "created that is not sent is refused", "compare created with the envelope's sent", created
    ),
    Requirement(
        "idempotency-key", "8 (step 3)", "an Idempotency-Key that is not the id is refused", "compare the two", key_is_id
    ),
    Requirement(
        "key-pinned",
        "8 (step 4)",
        "a known device with another key is refused: 403 key-unknown; its own key serves on",
        "note the first keyid of each device, and compare",
        pinned,
    ),
)
