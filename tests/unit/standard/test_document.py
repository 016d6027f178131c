"""docs/clear-envelope.md says what the code does: its examples conform, its limits and labels are ours."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.http1 import Limits
from gateway.reasons import Reason
from gateway.standard import manifest, schema
from gateway.standard.judge import Judge
from gateway.standard.problem import VENDOR_LABELS, status_for
from gateway.standard.withholding import MAX_WITHHELD, MAX_WITHHELD_TEXT

TEXT = (Path(__file__).parents[3] / "docs" / "clear-envelope.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)


def test_the_examples_conform() -> None:
    envelope, document = EXAMPLES
    judge = Judge(manifest.parse_manifest(document.encode()))
    assert judge.from_device("api.acme.example", "power-reading", envelope.encode()).payload["power"] == 61.4


def test_the_limits_are_ours() -> None:
    limits = Limits()
    for words in (
        f"{limits.head_bytes} bytes of head, {limits.header_count} fields, {limits.body_bytes:,} bytes of content",
        f"1 to {manifest.MAX_HOSTS} full names",
        f"1 to {manifest.MAX_MESSAGES} types",
        f"at most {manifest.MAX_DOCUMENT:,} bytes, {manifest.MAX_DOCUMENT_DEPTH} levels",
        f"(1 to {schema.MAX_ITEMS})",
        f"(1 to {schema.MAX_LENGTH} code points)",
        f"nest {schema.MAX_DEPTH} deep at most, with {schema.MAX_FIELDS} fields",
    ):
        assert words in TEXT, words
    assert f"at most {MAX_WITHHELD} pointers of {MAX_WITHHELD_TEXT:,} characters together" in TEXT


def test_every_label_and_its_status_stand_there() -> None:
    rows = re.findall(r"^\| (`[a-z`, -]+`) \| (\d+)", TEXT, re.MULTILINE)
    told = {label: int(status) for labels, status in rows for label in re.findall(r"`([a-z-]+)`", labels)}
    assert set(VENDOR_LABELS) <= set(told)
    for label, status in told.items():
        if label in VENDOR_LABELS:
            continue  # a vendor's word, which the gateway never says
        assert status_for(Reason.from_label(label)) == status, label
    judged = {reason.label for reason in Reason if 100 <= reason.code < 130 or 180 <= reason.code < 186}
    assert judged <= set(told)
