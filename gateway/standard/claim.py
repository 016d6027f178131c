"""The claim of Clear Envelope 1: the text with which the owner tells a vendor whose account a device belongs to. Pure.

It is the owner's word and not the device's: the vendor's page shows the text, the owner copies it, the gateway sends it once.
This module must never make a claim out of anything that a device said.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from gateway.standard.canonical import encode
from gateway.standard.envelope import VERSION

PATH = "/.well-known/clear-envelope/v1/claim"  # RFC 8615
TYPE = "(claim)"  # in the record, where messages have their type: no message type can be called so
MAX_TEXT = 64  # characters


def claim_text(text: str) -> str:
    """``text`` as it is sent: in Unicode's form NFC, with no spaces around it. Raises ValueError in words for the owner."""
    if len(text) > 4 * MAX_TEXT:
        raise ValueError(f"a claim has at most {MAX_TEXT} characters; copy the text that the vendor's page shows, and no more")
    whole = unicodedata.normalize("NFC", text.strip())
    if not 0 < len(whole) <= MAX_TEXT:
        raise ValueError(f"a claim has 1 to {MAX_TEXT} characters; copy the text that the vendor's page shows, and no more")
    if not whole.isprintable():
        raise ValueError("a claim is one line of printable characters; copy it anew from the vendor's page, or type it")
    return whole


def claim(text: str, *, vendor: str, hosts: Sequence[str], id: str, sent: str, device: str) -> bytes:
    """The canonical claim for the vendor. ``text``: from ``claim_text``; ``sent``: from ``sent_at``. Raises ValueError."""
    if claim_text(text) != text:
        raise ValueError("the claim's text is not as claim_text() gives it")
    return encode(
        {
            "ce": VERSION,
            "claim": text,
            "device": device,
            "id": id,
            "sent": sent,
            "vendor": {"hosts": tuple(hosts), "name": vendor},
        }
    )
