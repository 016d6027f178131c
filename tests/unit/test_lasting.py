"""A file that must last is whole or not there, and never takes another's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.lasting import write_new


def test_it_is_there_with_its_mode_and_nothing_beside_it(tmp_path: Path) -> None:
    write_new(tmp_path / "key", b"content", 0o600)
    assert (tmp_path / "key").read_bytes() == b"content"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"first")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "key", b"second", 0o600)
    assert (tmp_path / "key").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
