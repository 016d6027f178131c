"""`mudroom rules`, as its owner calls it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli.checks import Box, rules
from gateway.config import load
from gateway.ipc.messages import Refused
from gateway.ledger.batch import Batch
from gateway.ledger.store import Quotas, Store
from gateway.reasons import Reason
from gateway.registry import Device, Kind, RegistryFile
from gateway.rules import Plans, RulesFolder
from gateway.standard.envelope import Message, outgoing, sent_at
from gateway.standard.judge import Judge
from tests.unit.cli.recording import recording
from tests.unit.cli.test_leaks import call
from tests.unit.ledger.peers import submit

SAMPLES = Path(__file__).parents[2] / "samples"
MESSAGE = (SAMPLES / "acme.message.json").read_bytes()
HOST = "api.acme.example"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plug that sent three messages today, and one that a rule refused."""
    settings = tmp_path / "mudroom.toml"
    folders = f'state = "{tmp_path}/state"\nrun = "{tmp_path}/run"\npolicy = "{tmp_path}/policy.d"'
    settings.write_text(f'[paths]\n{folders}\n[dmz]\ntrunk = "port1"\n')
    monkeypatch.setenv("MUDROOM_CONFIG", str(settings))
    config = load()
    with RegistryFile(config.paths.registry).change() as change:
        change.admit(Device(id="plug", name="Plug", kind=Kind.LOCAL, mac="02:00:00:00:00:01"))
        change.approve("plug", (SAMPLES / "acme.mud.json").read_bytes(), config.dmz.pool_ipv4, config.dmz.pool_ipv6)
    record(tmp_path, 1)
    return tmp_path


def record(home: Path, first: int, power: bytes = b"61.4") -> None:
    """Three messages under the rules of now, as the door has them recorded, and one refusal."""
    config = load()
    known = RegistryFile(config.paths.registry).current()
    manifest = known.manifest_of(known.by_id["plug"])
    assert manifest is not None
    plan = Plans(RulesFolder(config.paths.rules)).plan(known.by_id["plug"], manifest, manifest.messages["power-reading"])
    store = Store(config.paths.ledger, Quotas(1000, 10**9, 1000, 1000))
    store.open()
    original = MESSAGE.replace(b"61.4", power)
    message = Judge(manifest).from_device(HOST, "power-reading", original)
    now = time.time_ns()
    for number in range(first, first + 3):
        withheld: tuple[str, ...] = ()
        payload, words = message.payload, ""
        if plan is not None:
            from gateway.policy.plan import recorded
            from gateway.rules import local_moment

            ruled = plan.apply(message.payload, local_moment(now))
            payload, withheld, words = ruled.payload, plan.withheld, recorded(ruled.decisions)
        left = Message(message.type, message.host, payload)
        body = outgoing(left, manifest, id=f"m-{number:08d}", sent=sent_at(now), device="d-1", withheld=withheld)
        made = submit(number, device="plug", host=HOST, type_="power-reading", received=now)
        made = msgspec.structs.replace(made, original=original, outgoing=body, withheld=withheld, rules=words)
        assert store.commit(Batch(submits=[made])) != [Reason.LEDGER_UNAVAILABLE]
    refused = Refused("plug", HOST, "power-reading", Reason.RULE_DENIED.code, "rule night says deny", (), now, original)
    store.commit(Batch(refusals=[refused]))
    store.close()


def said(capsys: pytest.CaptureFixture[str], *words: str, code: object = 0) -> Any:
    """What the command prints as JSON."""
    capsys.readouterr()
    assert call("rules", *words, "--json") == code
    return json.loads(capsys.readouterr().out)


