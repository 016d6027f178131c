"""What the owner may say to a vendor, and in which form it leaves."""

from __future__ import annotations

import json

import pytest
import rfc8785

from gateway.standard.claim import MAX_TEXT, TYPE, claim, claim_text
from gateway.standard.naming import is_type_name


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("ACME-7F3K-22QX", "ACME-7F3K-22QX"),
        ("  blue kettle 42 \n", "blue kettle 42"),
        ("Ku\u0308che", "K\u00fcche"),
        ("x" * MAX_TEXT, "x" * MAX_TEXT),
    ],
)
def test_what_the_owner_copied(typed: str, sent: str) -> None:
    assert claim_text(typed) == sent


@pytest.mark.parametrize(
    "typed",
    ["", " ", "x" * (MAX_TEXT + 1), "x" * 10**6, "a\nb", "a\x00b", "a\u202eb", "a\u200bb", "a\ud800b", "a\u2028b", "a\u00a0b"],
)
def test_what_no_page_would_show(typed: str) -> None:
    with pytest.raises(ValueError, match="copy"):
        claim_text(typed)


def test_a_claim_is_canonical_and_holds_nothing_else() -> None:
    made = claim("K-1", vendor="Acme", hosts=("a.example", "b.example"), id="m-1", sent="2026-01-31T12:00:00Z", device="d-1")
    assert made == rfc8785.dumps(json.loads(made))
    assert json.loads(made) == {
        "ce": 1,
        "claim": "K-1",
        "device": "d-1",
        "id": "m-1",
        "sent": "2026-01-31T12:00:00Z",
        "vendor": {"name": "Acme", "hosts": ["a.example", "b.example"]},
    }


def test_no_claim_goes_around_the_rule() -> None:
    with pytest.raises(ValueError, match="claim_text"):
        claim(" K-1", vendor="Acme", hosts=("a.example",), id="m-1", sent="2026-01-31T12:00:00Z", device="d-1")


def test_no_manifest_can_declare_a_message_that_looks_like_a_claim() -> None:
    assert not is_type_name(TYPE)
