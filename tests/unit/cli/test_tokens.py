"""`mudroom tokens …` as the owner calls it, beside a real ledger: made once, told once, on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli.command import app
from gateway.config import Config
from gateway.ledger.reader import Reader
from gateway.steward.tokens import Tokens
from tests.unit.cli.test_record import call, home, process  # noqa: F401 # fixtures
from tests.unit.ledger.peers import Process

Capture = pytest.CaptureFixture[str]


def deeds(home: Config) -> list[tuple[str, str]]:  # noqa: F811
    with Reader(home.paths.ledger) as reader:
        return [(deed.type, deed.detail) for deed in reader.deeds()]


def test_a_token_is_told_once_listed_and_revoked(home: Config, process: Process, capsys: Capture) -> None:  # noqa: F811
    secret = call(home, capsys, "tokens", "create", "graphs", "--days", "7").strip()
    made = json.loads(call(home, capsys, "tokens", "create", "lamp script", "--may", "decide", "--days", "0", "--json"))
    assert (made["name"], made["may"], made["days"]) == ("lamp script", "decide", 0)
    kept = Tokens(Path(home.paths.state))
    assert [(each.name, each.may) for each in map(kept.find, (secret, made["token"])) if each] == [
        ("graphs", "read"), ("lamp script", "decide"),
    ]  # fmt: skip
    file = Path(home.paths.state) / "box" / "tokens.json"
    assert file.stat().st_mode & 0o777 == 0o600
    shown = call(home, capsys, "tokens", "list") + call(home, capsys, "tokens", "list", "--json") + file.read_text()
    assert secret not in shown and made["token"] not in shown
    first, second = json.loads(call(home, capsys, "tokens", "list", "--json"))
    assert (first["name"], first["may"], first["over"], first["used"]) == ("graphs", "read", False, "never")
    assert first["ends"] > first["made"] and second["ends"] == "never"
    done = json.loads(call(home, capsys, "tokens", "revoke", "graphs", "--json"))
    assert (done["name"], done["revoked"], done["recorded"]) == ("graphs", True, True)
    assert kept.find(secret) is None and kept.find(made["token"])
    assert "no token of that name" in call(home, capsys, "tokens", "revoke", "graphs", code=2)
    assert deeds(home) == [
        ("revoke-token", "graphs"), ("token", "lamp script: may decide, no end"), ("token", "graphs: may read, 7 days"),
    ]  # fmt: skip
    with Reader(home.paths.ledger) as reader:
        assert all(deed.host.startswith("command of ") for deed in reader.deeds())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("",), "printable characters"),
        (("x" * 41,), "printable characters"),
        (("\x1b[2Jscript",), "printable characters"),
        (("\u202etpircs",), "printable characters"),
        (("script", "--days", "-1"), "--days"),
        (("script", "--days", "3651"), "--days"),
        (("script", "--may", "erase"), "--may"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_made(
    home: Config,  # noqa: F811
    process: Process,  # noqa: F811
    capsys: Capture,
    words: tuple[str, ...],
    said: str,
) -> None:
    told = call(home, capsys, "tokens", "create", *words, code=2)
    assert said in told and "\x1b" not in told and "\u202e" not in told
    assert Tokens(Path(home.paths.state)).all() == () and deeds(home) == []


def test_a_name_is_taken_once(home: Config, process: Process, capsys: Capture) -> None:  # noqa: F811
    call(home, capsys, "tokens", "create", "graphs")
    assert "already" in call(home, capsys, "tokens", "create", "graphs", code=2)
    assert len(Tokens(Path(home.paths.state)).all()) == len(deeds(home)) == 1


def test_without_the_record_no_token_is_made(home: Config, capsys: Capture) -> None:  # noqa: F811
    assert "no answer" in call(home, capsys, "tokens", "create", "graphs", code=1)
    assert Tokens(Path(home.paths.state)).all() == ()


def commands() -> list[tuple[str, Any]]:
    groups: Any = typer.main.get_command(app)
    return [(f"{name} {each}", one) for name in ("tokens", "ledger") for each, one in groups.commands[name].commands.items()]


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda told: told if isinstance(told, str) else "")
def test_each_command_speaks_json_and_helps(name: str, command: Any) -> None:
    assert command.help, name
    options = {option: getattr(each, "help", None) for each in command.params for option in each.opts if option != "--help"}
    assert "--json" in options
    assert [option for option, words in options.items() if not words] == []


def test_the_record_has_a_command_for_what_its_page_does() -> None:
    assert {name for name, _ in commands()} >= {f"ledger {do}" for do in ("search", "export", "verify", "erase")}
