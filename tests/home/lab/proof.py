"""What a vendor host does to know who sent a request: docs/clear-envelope.md, section 8, by a library that is not ours.

It shares no code with the gateway, so that both sides are held against RFC 9421 and not against each other.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, InvalidSignature, algorithms
from http_message_signatures.exceptions import HTTPMessageSignaturesException

REQUIRED = ("@method", "@authority", "@path", "content-type", "content-length", "content-digest", "idempotency-key")
POLL = ("@method", "@authority", "@path", "clear-envelope-device")
RECEIVED = "clear-envelope-received"  # and this, where it is there
PARAMETERS = ["created", "keyid", "alg", "tag"]


class Unproven(ValueError):
    """The request does not prove what it must. Says what."""


class KeyIsItsOwnName(HTTPSignatureKeyResolver):
    """``keyid`` is the public key."""

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey:
        if not re.fullmatch(r"[A-Za-z0-9_-]{43}", key_id):
            raise Unproven("keyid is not a public key")
        return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key_id + "="))


VERIFIER = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=KeyIsItsOwnName())


@dataclass
class Request:
    """As the library wants it."""

    method: str
    url: str
    headers: dict[str, str]


def proven(method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> str:
    """The keyid of whoever signed this request. Raises Unproven."""
    # no greatest age: a message may have waited for days, and its id tells whether it was there before
    parameters, fields = _verified(method, target, headers, REQUIRED, body)
    envelope = json.loads(body)
    if parameters["created"] != datetime.fromisoformat(envelope["sent"]).timestamp():
        raise Unproven("created is not sent")
    if fields["idempotency-key"] != f'"{envelope["id"]}"':
        raise Unproven("the idempotency key is not the id")
    keyid: str = parameters["keyid"]
    return keyid


def proven_poll(method: str, target: str, headers: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """The keyid of whoever signed this question for an inbox, and the device that it is for. Raises Unproven."""
    headers = list(headers)
    further = [RECEIVED for name, _ in headers if name.lower() == RECEIVED]
    parameters, fields = _verified(method, target, headers, (*POLL, *further), b"")
    if method != "GET" or parameters["created"] % 60:
        raise Unproven("no GET, or no whole minute")
    return parameters["keyid"], fields["clear-envelope-device"]


def _verified(
    method: str, target: str, headers: Iterable[tuple[str, str]], required: Iterable[str], body: bytes
) -> tuple[dict[str, Any], dict[str, str]]:
    """The signature's parameters and the fields by name. Raises Unproven."""
    fields: dict[str, str] = {}
    for name, value in headers:
        if name.lower() in fields:
            raise Unproven(f"{name} twice")
        fields[name.lower()] = value
    if "?" in target:
        raise Unproven("a query, which nothing covers")
    try:
        (result,) = VERIFIER.verify(
            Request(method, f"https://{fields['host']}{target}", fields),
            max_age=None,
            expect_tag="clear-envelope",
            expect_label="ce",
            require_components=[f'"{n}"' for n in required],
            body=body,
        )
    except (InvalidSignature, HTTPMessageSignaturesException, KeyError, ValueError) as error:
        raise Unproven(f"{type(error).__name__}: {error}") from error
    if list(result.parameters) != PARAMETERS:
        raise Unproven(f"parameters {list(result.parameters)}")
    return result.parameters, fields


class Pins:
    """Trust on first use: the key that a device's pseudonym came with first is its key."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def accept(self, device: str, keyid: str) -> None:
        """Raises Unproven where the pseudonym is known with another key."""
        if self._keys.setdefault(device, keyid) != keyid:
            raise Unproven("another key than this device's")
