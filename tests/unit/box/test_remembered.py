"""The memory of what was told or seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.box import remembered
from gateway.box.remembered import Keys


def test_keys_are_kept_and_added_to(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    assert keys.known() == {}
    keys.add(["a", "b"], 5.5)
    keys.add(["b", "c"], 7)
    assert Keys(tmp_path / "keys.json").known() == {"a": 5, "b": 7, "c": 7}
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_KEPT", 3)
    keys = Keys(tmp_path / "keys.json")
    for number in range(5):
        keys.add([str(number)], number)
    assert set(keys.known()) == {"2", "3", "4"}


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": "x"}', '{"a": null}', "\udcff"])
def test_a_damaged_file_remembers_nothing_and_is_written_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    keys = Keys(path)
    assert keys.known() == {}
    keys.add(["a"], 1)
    assert keys.known() == {"a": 1}
