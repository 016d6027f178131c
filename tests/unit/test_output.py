"""What the command prints can never drive the owner's terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.output import plain, show

DANGEROUS = ["\x1b[2J", "\u202ereversed", "\u200bzero", "\x9b31m", "line\nbreak", "\r", "\ufeff", "\u2028"]


@pytest.mark.parametrize("text", DANGEROUS)
def test_control_and_bidi_characters_become_visible(text: str) -> None:
    assert plain(text).isprintable()
    assert "\\u" in plain(text)


@given(st.text())
def test_whatever_comes_is_printable(text: str) -> None:
    assert plain(text).isprintable()


def test_markup_of_a_device_stays_text(capsys: pytest.CaptureFixture[str]) -> None:
    show(("name",), [{"name": "[bold red]alarm[/] [link=https://evil.example]x[/link]"}], as_json=False)
    assert "[bold red]alarm[/]" in capsys.readouterr().out


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    show(("a",), [{"a": "\x1b[2J", "more": 1}], as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"a": "\x1b[2J", "more": 1}]
