"""The summary at the end of `make test`, of reports that pytest wrote."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import outcome

MIXED = """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError

def test_good(): pass
@pytest.mark.skip
def test_left_out(): pass
@pytest.mark.parametrize("word", ["a.b"])
def test_bad(word): assert word == "x"
def test_without(broken): pass
"""


def report(folder: Path, part: str, text: str) -> Path:
    tests = folder / f"test_{part}.py"
    tests.write_text(text)
    made = folder / f"{part}.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", folder, f"--junitxml={made}", tests],
        cwd=folder, capture_output=True, check=False,
    )  # fmt: skip
    return made


def test_it_names_what_failed_in_each_part_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, mixed = report(tmp_path, "good", "def test_a(): pass\n"), report(tmp_path, "mixed", MIXED)
    assert outcome.main([str(mixed), str(good)]) == 1
    said = capsys.readouterr().out
    assert "mixed: FAILED: 1 passed, 2 failed, 1 skipped in " in said and "good: passed: 1 passed, 0 failed" in said
    assert "  FAILED test_mixed.py::test_bad[a.b]\n" in said and "  FAILED test_mixed.py::test_without\n" in said
    assert said.count("::") == 2
    assert outcome.main([str(good)]) == 0


def test_a_part_that_ran_nothing_or_left_no_report_has_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, broken = report(tmp_path, "good", "def test_a(): pass\n"), report(tmp_path, "broken", "import nothing_of_the_kind\n")
    empty = report(tmp_path, "empty", "")
    cut = tmp_path / "cut.xml"
    cut.write_bytes(good.read_bytes()[:40])
    for wrong in (broken, empty, cut, tmp_path / "absent.xml"):
        assert outcome.main([str(good), str(wrong)]) == 1
        assert f"{wrong.stem}: FAILED" in (said := capsys.readouterr().out)
        assert ("  FAILED test_broken\n" in said) == (wrong == broken)
    assert outcome.main([]) == 1
