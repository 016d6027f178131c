"""The image of the tests is built anew exactly when something that goes into it changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from image import inputs


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one input and one file that is none."""
    for name in ("gateway/a.py", "tests/b.py"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text("1")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "."], check=True)
    return tmp_path


def test_a_changed_input_changes_the_digest_and_nothing_else_does(checkout: Path) -> None:
    before = inputs.digest(checkout)
    (checkout / "tests/b.py").write_text("2")
    (checkout / "gateway/untracked.py").write_text("2")
    assert inputs.digest(checkout) == before
    (checkout / "gateway/a.py").write_text("2")
    assert inputs.digest(checkout) != before


def test_a_removed_input_changes_the_digest(checkout: Path) -> None:
    before = inputs.digest(checkout)
    (checkout / "gateway/a.py").unlink()
    assert inputs.digest(checkout) != before


def test_reused_only_with_image_box_and_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inputs.main(["check", str(tmp_path)]) == 1
    assert inputs.main(["record", str(tmp_path)]) == 0
    assert inputs.main(["check", str(tmp_path)]) == 1
    (tmp_path / "mudroom-1.img.zst").touch()
    (tmp_path / "mudroom.box").touch()
    assert inputs.main(["check", str(tmp_path)]) == 0
    assert "reused mudroom-1.img.zst" in capsys.readouterr().out
    (tmp_path / "inputs.sha256").write_text("0\n")
    assert inputs.main(["check", str(tmp_path)]) == 1
