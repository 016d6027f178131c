"""The first-start code: made once, claimed once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.box import firststart


def test_it_is_made_once_and_only_root_may_read_it(tmp_path: Path) -> None:
    assert firststart.code(tmp_path) is None
    assert firststart.make(tmp_path)
    code = firststart.code(tmp_path)
    assert code is not None
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}", code)
    assert (tmp_path / "box" / "first-start-code").stat().st_mode & 0o777 == 0o600
    assert not firststart.make(tmp_path)
    assert firststart.code(tmp_path) == code


def test_two_boxes_have_two_codes(tmp_path: Path) -> None:
    codes = set()
    for number in range(50):
        firststart.make(tmp_path / str(number))
        codes.add(firststart.code(tmp_path / str(number)))
    assert len(codes) == 50


def test_a_claimed_box_stays_claimed(tmp_path: Path) -> None:
    firststart.make(tmp_path)
    code = firststart.code(tmp_path) or ""
    assert not firststart.claim(tmp_path, code[:-1] + ("0" if code[-1] != "0" else "1"))
    assert firststart.code(tmp_path) == code
    assert firststart.claim(tmp_path, code)
    assert firststart.code(tmp_path) is None
    assert not firststart.claim(tmp_path, code)
    assert not firststart.make(tmp_path)


@pytest.mark.parametrize("said", ["", "-", "é" * 20, "\udc80"])
def test_what_is_no_code_claims_nothing(tmp_path: Path, said: str) -> None:
    assert not firststart.claim(tmp_path, said)  # before there is one: the empty word is not it
    firststart.make(tmp_path)
    assert not firststart.claim(tmp_path, said)


def test_it_may_be_read_back_as_people_do(tmp_path: Path) -> None:
    firststart.make(tmp_path)
    (tmp_path / "box" / "first-start-code").write_text("01ABC-00000-11111-ZZZZZ\n")
    assert firststart.claim(tmp_path, "oiabc ooooo-LlIi1 zzzzz")


def test_a_look_at_the_code_claims_nothing(tmp_path: Path) -> None:
    assert not firststart.matches(tmp_path, "")
    firststart.make(tmp_path)
    code = firststart.code(tmp_path) or ""
    assert firststart.matches(tmp_path, code.lower())
    assert firststart.code(tmp_path) == code


def test_an_owner_at_the_console_gets_another_code(tmp_path: Path) -> None:
    firststart.make(tmp_path)
    old = firststart.code(tmp_path) or ""
    firststart.claim(tmp_path, old)
    firststart.again(tmp_path)
    new = firststart.code(tmp_path)
    assert new and new != old
    assert not firststart.claim(tmp_path, old)
    assert firststart.claim(tmp_path, new)
