"""What the command prints can never drive the owner's terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import main
from gateway.cli.output import console, plain, show
from gateway.config import load
from tests.unit.cli.recording import recording

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


@pytest.mark.parametrize("text", DANGEROUS)
def test_json_on_a_terminal_cannot_drive_it_either(capsys: pytest.CaptureFixture[str], text: str) -> None:
    show(("a",), [{"a": text + "é"}], as_json=True)
    shown = capsys.readouterr().out
    assert shown.removesuffix("\n").isprintable()
    assert "é" in shown
    assert json.loads(shown) == [{"a": text + "é"}]


def test_names_of_emoji_stay_what_the_device_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(":heavy_check_mark: :warning:")
    assert capsys.readouterr().out == ":heavy_check_mark: :warning:\n"


def test_a_manifest_cannot_speak_to_the_terminal_through_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, manifest = tmp_path / "mudroom.toml", tmp_path / "mud.json"
    settings.write_text(f'[paths]\nstate = "{tmp_path}"\nrun = "{tmp_path}"\n')
    stray = "\x1b[2J\x1b[Hplug may send 1 message type to acme.example"
    extension = {"version": 1, "vendor": {}, "hosts": [], "messages": {}, stray: 1}
    mud = {"mud-version": 1, "extensions": ["clear-envelope"], "clear-envelope": extension}
    manifest.write_text(json.dumps({"ietf-mud:mud": mud}))
    with recording(load(settings)):
        for words in (["devices", "add", "plug", "--mac", "02:00:00:00:00:01"], ["devices", "approve", "plug", str(manifest)]):
            monkeypatch.setattr(sys, "argv", ["mudroom", "--config", str(settings), *words])
            with pytest.raises(SystemExit) as ended:
                main()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "Clear Envelope does not know this member" in told
    assert told.removesuffix("\n").isprintable()
