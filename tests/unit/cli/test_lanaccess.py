"""`mudroom devices lan`, `allow`, `deny`, as their owner calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway import deeds as deeds_module
from gateway.box.lan_dnsmasq import leases
from gateway.config import Config, load
from gateway.noting import NotRecorded
from gateway.registry import RegistryFile
from tests.unit.cli.test_leaks import call, home  # noqa: F401 - a fixture

LAPTOP = "02:00:5e:00:00:01"


@pytest.fixture(autouse=True)
def deeds(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:  # noqa: F811
    """What came on record; and a laptop has a lease."""
    found: list[tuple[str, ...]] = []

    def on_record(config: Config, device: str, what: str, by: str, detail: str = "") -> int:
        if found and found[-1] == ("full",):
            raise NotRecorded("the disk is full")
        found.append((device, what, by, detail))
        return len(found)

    monkeypatch.setattr(deeds_module, "on_record", on_record)
    monkeypatch.setenv("SUDO_USER", "anna")
    path = leases(load())
    path.parent.mkdir(parents=True)
    path.write_text(f"0 {LAPTOP} 192.168.77.50 laptop *\n")
    return found


def allowed() -> tuple[str, ...]:
    return RegistryFile(load().paths.registry).current().by_id["plug"].lan


def test_by_name_and_back_by_address(deeds: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("devices", "allow", "plug", "laptop") == 0
    assert f"laptop ({LAPTOP}) may reach plug now" in capsys.readouterr().out
    assert allowed() == (LAPTOP,)
    assert call("devices", "allow", "plug", LAPTOP) == 0
    assert "as before; nothing changed" in capsys.readouterr().out
    assert call("devices", "deny", "plug", "192.168.77.50", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    wanted = {
        "device": "plug",
        "host": LAPTOP,
        "name": "laptop",
        "allowed": False,
        "changed": True,
        "unrecorded": "",
        "remark": "",
    }
    assert row == wanted
    assert allowed() == ()
    assert deeds == [
        ("plug", "lan", "command of anna", f"allow {LAPTOP} (laptop)"),
        ("plug", "lan", "command of anna", f"deny {LAPTOP} (laptop)"),
    ]


def test_the_list_says_who_may_and_who_could(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("devices", "allow", "plug", "02:00:5e:00:00:09") == 0
    capsys.readouterr()
    assert call("devices", "lan", "plug", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["host"], row["name"], row["address"], row["allowed"]) for row in rows] == [
        ("anyone", "", "", False),
        ("02:00:5e:00:00:09", "", "", True),
        (LAPTOP, "laptop", "192.168.77.50", False),
    ]
    assert call("devices", "lan", "plug") == 0
    assert "yes" in capsys.readouterr().out


def test_what_is_not_done_says_why(deeds: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("devices", "allow", "plug", "desk") == 1
    assert "name its hardware address" in capsys.readouterr().err
    assert call("devices", "allow", "pump", LAPTOP) == 1
    assert "there is no device pump" in capsys.readouterr().err
    assert call("devices", "lan", "pump") == 2
    assert call("devices", "allow", "plug", LAPTOP) == 0
    capsys.readouterr()
    deeds.append(("full",))
    assert call("devices", "allow", "plug", "02:00:5e:00:00:09") == 1
    assert "could not be recorded: the disk is full" in capsys.readouterr().err
    assert allowed() == (LAPTOP,)
    assert call("devices", "deny", "plug", LAPTOP) == 0
    assert "NOT ON RECORD: lan of plug, for the ledger could not take it: the disk is full" in capsys.readouterr().err
    assert allowed() == ()
