"""The owner's command, as a person or a script would use it."""

from __future__ import annotations

import json
import subprocess

from tests.home.client import GATEWAY_ENVIRONMENT, Here, eventually, mudroom, order, status_of
from tests.home.lab import layout
from tests.home.lab.home import MUDROOM


def test_status_says_that_all_is_well(here: Here) -> None:
    rows = json.loads(mudroom("status", "--json"))
    assert {row["part"] for row in rows} >= {"network", "steering", "signer", "ledger"}
    assert all(row["ready"] for row in rows), rows


def test_the_doctor_finds_nothing_wrong_in_a_home_that_works(here: Here) -> None:
    findings = json.loads(mudroom("doctor", "--json"))
    assert [finding for finding in findings if finding["severity"] == "wrong"] == []
    parts = {finding["part"] for finding in findings}
    assert parts >= {"network", "steering", "ledger", "doors", "kernel", "disk", "chain", "authority", "devices"}
    assert "not applicable here" in next(finding["says"] for finding in findings if finding["part"] == "units")
    assert mudroom("doctor").splitlines()[-1].endswith("fine.")


def test_the_doctor_says_what_is_missing_and_what_to_do(here: Here) -> None:
    order("stop", "ledger")
    try:
        done = subprocess.run(
            ["ip", "netns", "exec", layout.GATEWAY, MUDROOM, "doctor"],
            capture_output=True, text=True, env=GATEWAY_ENVIRONMENT, check=False,
        )  # fmt: skip
        assert done.returncode == 3
        assert "WRONG  ledger: does not answer: it is not running" in done.stdout
        assert "systemctl restart mudroom-ledger" in done.stdout
        assert "Closed" in mudroom("console", "--once")
    finally:
        order("start", "ledger")
    eventually(lambda: "WRONG" not in mudroom("doctor", check=False), "all is well again")


def test_the_screen_says_that_the_home_is_protected(here: Here) -> None:
    shown = mudroom("console", "--once")
    assert "Mudroom is protecting this home." in shown
    assert layout.LAN4.split("/")[0] in shown
    assert "3 admitted" in shown


def test_devices_lists_the_admitted(here: Here) -> None:
    rows = {row["device"]: row for row in json.loads(mudroom("devices", "--json"))}
    assert {name: row["kind"] for name, row in rows.items()} == {
        "device-1": "standard",
        "device-2": "standard",
        "device-3": "local",
    }
    assert rows["device-1"]["vendor"] == "Acme"
    assert rows["device-1"]["mud_url"].startswith("https://")


def test_messages_and_one_message(here: Here) -> None:
    assert 200 <= status_of(here.curl(1)) < 300
    newest = json.loads(mudroom("messages", "--json", "-n", "1"))[0]
    assert (newest["device"], newest["vendor"], newest["state"]) == ("device-1", "Acme", "delivered")
    (whole,) = json.loads(mudroom("messages", newest["id"], "--json"))
    assert json.loads(whole["left_the_home"])["id"] == newest["id"]
    assert "Power drawn" in mudroom("messages", newest["id"]) or "power" in mudroom("messages", newest["id"])


def test_refused_messages_are_shown_with_their_cause(here: Here) -> None:
    envelope = json.loads((here.folder(1) / "message.json").read_text())
    envelope["payload"]["power"] = 99_999_999
    assert status_of(here.curl(1, data=json.dumps(envelope))) >= 400
    newest = eventually(lambda: json.loads(mudroom("messages", "--refused", "--json", "-n", "1")), "the refusal is recorded")[0]
    assert newest["reason"] == "not-in-schema"
    assert newest["pointers"] == "/payload/power"


def test_the_chain_is_whole(here: Here) -> None:
    (row,) = json.loads(mudroom("ledger", "verify", "--json"))
    assert row["broken"] is None
    assert row["records"] > 0


def test_network_plan_shows_drift_and_apply_mends_it(here: Here) -> None:
    environment = ("env", f"MUDROOM_CONFIG={layout.SETTINGS_FILE}", f"PYTHONPATH={layout.APP}")
    inside = ["ip", "netns", "exec", layout.GATEWAY, *environment, str(layout.APP / "bin" / "mudroom"), "network"]
    assert subprocess.run([*inside, "plan"], capture_output=True, check=False).returncode == 0
    subprocess.run(["ip", "-n", layout.GATEWAY, "-6", "rule", "del", "iif", "dmz0", "type", "blackhole"], check=True)
    drift = subprocess.run([*inside, "plan", "--json"], capture_output=True, text=True, check=False)
    assert drift.returncode == 3
    assert len(json.loads(drift.stdout)) == 1
    assert "blackhole" in drift.stdout
    subprocess.run([*inside, "apply"], capture_output=True, check=True)
    assert subprocess.run([*inside, "plan"], capture_output=True, check=False).returncode == 0


def test_errors_are_one_line_and_an_exit_code(here: Here) -> None:
    done = subprocess.run(
        ["python3", "-m", "gateway.cli", "-c", "/nonexistent.toml", "devices"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("mudroom: ")
    assert "/nonexistent.toml" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_device_cannot_write_on_the_owners_terminal(here: Here) -> None:
    """A label with an escape sequence in it is shown as text, not obeyed."""
    envelope = json.loads((here.folder(1) / "message.json").read_text())
    envelope["payload"]["label"] = "\x1b[2J\u202egone"
    here.curl(1, data=json.dumps(envelope))
    shown = mudroom("messages", "--refused", "-n", "3") + mudroom("messages", "-n", "3") + mudroom("drops")
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
