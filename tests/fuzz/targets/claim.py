"""The claim text, which an owner copies from a page that he does not know."""

from __future__ import annotations

import unicodedata

from gateway.standard.claim import MAX_TEXT, claim, claim_text
from tests.fuzz.oracles import canonical

WORDS = (
    "ACME-7F3K-22QX", "\u200b", "\u00a0", "e\u0301", "\u212b", "\u0344", "\ufb1d", "\u2028", "\t", '"', "\\", "\x00",
    "\u3000", "\U000e0020", "\ufeff",
)  # fmt: skip


def check(data: bytes) -> None:
    """Refused in words, or one printable line in form NFC that is taken as it is from then on."""
    text = data.decode("utf-8", errors="replace")
    try:
        taken = claim_text(text)
    except ValueError as error:
        assert ";" in str(error), "rule and remedy"
        return
    assert 0 < len(taken) <= MAX_TEXT
    assert taken.isprintable()
    assert taken == taken.strip()
    assert unicodedata.is_normalized("NFC", taken)
    assert claim_text(taken) == taken
    canonical(claim(taken, vendor="Acme", hosts=["api.acme.example"], id="m", sent="2026-11-22T13:40:00Z", device="d"))
