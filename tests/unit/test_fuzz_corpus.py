"""The inputs that the fuzzers keep, tried again without a fuzzer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import broken, corpus

MOST_BYTES = 300_000


@pytest.mark.parametrize("name", corpus.NAMES)
def test_every_kept_input_is_handled_as_documented(name: str) -> None:
    inputs = corpus.kept(name)
    assert inputs, f"no input is kept for {name}"
    assert corpus.replay(corpus.load(name).check, inputs) == []


def test_every_kept_input_belongs_to_a_target_and_all_of_them_are_small() -> None:
    assert sorted(folder.name for folder in corpus.KEPT.iterdir()) == corpus.NAMES
    assert sum(path.stat().st_size for path in corpus.KEPT.rglob("*") if path.is_file()) < MOST_BYTES


def test_a_replay_tells_which_input_broke_what(tmp_path: Path) -> None:
    good, bad = tmp_path / "a", tmp_path / "b"
    good.write_bytes(b"room")
    bad.write_bytes(b"mudroom")
    ((path, error),) = corpus.replay(broken.check, [good, bad])
    assert path == bad
    assert "starts with mud" in str(error)