def test_the_owner_s_simple_words(home: Path, recorded: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("rules", "withhold", "plug", "power-reading", "/payload/label") == 0
    assert "plug in power-reading: /payload/label is withheld" in capsys.readouterr().out
    assert call("rules", "coarsen", "plug", "power-reading", "/payload/power", "--step", "50", "--note", "my kettle") == 0
    assert call("rules", "coarsen", "any", "any", "/payload/measured", "--grain", "hour", "--name", "hours") == 0
    assert call("rules", "replace", "plug", "any", "/payload/source", "app") == 0
    assert call("rules", "replace", "plug", "any", "/payload/on", "true") == 0
    assert call("rules", "deny", "plug", "alarm") == 0
    assert call("rules", "allow", "plug", "power-reading", "/payload/voltage") == 0
    rows = said(capsys, "list")
    assert [(row["name"], row["do"]) for row in rows] == [
        ("plug-power-reading-voltage-allow", "allow"),
        ("plug-alarm-deny", "deny"),
        ("plug-any-on-replace", "replace"),
        ("plug-any-source-replace", "replace"),
        ("hours", "coarsen"),
        ("plug-power-reading-power-coarsen", "coarsen"),
        ("plug-power-reading-label", "withhold"),
    ]
    assert rows[2]["does"] == "plug: /payload/on is replaced by true"
    assert rows[5]["note"] == "my kettle"
    assert said(capsys, "check") == []
    assert call("rules", "remove", "hours") == 0
    assert "hours" not in [row["name"] for row in said(capsys, "list")]


def test_what_cannot_be_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("rules", "withhold", "lamp", "any", "/payload/a") == 2
    assert "no device lamp" in capsys.readouterr().err
    assert call("rules", "withhold", "plug", "any", "label") == 1
    assert "50-owner.toml, line 3" in capsys.readouterr().err
    assert call("rules", "remove", "nothing") == 1
    assert call("rules", "withhold", "plug", "any", "/payload/lable") == 0
    assert "declared by none" in capsys.readouterr().out


def test_check_says_what_is_wrong_and_what_is_doubtful(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "policy.d"
    assert said(capsys, "check") == []
    folder.mkdir()
    (folder / "a.toml").write_text(
        '[[rule]]\nname = "typo"\ndevice = "plgu"\ndo = "deny"\n'
        '[[rule]]\nname = "down"\ntype = "switch"\ndo = "deny"\n'
        '[[rule]]\nname = "home"\nfield = "/payload/label"\npresence = "home"\ndo = "withhold"\n'
        '[[rule]]\nname = "hours"\nbetween = ["22:00", "06:00"]\ndo = "deny"\n'
        '[[rule]]\nname = "value"\nfield = "/payload/label"\nvalue_of = "/payload/on"\nvalue = true\ndo = "withhold"\n'
        '[[rule]]\nname = "theirs"\nfield = "/payload/label"\npurpose = "app"\ndo = "allow"\n'
        '[[rule]]\nname = "shut"\nvalue_of = "/payload/power"\nabove = 3000\ndo = "quarantine"\n'
        '[[rule]]\nname = "first"\nfield = "/payload/voltage"\ndo = "withhold"\n'
        '[[rule]]\nname = "second"\ndevice = "plug"\nfield = "/payload/voltage"\ndo = "allow"\n'
    )
    (folder / "b.tml").write_text("forgotten")
    rows = said(capsys, "check")
    by_rule = {name: " / ".join(row["says"] for row in rows if row["rule"] == name) for name in {row["rule"] for row in rows}}
    assert "matches no message" in by_rule["typo"]
    assert "vendors send" in by_rule["down"]
    assert "TELLS THE VENDOR WHO IS AT HOME" in by_rule["home"]
    assert "always matches" in by_rule["home"]
    assert "which hours" in by_rule["hours"]
    assert "charged in full" in by_rule["value"]
    assert "its vendor decides" in by_rule["theirs"]
    assert "mudroom devices quarantine" in by_rule["shut"]
    assert by_rule["second"] == 'never decides: "first" stands before it and matches whatever it matches'
    assert "first" not in by_rule
    assert "b.tml: not read" in by_rule[""]
    assert not any(row["wrong"] for row in rows)
    (folder / "c.toml").write_text('[[rule]]\nname = "q"\nfield = "/payload/power"\ndo = "coarsen"\nstep = 0.25\n')
    wrong = [row["says"] for row in said(capsys, "check", code=3) if row["wrong"]]
    assert len(wrong) == 1
    assert 'power-reading of plug is refused, because a rule does not fit it: rule "q" (c.toml, line 1)' in wrong[0]
    assert [finding.severity.value for finding in rules(Box(load()))] == ["wrong", "notice"]
    (folder / "c.toml").write_text("[[rule]\n")
    assert said(capsys, "check", code=3)[0]["says"].startswith("c.toml: not TOML")
    (finding,) = rules(Box(load()))
    assert "c.toml: not TOML" in finding.says
    (folder / "c.toml").write_text("# mended\n")
    (folder / "c.toml").chmod(0o600)
    assert "c.toml: the gateway's processes cannot read it" in [r["says"] for r in said(capsys, "check", code=3)][-1]


def test_a_file_is_checked_before_it_is_in_the_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = home / "new.toml"
    new.write_text('[[rule]]\nname = "x"\ndo = "drop"\n')
    assert "new.toml, line 1" in said(capsys, "check", str(new), code=3)[0]["says"]
    assert said(capsys, "check") == []


def test_explain_says_which_rule_decided_each_field(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with recording(load()):
        call("rules", "withhold", "plug", "any", "/payload/label", "--name", "no-label")
        call("rules", "coarsen", "plug", "any", "/payload/power", "--step", "50", "--name", "rough")
    record(home, 10)
    rows = {row["field"]: row for row in said(capsys, "explain", "m-00000011")}
    assert rows["/payload/label"] == {
        "field": "/payload/label", "sent": '"Reading lamp, living room"', "left": "", "rule": "no-label", "did": "withhold",
    }  # fmt: skip
    assert rows["/payload/power"] == {
        "field": "/payload/power", "sent": "61.4", "left": "50", "rule": "rough", "did": "coarsen",
    }  # fmt: skip
    assert rows["/payload/on"]["did"] == "no rule: allow"
    with recording(load()):
        call("rules", "remove", "no-label")
    assert {row["field"]: row for row in said(capsys, "explain", "m-00000011")} == rows, "as it was when the message came"
    (refused,) = said(capsys, "explain", "4")
    assert refused == {"reason": "rule-denied", "detail": "rule night says deny", "device": "plug"}
    assert call("rules", "explain", "nothing") == 2
    assert call("rules", "explain", "99999") == 2


def test_lists_of_messages_show_what_was_withheld_and_by_which_rule(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("rules", "withhold", "plug", "any", "/payload/label", "--name", "no-label")
    record(home, 10)
    capsys.readouterr()
    assert call("messages", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["withheld"], row["rules"]) for row in rows[::3]] == [("/payload/label", "no-label"), ("", "")]
    assert call("leaks", "plug", "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)
    reading = next(one for one in document["types"] if one["type"] == "power-reading")
    assert reading["looked_at"] == 6, "what lacks a withheld field counts, too"


def test_try_shows_what_would_have_changed_and_changes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = home / "new.toml"
    new.write_text(
        '[[rule]]\nname = "rough"\nfield = "/payload/power"\ndo = "coarsen"\nstep = 50\n'
        '[[rule]]\nname = "no-on"\nfield = "/payload/on"\ndo = "withhold"\n'
        '[[rule]]\nname = "later"\ndo = "delay"\nseconds = 60\n'
    )
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    (document,) = said(capsys, "try", str(new), "--since", "1h")
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and path in before} == before
    assert (document["messages"], document["skipped"]) == (4, 0), "what a rule refused is tried, too"
    assert document["bits_now"] > document["bits_then"] > 0
    changes = {change["place"]: (change["messages"], change["now"], change["then"]) for change in document["changes"]}
    assert changes == {
        "the message": (4, "leaves", "60 s later"),
        "/payload/power": (4, "61.4", "50"),
        "/payload/on": (4, "true", ""),
    }
    assert said(capsys, "list") == []


def test_try_without_a_rule_that_holds(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("rules", "withhold", "plug", "power-reading", "/payload/power", "--name", "no-power") == 0
    capsys.readouterr()
    (document,) = said(capsys, "try", "--without", "no-power")
    changes = {change["place"]: (change["now"], change["examples"]) for change in document["changes"]}
    assert changes["/payload/power"] == ("", [["", "61.4"]])
    assert [row["name"] for row in said(capsys, "list")] == ["no-power"]
    assert call("rules", "try", "--without", "nothing") == 2


def test_try_with_rules_that_deny_do_not_fit_or_look_at_values(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(home, 20, b"3000")
    new = home / "new.toml"
    new.write_text('[[rule]]\nname = "high"\nvalue_of = "/payload/power"\nabove = 2000\ndo = "deny"\n')
    (document,) = said(capsys, "try", str(new))
    assert [(change["messages"], change["then"]) for change in document["changes"]] == [
        (4, "refused: rule high (new.toml, line 1) says deny")
    ]
    new.write_text('[[rule]]\nname = "q"\nfield = "/payload/power"\ndo = "coarsen"\nstep = 0.25\n')
    (document,) = said(capsys, "try", str(new))
    assert document["changes"][0]["messages"] == 8
    assert document["bits_then"] == 0
    new.write_text("[[rule]\n")
    assert call("rules", "try", str(new)) == 1
    assert call("rules", "try", str(home / "absent.toml")) == 1
    for wrong in ("7", "d", "x7d", "7w", "\u0667d"):
        assert call("rules", "try", str(new), "--since", wrong) in {1, 2}


def test_a_door_that_was_taken_over_cannot_stop_the_list(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(load().paths.ledger, Quotas(1000, 10**9, 1000, 1000))
    store.open()
    for number, words in enumerate(("{", "[1]", '[{"rule": 1}]', "[" * 1000, '"\u202e"'), 50):
        store.commit(Batch(submits=[msgspec.structs.replace(submit(number, device="plug"), rules=words, original=b"[" * 60_000)]))
    store.close()
    capsys.readouterr()
    assert call("messages", "--json") == 0
    assert [row["rules"] for row in json.loads(capsys.readouterr().out)][:5] == ["(unreadable)"] * 5
    for number in range(50, 55):
        assert said(capsys, "explain", f"m-{number:08d}")[0]["rule"] == "(unreadable)"
