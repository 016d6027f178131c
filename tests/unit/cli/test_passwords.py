"""`mudroom password`: at the console, without echo, and never an argument."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.box import firststart
from gateway.cli.command import app
from gateway.steward.passwords import Passwords

OWNER, GUEST = "the boots stand by the door", "what the children may see"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "mudroom.toml"
    file.write_text(f'[paths]\nstate = "{tmp_path}/state"\nrun = "{tmp_path}/run"\n')
    return file


def run(settings: Path, *words: str, typed: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["--config", str(settings), "password", *words], input=typed)
    return done.exit_code, done.output


def test_the_owner_sets_one_and_the_box_has_an_owner_then(settings: Path) -> None:
    state = settings.parent / "state"
    firststart.make(state)
    code, said = run(settings, "set", typed=f"{OWNER}\n{OWNER}\n")
    assert code == 0 and OWNER not in said
    assert Passwords(state).role(OWNER) == "owner"
    assert firststart.code(state) is None, "nobody else can begin with the code on the screen"
    assert run(settings, "set", "--household", typed=f"{GUEST}\n{GUEST}\n")[0] == 0
    assert Passwords(state).role(GUEST) == "household"


def test_a_weak_one_is_refused_in_words(settings: Path) -> None:
    code, said = run(settings, "set", typed="short\nshort\n")
    assert code == 2 and "at least 10 characters" in said
    assert Passwords(settings.parent / "state").marks() == {}


def test_a_reset_removes_both_and_shows_a_new_code(settings: Path) -> None:
    state = settings.parent / "state"
    firststart.make(state)
    old = firststart.code(state)
    run(settings, "set", typed=f"{OWNER}\n{OWNER}\n")
    run(settings, "set", "--household", typed=f"{GUEST}\n{GUEST}\n")
    code, said = run(settings, "reset")
    assert code == 0
    assert Passwords(state).marks() == {}
    new = firststart.code(state)
    assert new and new != old and new not in said, "the code is for the console's screen"
