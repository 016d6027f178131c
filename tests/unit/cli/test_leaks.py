"""`mudroom leaks` and what the owner says of budgets and slots."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.config import load
from gateway.ledger.batch import Batch
from gateway.ledger.leaks import total
from gateway.ledger.reader import Reader
from gateway.ledger.store import Quotas, Store
from gateway.registry import Device, Kind, RegistryFile
from gateway.standard.envelope import outgoing, sent_at
from gateway.standard.judge import Judge
from tests.unit.ledger.peers import submit

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plug that sent three messages today."""
    import msgspec

    settings = tmp_path / "mudroom.toml"
    settings.write_text(f'[paths]\nstate = "{tmp_path}/state"\nrun = "{tmp_path}/run"\n[dmz]\ntrunk = "port1"\n')
    monkeypatch.setenv("MUDROOM_CONFIG", str(settings))
    config = load()
    with RegistryFile(config.paths.registry).change() as change:
        change.admit(Device(id="plug", name="Plug", kind=Kind.LOCAL, mac="02:00:00:00:00:01"))
        change.admit(Device(id="lamp", name="Lamp", kind=Kind.LOCAL, mac="02:00:00:00:00:02"))
        document = (SAMPLES / "acme.mud.json").read_bytes()
        manifest = change.approve("plug", document, config.dmz.pool_ipv4, config.dmz.pool_ipv6)
    store = Store(config.paths.ledger, Quotas(1000, 10**9, 1000, 1000))
    store.open()
    message = Judge(manifest).from_device("api.acme.example", "power-reading", (SAMPLES / "acme.message.json").read_bytes())
    now = time.time_ns()
    for number in range(3):
        body = outgoing(message, manifest, id=f"m-{number:08d}", sent=sent_at(now), device="d-1")
        record = submit(number, device="plug", type_="power-reading", received=now, bits=100)
        store.commit(Batch(submits=[msgspec.structs.replace(record, outgoing=body)]))
    store.close()
    return tmp_path


def call(*words: str) -> object:
    """The command's exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mudroom", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    code = call(*words)
    found = capsys.readouterr()
    assert code in (0, None), found.err
    return found.out


def test_all_devices_in_one_table(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = json.loads(told(capsys, "leaks", "--json"))
    assert row["device"] == "plug"
    assert row["messages_today"] == 3
    assert 300 < row["spent_today"] < 350
    assert row["left"] == row["budget"] - row["spent_today"]
    assert row["most_in_a_day"] > row["budget"]


def test_a_day_of_several_types_is_rounded_up_once_as_the_budget_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load()
    store = Store(config.paths.ledger, Quotas(1000, 10**9, 1000, 1000))
    store.open()
    now = time.time_ns()
    # each type once more than the last: types alike may all stand at nearly a whole bit, and nothing would be rounded up
    many = [number for number in range(12) for _ in range(number + 1)]
    for count, number in enumerate(many):
        store.commit(Batch(submits=[submit(10 + count, device="plug", type_=f"other-{number}", received=now, bits=1)]))
    store.close()
    with Reader(config.paths.ledger) as reader:
        account = {row.type: row.spent for row in reader.leaks("plug", days=1)}
    assert len(account) == 13
    (row,) = json.loads(told(capsys, "leaks", "--json"))
    assert row["spent_today"] == total(account) < sum(total({name: spent}) for name, spent in account.items())


def test_one_device_field_by_field(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = json.loads(told(capsys, "leaks", "plug", "--json"))
    reading = next(one for one in row["types"] if one["type"] == "power-reading")
    assert (reading["slot_seconds"], reading["paced"], reading["looked_at"]) == (1.0, True, 3)
    power: dict[str, Any] = next(field for field in reading["fields"] if field["pointer"] == "/power")
    assert (power["most"], power["usual"]) == (15.2, 15.2)
    assert reading["usual"] == pytest.approx(sum(field["usual"] for field in reading["fields"]), abs=1)
    assert row["days"][0]["in_values"] == 300


def test_in_words(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "leaks", "plug")
    assert "could hide" in text
    assert "36,801 steps of 0.1 W from 0 to 3680" in text
    assert "less by: an enum instead of text, or a shorter maxLength" in text


def test_the_owner_sets_budget_and_pace(home: Path, recorded: None, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "devices", "budget", "plug", "5000")
    told(capsys, "devices", "pace", "plug", "10")
    (row,) = json.loads(told(capsys, "leaks", "plug", "--json"))
    assert (row["budget"], row["types"][0]["slot_seconds"]) == (5000, 10.0)
    told(capsys, "devices", "pace", "plug", "off")
    told(capsys, "devices", "budget", "plug", "default")
    (row,) = json.loads(told(capsys, "leaks", "plug", "--json"))
    assert (row["budget"], row["types"][0]["paced"]) == (262_144, False)


@pytest.mark.parametrize(
    "words",
    [
        ("devices", "budget", "plug", "-1"),
        ("devices", "budget", "plug", "1e9"),
        ("devices", "budget", "plug", "\uff19"),
        ("devices", "budget", "nobody", "1"),
        ("devices", "pace", "plug", "0"),
        ("devices", "pace", "plug", "nan"),
        ("devices", "pace", "plug", "7200"),
        ("leaks", "nobody"),
    ],
)
def test_nonsense_is_refused(home: Path, words: tuple[str, ...]) -> None:
    assert call(*words) in (1, 2)
