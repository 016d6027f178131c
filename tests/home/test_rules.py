"""The owner's rules in the whole home: what is withheld does not arrive, the vendor is told, and what it then says is heard."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.home.client import Done, Here, eventually, mudroom, order, status_of
from tests.home.lab import layout

FOLDER = layout.STATE / "state" / "policy.d"
DEVICE = "device-1"
PROBLEM = {
    "type": "urn:mudroom:refusal:required-withheld",
    "title": "The service needs this field",
    "status": 422,
    "detail": "Without the power no meter can be shown",
    "pointers": ["/payload/power"],
}


@pytest.fixture(autouse=True)
def no_rules_afterwards(here: Here) -> Iterator[None]:
    """Other tests find a home without rules."""
    assert not FOLDER.exists() or not list(FOLDER.glob("*.toml"))
    yield
    for path in FOLDER.glob("*"):
        path.unlink()


@pytest.fixture
def vendor(here: Here) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Makes Acme answer otherwise."""
    file = layout.RUN / "vendors" / "acme" / "behaviour.json"

    def behave(behaviour: dict[str, Any]) -> None:
        file.write_text(json.dumps(behaviour))

    yield behave
    file.unlink(missing_ok=True)


def say(here: Here) -> tuple[Done, dict[str, Any]]:
    """Device 1 sends its message; what curl saw and the envelope that arrived."""
    before = len(here.received("acme"))
    done = here.curl(1)
    (request,) = here.received("acme")[before:]
    envelope: dict[str, Any] = json.loads(request["body"])
    return done, envelope


def rules(*words: str) -> Any:
    return json.loads(mudroom("rules", *words, "--json"))


def test_a_withheld_field_does_not_arrive_and_the_vendor_s_refusal_does(
    here: Here, vendor: Callable[[dict[str, Any]], None]
) -> None:
    _, envelope = say(here)
    assert envelope["withheld"] == []
    assert "power" in envelope["payload"]
    mudroom("rules", "withhold", DEVICE, "power-reading", "/payload/power", "--name", "no-power")
    mudroom("rules", "coarsen", DEVICE, "power-reading", "/payload/voltage", "--step", "10", "--name", "rough")
    done, envelope = say(here)
    assert 200 <= status_of(done) < 300
    assert "power" not in envelope["payload"], "the very next message leaves without it"
    assert envelope["payload"]["voltage"] == 230
    assert envelope["withheld"] == ["/payload/power"]

    vendor({"status": 422, "media_type": "application/problem+json", "body": json.dumps(PROBLEM)})
    done, envelope = say(here)
    assert status_of(done) == 422
    told = json.loads(done.out.rsplit("\n", 1)[0])
    assert told == PROBLEM, "the device hears what its vendor said"
    (row, *_) = json.loads(mudroom("messages", "--device", DEVICE, "--json"))
    assert (row["id"], row["state"], row["status"]) == (envelope["id"], "vendor-refused", 422)
    assert (row["withheld"], row["rules"]) == ("/payload/power", "no-power rough")

    decided = {row["field"]: (row["rule"], row["did"], row["left"]) for row in rules("explain", envelope["id"])}
    assert decided["/payload/power"] == ("no-power", "withhold", "")
    assert decided["/payload/voltage"] == ("rough", "coarsen", "230")
    assert decided["/payload/on"] == ("", "no rule: allow", "true")
    assert json.loads(mudroom("ledger", "verify", "--json"))[0]["broken"] is None


def test_a_denied_message_reaches_nobody(here: Here) -> None:
    before = len(here.received("acme"))
    mudroom("rules", "deny", DEVICE, "any", "--name", "quiet")
    done = here.curl(1)
    assert status_of(done) == 403
    assert "rule-denied" in done.out
    assert "quiet" not in done.out
    assert len(here.received("acme")) == before
    row = eventually(
        lambda: next(
            (row for row in json.loads(mudroom("messages", "--refused", "--json")) if row["reason"] == "rule-denied"), None
        ),
        "the refusal on record",
    )
    assert "rule quiet" in row["detail"]


def test_a_broken_file_keeps_the_rules_that_were_good(here: Here) -> None:
    mudroom("rules", "withhold", DEVICE, "any", "/payload/label", "--name", "no-label")
    say(here)
    (FOLDER / "90-broken.toml").write_text('[[rule]]\nname = "x"\ndo = "drop"\n')
    _, envelope = say(here)
    assert envelope["withheld"] == ["/payload/label"]
    assert "90-broken.toml, line 1" in mudroom("rules", "check", check=False)
    findings = json.loads(mudroom("doctor", "--json", check=False))
    assert any(f["part"] == "rules" and f["severity"] == "wrong" and "90-broken.toml" in f["says"] for f in findings)
    (FOLDER / "90-broken.toml").unlink()
    assert rules("check") == []


def test_a_file_is_tried_before_it_holds(here: Here, tmp_path: Path) -> None:
    say(here)
    new = tmp_path / "60-new.toml"
    new.write_text('[[rule]]\nname = "rough"\nfield = "/payload/power"\ndo = "coarsen"\nstep = 50\n')
    (document,) = rules("try", str(new), "--since", "7d")
    assert document["messages"] > 0
    (change,) = document["changes"]
    assert (change["device"], change["place"], change["now"], change["then"]) == (DEVICE, "/payload/power", "61.4", "50")
    _, envelope = say(here)
    assert envelope["payload"]["power"] == 61.4
    (FOLDER / new.name).write_bytes(new.read_bytes())
    (FOLDER / new.name).chmod(0o644)
    _, envelope = say(here)
    assert envelope["payload"]["power"] == 50, "a file that the owner puts there holds at once, without a restart"


def test_a_delayed_message_leaves_later_also_after_a_restart_of_the_ledger(here: Here) -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "10-later.toml").write_text('[[rule]]\nname = "later"\ndo = "delay"\nseconds = 8\n')
    before, began = len(here.received("acme")), time.time()
    done = here.curl(1)
    assert status_of(done) == 202
    id = json.loads(done.out.rsplit("\n", 1)[0])["id"]
    assert [row["rule"] for row in rules("explain", id) if row["field"] == "the message"] == ["later"], "on record at once"
    order("stop", "ledger")
    order("start", "ledger")
    request = eventually(lambda: next(iter(here.received("acme")[before:]), None), "the delayed message", timeout=30)
    assert json.loads(request["body"])["id"] == id
    assert request["time"] - began >= 8


def test_what_waits_while_its_owner_changes_his_mind_does_not_leave(here: Here, vendor: Callable[[dict[str, Any]], None]) -> None:
    vendor({"status": 503})
    done = here.curl(1)
    assert status_of(done) == 202
    id = json.loads(done.out.rsplit("\n", 1)[0])["id"]
    mudroom("rules", "withhold", DEVICE, "any", "/payload/power", "--name", "no-power")
    before = len(here.received("acme"))
    vendor({})

    def ended() -> dict[str, Any] | None:
        (row,) = json.loads(mudroom("messages", id, "--json"))
        return row if row["state"] != "waiting" else None

    assert eventually(ended, "the end of the message that waited", timeout=40)["state"] == "withdrawn"
    assert id not in [json.loads(request["body"])["id"] for request in here.received("acme")[before:]]
    _, envelope = say(here)
    assert envelope["withheld"] == ["/payload/power"]
