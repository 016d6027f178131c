"""What a request to a vendor host is signed over (RFC 9421, RFC 9530): pure, and without a key.

All of it follows from the committed envelope, where it goes and which key signs: this module must never sign over a time of
sending, a random number or anything else that a reader of the record could not work out again. So a message that is sent
twice is the same message to the last byte.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from gateway.standard.envelope import MEDIA_TYPE

LABEL = "ce"
TAG = "clear-envelope"
ALGORITHM = "ed25519"  # RFC 9421 section 3.3.6; deterministic (RFC 8032), so no bit of a signature is anybody's choice
# RFC 9421 section 2. There is no @query: a request to a vendor host never has one.
COMPONENTS = (
    "@method",
    "@authority",
    "@path",
    "content-type",
    "content-length",
    "content-digest",
    "idempotency-key",
)
_COVERED = " ".join(f'"{name}"' for name in COMPONENTS)
# Of the question for a device's inbox; the last one where something was received.
POLL_COMPONENTS = ("@method", "@authority", "@path", "clear-envelope-device", "clear-envelope-received")


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A POST to sign. ``host``: lower case, no port; ``path``: no query; ``idempotency_key``: the field's value; ``sent``: the
    envelope's; ``keyid``: of the key that will sign."""

    host: str
    path: str
    body: bytes
    idempotency_key: str
    sent: str
    keyid: str

    @property
    def digest(self) -> str:
        """The value of Content-Digest (RFC 9530 section 2)."""
        return f"sha-256=:{b64encode(sha256(self.body).digest()).decode()}:"

    @property
    def parameters(self) -> str:
        """The signature's parameters (RFC 9421 section 2.3); ``created`` is ``sent``, no other time. Raises ValueError."""
        return f'({_COVERED});created={_seconds(self.sent)};keyid="{self.keyid}";alg="{ALGORITHM}";tag="{TAG}"'

    def base(self, digest: str, parameters: str) -> bytes:
        """The signature base (RFC 9421 section 2.5). Raises ValueError where a part is not ASCII or holds a line's end."""
        values = ("POST", self.host, self.path, MEDIA_TYPE, str(len(self.body)), digest, self.idempotency_key)
        return _base(COMPONENTS, values, parameters)


@dataclass(frozen=True, slots=True)
class UnsignedPoll:
    """A question for a device's inbox, to sign. ``device``: its pseudonym; ``received``: the field's value, "" where it is not
    sent; ``created``: seconds since the epoch, the whole minute in which the schedule has it; ``keyid``: of the key that will
    sign."""

    host: str
    path: str
    device: str
    received: str
    created: int
    keyid: str

    @property
    def parameters(self) -> str:
        """The signature's parameters (RFC 9421 section 2.3). Raises ValueError."""
        if self.created % 60:
            raise ValueError("created: whole minutes")
        covered = " ".join(f'"{name}"' for name in self._components)
        return f'({covered});created={self.created};keyid="{self.keyid}";alg="{ALGORITHM}";tag="{TAG}"'

    @property
    def base(self) -> bytes:
        """The signature base (RFC 9421 section 2.5). Raises ValueError as ``Unsigned.base`` does."""
        values = ("GET", self.host, self.path, self.device, self.received)
        return _base(self._components, values[: len(self._components)], self.parameters)

    @property
    def _components(self) -> tuple[str, ...]:
        return POLL_COMPONENTS if self.received else POLL_COMPONENTS[:-1]


def _base(components: tuple[str, ...], values: tuple[str, ...], parameters: str) -> bytes:
    lines = [f'"{name}": {value}' for name, value in zip(components, values, strict=True)]
    text = "\n".join((*lines, f'"@signature-params": {parameters}'))
    if text.count("\n") != len(components) or "\r" in text:
        raise ValueError("a part of the request ends a line early")
    return text.encode("ascii")


def signature_fields(digest: str, parameters: str, signature: bytes) -> tuple[tuple[str, str], ...]:
    """The header fields that carry digest (left out where there is none) and signature (RFC 9421 section 4)."""
    return (
        *((("Content-Digest", digest),) if digest else ()),
        ("Signature-Input", f"{LABEL}={parameters}"),
        ("Signature", f"{LABEL}=:{b64encode(signature).decode()}:"),
    )


@lru_cache(maxsize=16)  # all messages of a minute say the same
def _seconds(sent: str) -> int:
    """The envelope's ``sent`` in seconds since the epoch. Raises ValueError."""
    return int(datetime.strptime(sent, "%Y-%m-%dT%H:%M:00%z").timestamp())
