"""The goals of the readability judge on real payloads, where the corpus is at hand: it is data that we do not ship."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.readability import Line, folder, judged, part, result

CORPUS = folder([])
HERE = all((CORPUS / f"{name}.jsonl").exists() for name in ("readable", "smuggled", "sham_controls"))
pytestmark = pytest.mark.skipif(not HERE, reason="no corpus beside the checkout; MUDROOM_CORPUS=FOLDER names another place")


@pytest.fixture(scope="module")
def lines() -> list[list[Line]]:
    return [list(judged(Path(CORPUS / f"{name}.jsonl"))) for name in ("readable", "smuggled", "sham_controls")]


@pytest.mark.parametrize("vendors", ["made on", "held out"])
def test_hidden_documents_are_found_at_few_false_alarms(lines: list[list[Line]], vendors: str) -> None:
    figures = result(*lines, lambda source: part(source) == vendors)
    assert figures.clean > 200
    assert figures.hidden > 150
    assert figures.alarms / figures.clean <= 0.01
    assert figures.found / figures.hidden >= 0.975


def test_a_splice_alone_raises_no_alarm(lines: list[list[Line]]) -> None:
    figures = result(*lines, lambda source: True)
    assert figures.shams > 100
    assert figures.sham_alarms <= figures.original_alarms
    assert figures.splice_alarms == 0
