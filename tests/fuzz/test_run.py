"""A bounded run of every fuzzer: it must find nothing, and it must be able to find something."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.__main__ import fuzz

SECONDS = 3  # for each target; the whole stays below 45 on two cores


def test_nothing_is_found(tmp_path: Path) -> None:
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        outcomes = list(pool.map(lambda name: fuzz(name, SECONDS, tmp_path), corpus.NAMES))
    wrong = [outcome for outcome in outcomes if outcome.input or not outcome.ran]
    assert not wrong, "\n".join(f"{o.target}: {o.input and o.input.read_bytes()!r}\n{o.words}" for o in wrong)
    assert all(outcome.runs > len(corpus.kept(outcome.target)) for outcome in outcomes)


def test_a_parser_that_is_wrong_is_found_out_and_its_input_saved(tmp_path: Path) -> None:
    outcome = fuzz("tests.fuzz.broken", 20, tmp_path)
    assert not outcome.ran
    assert outcome.input is not None
    assert outcome.input.read_bytes().startswith(b"mud")
    assert "starts with mud" in outcome.words
