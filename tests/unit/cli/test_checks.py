"""The doctor's checks as a whole: none can end or hold up the others, and none lets a text drive the terminal."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway.box.doctor import Finding, Severity, fine, wrong
from gateway.cli import checks
from gateway.cli.doctor import lines
from gateway.config import Config, parse


@pytest.fixture
def box(tmp_path: Path) -> checks.Box:
    return checks.Box(parse(f'[paths]\nstate = "{tmp_path}/state"\nrun = "{tmp_path}/run"\npolicy = "{tmp_path}/policy.d"\n'))


def test_a_check_that_raises_or_hangs_is_a_finding_and_the_rest_goes_on(box: checks.Box) -> None:
    never = threading.Event()

    def fails(box: checks.Box) -> list[Finding]:
        raise RuntimeError("in a test")

    def hangs(box: checks.Box) -> list[Finding]:
        never.wait(30)
        return []

    def works(box: checks.Box) -> list[Finding]:
        return [fine("works", "well")]

    began = time.monotonic()
    found = checks.perform(box, [hangs, fails, works], seconds=0.3)
    never.set()
    assert time.monotonic() - began < 5
    assert [(f.part, f.severity) for f in found] == [("hangs", Severity.WRONG), ("fails", Severity.WRONG), ("works", Severity.OK)]
    assert "longer than 0.3 s" in found[0].says
    assert "RuntimeError: in a test" in found[1].says


@pytest.mark.parametrize("check", checks.ALL, ids=lambda check: check.__name__)
def test_on_a_machine_that_is_no_router_every_check_ends_in_findings(check: checks.Check, box: checks.Box) -> None:
    found = checks.perform(box, [check], seconds=20)
    assert found
    for finding in found:
        assert "this check failed" not in finding.says, finding
        assert finding.says
        assert finding.remedy or finding.severity is Severity.OK


def test_a_device_cannot_write_on_the_owners_terminal_through_it() -> None:
    shown = "\n".join(lines([wrong("devices", "a\x1b[2Jb\u202e", "c\x9b"), fine("x", "\x1b]0;t\x07")], everything=True))
    assert all(line.isprintable() for line in shown.splitlines())


def test_for_people_it_says_what_is_wrong_first_and_counts_the_rest() -> None:
    shown = lines([fine("a", "x"), wrong("b", "is broken", "mend it"), fine("c", "x")], everything=False)
    assert shown == ["WRONG  b: is broken", "       -> mend it", "2 other checks are fine."]
    assert lines([fine("a", "x"), fine("c", "x")], everything=False) == ["2 checks, all fine."]


def test_the_command_ends_with_3_and_tells_programs_in_json(tmp_path: Path) -> None:
    (tmp_path / "mudroom.toml").write_text(f'[paths]\nstate = "{tmp_path}"\nrun = "{tmp_path}"\n')
    call = [sys.executable, "-m", "gateway.cli", "-c", str(tmp_path / "mudroom.toml"), "doctor", "--json"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    found = {row["part"]: row for row in json.loads(done.stdout)}
    assert found["steering"]["severity"] == "wrong"
    assert "not running" in found["steering"]["says"]
    assert set(found["steering"]) == {"part", "severity", "says", "remedy"}


def test_settings_that_cannot_be_read_are_said_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mudroom.toml").write_text("[door]\nworkers = 0\n")
    call = [sys.executable, "-m", "gateway.cli", "-c", str(tmp_path / "mudroom.toml"), "doctor"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "door.workers" in done.stdout


def test_units_are_read_as_systemctl_prints_them() -> None:
    text = (
        "Id=mudroom-ledger.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\nNRestarts=4\nResult=watchdog\n\n"
        "Id=mudroom-gone.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\n"
    )
    ledger, gone = checks.parse_units(text)
    assert (ledger.name, ledger.active, ledger.restarts, ledger.result) == ("mudroom-ledger", "failed", 4, "watchdog")
    assert (gone.load, gone.restarts) == ("not-found", 0)


def test_what_waits_is_read_as_apt_prints_it() -> None:
    text = (
        "linux-image-amd64:\n  Installed: 6.12.1-1\n  Candidate: 6.12.9-1\n  Version table:\n     6.12.9-1 500\n"
        "python3-bpfcc:\n  Installed: 0.31\n  Candidate: 0.31\n  Version table:\n *** 0.31 500\n"
        "libbpfcc:\n  Installed: (none)\n  Candidate: 0.31\n"
    )
    assert checks.parse_policy(text) == ["linux-image-amd64 6.12.9-1"]


def test_addresses_and_routes_are_the_kernels() -> None:
    assert checks.addresses4("lo") in (["127.0.0.1/8"], [])
    assert checks.addresses4("nowhere0") == checks.addresses6("nowhere0") == checks.routes4("nowhere0") == []
    assert not checks.routed6("nowhere0")
    assert checks.carrier("nowhere0") is None


def test_the_console_shows_cheap_checks_only() -> None:
    assert set(checks.CHEAP) < set(checks.ALL)
    assert len(checks.perform(checks.Box(Config()), checks.CHEAP, seconds=20)) >= len(checks.CHEAP)
