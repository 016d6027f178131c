"""docs/clear-envelope.md says what the code does: its examples conform, its limits and labels are ours."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.config import Config
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
    answered = {reason.label for reason in Reason if 100 <= reason.code < 160 or 176 <= reason.code < 186} - NEVER_TOLD
    assert answered <= set(told)


# A fault of the gateway's, what only its owner hears, and what ends an HTTP/2 connection without a status.
NEVER_TOLD = {each.label for each in (Reason.JUDGE_ERROR, Reason.FIRMWARE_ROOM, Reason.HTTP2_SYNTAX, Reason.HTTP2_FLOOD)}


def test_the_purposes_are_the_registry() -> None:
    registry = TEXT.split("**Purposes**", 1)[1].split("**Types of refusals.**", 1)[0]
    assert dict(re.findall(r"^\| `([a-z]+)` \| (.+) \|$", registry, re.MULTILINE)) == dict(manifest.USES)


def test_what_is_said_of_time_is_the_default() -> None:
    config = Config()
    assert f"keeps a message for {config.courier.give_up_seconds // 86_400} days" in TEXT
    assert f"the device waits {config.door.answer_wait_seconds:g} s for this; then 202" in TEXT


def test_every_section_that_is_named_exists() -> None:
    """References such as "section 8" and "(3, 8)" in the tables of roles and requirements lead somewhere."""
    headings = [int(number) for number in re.findall(r"^## (\d+)\.", TEXT, re.MULTILINE)]
    assert headings == sorted(set(headings))
    own = re.sub(r"RFC \d+,? sections? [\d.]+", "", TEXT)
    named = {int(number) for number in re.findall(r"\bsections? (\d+)(?![\d.])", own)}
    named |= {int(number) for each in re.findall(r"\((\d\d?(?:(?:, | to )\d\d?)*)\)", own) for number in re.findall(r"\d+", each)}
    assert named <= set(headings), named - set(headings)
