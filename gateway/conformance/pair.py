"""One pair of device and vendor as a vendor host sees it, and its signed requests; also those that a forger would send.

Keys and pseudonyms are made anew for each run and kept nowhere. What ``Envelope.request`` makes is what a gateway would send to
the last byte (gateway/courier/job.py); whatever differs from that was asked for by name.
"""

from __future__ import annotations

import secrets
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.http1.writing import render_request
from gateway.standard import claim
from gateway.standard.canonical import encode
from gateway.standard.envelope import MEDIA_TYPE, PATH_PREFIX, VERSION, sent_at
from gateway.standard.manifest import Manifest
from gateway.standard.signing import COMPONENTS, Unsigned, signature_fields

MINUTE = 60 * 10**9


@dataclass(frozen=True)
class Pair:
    """``device``: the pseudonym; the key is its own unless ``other_key`` made it."""

    device: str = field(default_factory=lambda: f"d-{secrets.token_hex(8)}")
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate, repr=False)

    @property
    def keyid(self) -> str:
        """The public key, as section 8 writes it."""
        return urlsafe_b64encode(self.key.public_key().public_bytes_raw()).decode().rstrip("=")

    def other_key(self) -> Pair:
        """The same pseudonym in the hands of somebody with another key."""
        return Pair(self.device)


@dataclass(frozen=True)
class Request:
    """A request to send: ``fields`` in order, Content-Type first; ``Host`` and ``Content-Length`` come with the rendering."""

    host: str
    path: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def rendered(self) -> bytes:
        """Its bytes."""
        return render_request("POST", self.path, self.host, self.fields, self.body)

    def with_field(self, name: str, value: str) -> Request:
        """The same with another value of one field, signature and all else untouched."""
        changed = tuple((known, value if known.lower() == name.lower() else old) for known, old in self.fields)
        return replace(self, fields=changed)

    def without_fields(self, *names: str) -> Request:
        """The same without some fields."""
        gone = {name.lower() for name in names}
        return replace(self, fields=tuple(f for f in self.fields if f[0].lower() not in gone))

    def twice(self, name: str) -> bytes:
        """Its bytes with one field line repeated."""
        rendered = self.rendered()
        head, _, body = rendered.partition(b"\r\n\r\n")
        (line,) = [line for line in head.split(b"\r\n")[1:] if line.lower().startswith(name.lower().encode() + b":")]
        return head + b"\r\n" + line + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Envelope:
    """A message or a claim of a pair. ``members``: of the envelope, as a gateway writes them."""

    pair: Pair
    host: str
    path: str
    members: dict[str, Any]

    def altered(self, **members: Any) -> Envelope:
        """The same with other members than a gateway writes."""
        return replace(self, members=self.members | members)

    def request(
        self,
        *,
        body: bytes | None = None,
        host: str | None = None,
        sent: str | None = None,
        idempotency_key: str | None = None,
        misread: str | None = None,
        covered: tuple[str, ...] = COMPONENTS,
        rename: tuple[str, str] | None = None,
    ) -> Request:
        """A signed request.

        ``body``, ``host``, ``sent``, ``idempotency_key``: sign these in place of the envelope's. ``misread``: sign another value
        of this component than is sent. ``covered``: sign these components. ``rename``: a piece of the parameters and what
        stands there instead, under a signature that fits.
        """
        content = encode(self.members) if body is None else body
        key = f'"{self.members["id"]}"' if idempotency_key is None else idempotency_key
        unsigned = Unsigned(host or self.host, self.path, content, key, sent or self.members["sent"], self.pair.keyid)
        parameters = unsigned.parameters
        if covered != COMPONENTS:
            every = " ".join(f'"{name}"' for name in COMPONENTS)
            parameters = parameters.replace(every, " ".join(f'"{name}"' for name in covered))
        if rename is not None:
            parameters = parameters.replace(*rename)
        *lines, last = unsigned.base(unsigned.digest, parameters).split(b"\n")
        by_name = dict(zip(COMPONENTS, lines, strict=True))
        base = [by_name[name] + (b"0" if name == misread else b"") for name in covered]
        last += b"0" if misread == "@signature-params" else b""
        signature = self.pair.key.sign(b"\n".join([*base, last]))
        fields = (
            ("Content-Type", MEDIA_TYPE),
            ("Accept", f"{MEDIA_TYPE}, application/problem+json"),
            ("Idempotency-Key", key),
            ("User-Agent", "mudroom/1"),
            *signature_fields(unsigned.digest, parameters, signature),
        )
        return Request(host or self.host, self.path, fields, content)


def message(
    pair: Pair,
    manifest: Manifest,
    type: str,
    payload: dict[str, Any],
    *,
    at: int,
    host: str,
    withheld: tuple[str, ...] = (),
) -> Envelope:
    """A message in a new id. ``at``: ns since the epoch."""
    members = {
        "ce": VERSION,
        "device": pair.device,
        "id": str(uuid.uuid4()),
        "payload": payload,
        "sent": sent_at(at),
        "type": type,
        "vendor": {"hosts": list(manifest.hosts), "name": manifest.vendor.name},
        "withheld": list(withheld),
    }
    return Envelope(pair, host, PATH_PREFIX + type, members)


def claimed(pair: Pair, manifest: Manifest, text: str, *, at: int) -> Envelope:
    """A claim, for the first of the manifest's hosts."""
    members = {
        "ce": VERSION,
        "claim": claim.claim_text(text),
        "device": pair.device,
        "id": str(uuid.uuid4()),
        "sent": sent_at(at),
        "vendor": {"hosts": list(manifest.hosts), "name": manifest.vendor.name},
    }
    return Envelope(pair, manifest.hosts[0], claim.PATH, members)
