"""`mudroom password`: at the console, without echo, and never an argument."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.box import firststart
from gateway.cli.command import app
from gateway.config import load
from gateway.steward.passwords import Passwords
from tests.unit.cli.recording import deeds, recording

OWNER, GUEST = "the boots stand by the door", "what the children may see"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "mudroom.toml"
    file.write_text(f'[paths]\nstate = "{tmp_path}/state"\nrun = "{tmp_path}/run"\n')
    (tmp_path / "state").mkdir()
    return file


def run(settings: Path, *words: str, typed: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["--config", str(settings), "password", *words], input=typed)
    return done.exit_code, done.output


def test_the_owner_sets_one_and_the_box_has_an_owner_then(settings: Path, recorded: None) -> None:
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


def test_the_household_s_is_removed(settings: Path, recorded: None) -> None:
    Passwords(settings.parent / "state").put("household", GUEST)
    assert run(settings, "remove")[0] == 0
    assert Passwords(settings.parent / "state").marks() == {}


def test_what_is_set_is_on_record_without_the_password(settings: Path) -> None:
    with recording(load(settings)):
        run(settings, "set", typed=f"{OWNER}\n{OWNER}\n")
        assert run(settings, "set", "--household", typed=f"{OWNER}\n{OWNER}\n")[0] == 2, "the same for both"
        run(settings, "set", "--household", typed=f"{GUEST}\n{GUEST}\n")
        run(settings, "reset")
    found = deeds(load(settings))
    assert [(row.type, row.host, row.detail) for row in found] == [
        (what, "command of root", "") for what in ("password-reset", "household", "password")
    ]
    assert OWNER not in str(found) and GUEST not in str(found)


def test_a_box_that_cannot_record_sets_none_and_can_be_reset_all_the_same(settings: Path) -> None:
    """For whoever lost his password while the disk is full: the one way back."""
    Passwords(settings.parent / "state").put("household", GUEST)
    code, said = run(settings, "set", typed=f"{OWNER}\n{OWNER}\n")
    assert code == 1 and set(Passwords(settings.parent / "state").marks()) == {"household"}
    code, said = run(settings, "reset")
    assert code == 0 and "NOT ON RECORD: password-reset of the house" in said
    assert Passwords(settings.parent / "state").marks() == {}


def test_a_reset_removes_both_and_shows_a_new_code(settings: Path, recorded: None) -> None:
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
