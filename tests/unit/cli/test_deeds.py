"""What the command decides is on record first; and what happens while nothing can be recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import Config, load
from gateway.registry import Kind, RegistryFile
from tests.unit.cli.recording import deeds, recording
from tests.unit.cli.test_manifests import ACME, Call

MAC = "02:00:00:00:00:01"


@pytest.fixture
def config(tmp_path: Path, call: Call) -> Config:
    """Settings with rules in a folder of the test's."""
    (tmp_path / "mudroom.toml").write_text(f'[paths]\nstate = "{tmp_path}"\nrun = "{tmp_path}"\npolicy = "{tmp_path}/policy.d"\n')
    return load(tmp_path / "mudroom.toml")


@pytest.fixture
def plug(config: Config, call: Call) -> Config:
    """A device with an approved manifest, and one that waits."""
    with recording(config):
        for words in (("add", "plug", "--mac", MAC), ("approve", "plug", ACME, "--unsigned"), ("budget", "plug", "1000")):
            assert call("devices", *words)[0] == 0
        wider = Path(config.paths.state, "wider.json")
        wider.write_text(ACME.read_text().replace("3680", "4000"))
        assert call("manifest", "offer", "plug", wider)[0] == 3
    return config


def test_each_decision_is_on_record_with_who_decided(plug: Config, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ada")
    with recording(plug):
        for words in (
            ("devices", "pace", "plug", "60"),
            ("manifest", "refuse", "plug"),
            ("rules", "withhold", "plug", "any", "/payload/label", "--name", "no-label"),
            ("rules", "remove", "no-label"),
            ("devices", "kind", "plug", "quarantined"),
            ("devices", "forget", "plug"),
        ):
            assert call(*words)[0] == 0, words
    rows = [(row.type, row.device, row.host) for row in reversed(deeds(plug))]
    root, ada = "command of root", "command of ada"
    assert rows == [
        ("admit", "plug", root), ("approve", "plug", root), ("budget", "plug", root), ("offer", "plug", root),
        ("pace", "plug", ada), ("decline", "plug", ada), ("rule", "plug", ada), ("rule remove", "", ada),
        ("kind", "plug", ada), ("forget", "plug", ada),
    ]  # fmt: skip


def test_it_is_on_record_before_it_is_carried_out(plug: Config, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    write = RegistryFile._write
    monkeypatch.setattr(RegistryFile, "_write", lambda self, new: (seen.append(deeds(plug)[0].type), write(self, new)))
    with recording(plug):
        assert call("devices", "kind", "plug", "quarantined")[0] == 0
    assert seen == ["kind"]


@pytest.mark.parametrize(
    "words",
    [
        ("devices", "add", "lamp", "--mac", "02:00:00:00:00:02"),
        ("devices", "approve", "plug", "--unsigned"),
        ("devices", "pair", "plug", "MUDR-OOMS-AFEB-OOTS-23"),
        ("devices", "budget", "plug", "1001"),
        ("devices", "pace", "plug", "off"),
        ("rules", "allow", "plug", "any", "/payload/label"),
        ("rules", "coarsen", "plug", "any", "/payload/power", "--step", "5"),
        ("claim", "plug", "K-1"),
        ("ledger", "erase", "--device", "plug", "--yes"),
    ],
    ids=" ".join,
)
def test_what_gives_is_not_done_while_nothing_can_be_recorded(plug: Config, call: Call, words: tuple[str, ...]) -> None:
    before = plug.paths.registry.read_bytes()
    code, _, err = call(*words)
    assert code == 1 and "could not be recorded" in err
    assert plug.paths.registry.read_bytes() == before
    assert not list(plug.paths.rules.glob("*.toml"))


@pytest.mark.parametrize(
    ("words", "held"),
    [
        (("devices", "kind", "plug", "quarantined"), lambda c: device(c).kind is Kind.QUARANTINED),
        (("devices", "kind", "plug", "local"), lambda c: device(c).kind is Kind.LOCAL),
        (("devices", "forget", "plug"), lambda c: not RegistryFile(c.paths.registry).current().by_id),
        (("devices", "budget", "plug", "999"), lambda c: device(c).bits_per_day == 999),
        (("devices", "pace", "plug", "60"), lambda c: device(c).slot_seconds == 60),
        (("manifest", "refuse", "plug"), lambda c: device(c).waiting is None),
        (("rules", "deny", "plug", "any"), lambda c: len(list(c.paths.rules.glob("*.toml"))) == 1),
        (("rules", "withhold", "plug", "any", "/payload/label"), lambda c: len(list(c.paths.rules.glob("*.toml"))) == 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_takes_is_done_loudly_while_nothing_can_be_recorded(
    plug: Config, call: Call, words: tuple[str, ...], held: Callable[[Config], bool]
) -> None:
    code, _, err = call(*words)
    assert code == 0 and "NOT ON RECORD: " in err and "no answer" in err
    assert held(plug)


def device(config: Config) -> object:
    return RegistryFile(config.paths.registry).current().by_id["plug"]


def test_revoking_is_possible_at_any_time(plug: Config, call: Call) -> None:
    from gateway.registry import Certificate

    with RegistryFile(plug.paths.registry).change() as change:
        change.add_certificate("plug", Certificate("abc", 2**40))
    code, out, err = call("devices", "revoke", "plug")
    assert code == 0 and "1 certificates of plug are revoked" in out and "NOT ON RECORD: revoke of plug" in err


def test_what_makes_no_sense_and_what_changes_nothing_is_no_deed(plug: Config, call: Call) -> None:
    with recording(plug):
        before = len(deeds(plug))
        for words, code in (
            (("devices", "kind", "nobody", "local"), 1), (("devices", "kind", "plug", "standard"), 0),
            (("devices", "approve", "plug"), 2), (("devices", "add", "other", "--mac", MAC), 1),
            (("rules", "remove", "nothing"), 1), (("rules", "withhold", "plug", "any", "label"), 1),
        ):  # fmt: skip
            assert call(*words)[0] == code, words
        assert len(deeds(plug)) == before


def test_the_deeds_are_listed(plug: Config, call: Call) -> None:
    with recording(plug):
        assert call("devices", "add", "lamp", "--mac", "02:00:00:00:00:02")[0] == 0
    rows = json.loads(call("deeds", "--json", "--device", "plug", "--limit", "2")[1])
    assert [(row["what"], row["device"], row["by"]) for row in rows] == [
        ("offer", "plug", "command of root"), ("budget", "plug", "command of root"),
    ]  # fmt: skip
    assert rows[1]["detail"] == "1000" and isinstance(rows[1]["at"], int)
    code, out, _ = call("deeds")
    assert code == 0 and "lamp" in out
