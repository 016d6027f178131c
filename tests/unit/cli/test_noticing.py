"""`mudroom notices`: once each where asked so, to the owner's program, to a system in his house and nowhere else."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.config import load
from gateway.ledger.batch import Batch, Tally
from gateway.ledger.store import Quotas, Store
from gateway.reasons import Reason
from gateway.registry import Device, Kind, RegistryFile

STRANGER = "02:00:00:00:00:99"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which a stranger came."""
    settings = tmp_path / "mudroom.toml"
    settings.write_text(f'[paths]\nstate = "{tmp_path}/state"\nrun = "{tmp_path}/run"\n[dmz]\ntrunk = "port1"\n')
    monkeypatch.setenv("MUDROOM_CONFIG", str(settings))
    config = load()
    with RegistryFile(config.paths.registry).change() as change:
        change.admit(Device(id="plug", name="Plug", kind=Kind.LOCAL, mac="02:00:00:00:00:01"))
    store = Store(config.paths.ledger, Quotas(1000, 10**9, 1000, 1000))
    store.open()
    came = time.time_ns() - 60 * 10**9
    key = (STRANGER, Reason.UNKNOWN_DEVICE.code, "tcp", "203.0.113.9", 443, "kernel")
    store.commit(Batch(attempts={key: Tally(3, came, came)}))
    store.close()
    return tmp_path


def call(*words: str) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mudroom", "notices", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code


def rows(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, str]]:
    assert call("--json", *words) == 0
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    return found


def test_new_ones_are_told_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [row["device"] for row in rows(capsys)] == [STRANGER]
    assert [row["device"] for row in rows(capsys, "--new")] == [STRANGER]
    assert rows(capsys, "--new") == []
    assert [row["device"] for row in rows(capsys)] == [STRANGER], "without --new all is shown"
    assert (home / "state" / "box" / "told.json").stat().st_mode & 0o777 == 0o600


def test_a_program_of_the_owners(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = home / "tell"
    program.write_text(f"#!/bin/sh\ncat >> {home}/told; env > {home}/env\n")
    program.chmod(0o755)
    rows(capsys, "--new", "--hook", str(program))
    rows(capsys, "--new", "--hook", str(program))
    assert json.loads((home / "told").read_text())["kind"] == "newcomer"
    assert "MUDROOM_CONFIG" not in (home / "env").read_text()


def test_what_did_not_arrive_is_told_again(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = home / "tell"
    program.write_text("#!/bin/sh\necho 'no bell' >&2\nexit 4\n")
    program.chmod(0o755)
    assert call("--new", "--hook", str(program)) == 1
    assert "exit 4: no bell" in capsys.readouterr().err
    assert len(rows(capsys, "--new")) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://203.0.113.9/",
        "https://127.0.0.1/",
        "http://hub.lan/",
        "http://u:p@127.0.0.1/",
        "http://127.1.0.1/",
        "ftp://127.0.0.1/",
    ],
)
def test_nothing_leaves_the_house(home: Path, capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert call("--url", url) == 2
    assert "LAN" in (said := capsys.readouterr().err) or "not a name" in said
