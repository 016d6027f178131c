"""A free text: what is taken is in its one spelling, all of it can be seen, and it is charged no more than the most of a text."""

from __future__ import annotations

from gateway.reasons import Reason
from gateway.standard.legible import illegible, too_many_codes
from gateway.standard.lookalikes import misspelt, unified
from gateway.standard.repertoire import allowed, flaw
from gateway.standard.schema import Schema
from gateway.standard.textmodel import code_length, most
from gateway.standard.validator import Mismatch

WORDS = (
    "Kitchen ", "  ", "e\u0301", "\u0131", "\u01c0", "\u0441\u043e", "\u03bf", "\u3078", "\u30d8", "\u30a2", "\u5de5",
    "\u00b5", "\u2212", "\u2026", "\u201e", "\uff01", "\u200b", "25138358-0656-4e69-bee3-946e41727af6", "00:11:32:aa:5e:01",
    "fe80::1", "%25", "\\u0041", "R290", "x7f3", "21.5 \u00b0C", "=", "LED\ub4f1", "\ufffd",
)  # fmt: skip
LIMIT = 64
FIELD = Schema(type="string", title="T", max_length=LIMIT)


def check(data: bytes) -> None:
    """A refusal with rule and remedy, or a text that leaves the same when it is sent again."""
    text = data.decode("utf-8", errors="replace")
    for wrong in (illegible(text), too_many_codes(text.split("\n")), misspelt(text)):
        assert wrong is None or ";" in wrong, "rule and remedy"
    once = unified(text)
    assert unified(once) == once
    assert misspelt(once) is None
    try:
        leaves = FIELD.rebuild(text)
    except Mismatch as mismatch:
        assert mismatch.reason in {Reason.NOT_IN_SCHEMA, Reason.NOT_READABLE}
        assert ";" in mismatch.detail
        return
    assert leaves == once
    assert len(leaves) <= LIMIT
    assert flaw(leaves) is None
    assert all(map(allowed, leaves))
    assert FIELD.rebuild(leaves) == leaves
    assert 0 < code_length(leaves, LIMIT) <= most(LIMIT)
