"""The table of reasons is one table, whichever language reads it."""

from __future__ import annotations

import re

import pytest

from gateway.reasons import FIRST_USER_CODE, Reason
from gateway.steering.loader import source_folder


def test_the_kernel_s_reasons_are_python_s() -> None:
    text = (source_folder() / "include" / "reasons.h").read_text()
    body = text[text.index("enum reason {") : text.index("};")]
    in_c = {name: int(number) for name, number in re.findall(r"^\s*(\w+) = (\d+),", body, re.MULTILINE)}
    assert in_c == {reason.name: reason.code for reason in Reason if reason.in_kernel}
    assert f"#define FIRST_DROP {min(r.code for r in Reason if not r.passes)}\n" in text
    assert re.search(rf"^#define REASONS\s+{FIRST_USER_CODE}\b", text, re.MULTILINE)


def test_codes_and_labels_are_unique() -> None:
    assert len({reason.code for reason in Reason}) == len({reason.label for reason in Reason}) == len(Reason)


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.label)
def test_a_reason_is_found_by_code_and_label(reason: Reason) -> None:
    assert Reason.from_code(reason.code) is Reason.from_label(reason.label) is reason
