"""When the clock may step, decided from chronyd's report alone. The reports were taken from chrony 4.6.1."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gateway.box.clock import REMEMBER_SECONDS, Clock, ClockError, Tracking, may_step, parse, system_made

SLOW = (
    "7F000009,127.0.0.9,2,1795368516.162943478,100.000030518,0.000013475,0.000013475,3.240,0.000,63.985,0.000104982,"
    "0.000316791,2.0,Normal\n"
)


def test_a_report_gives_how_far_the_clock_is_behind() -> None:
    assert parse(SLOW) == Tracking(measured=True, slow=100.000030518)
    assert parse(SLOW.replace(",100.0", ",-100.0")).slow < 0


@pytest.mark.parametrize("reference", ["7F7F0101", "00000000"])
def test_its_own_clock_is_no_measurement(reference: str) -> None:
    assert not parse(SLOW.replace("7F000009", reference)).measured
    assert not parse(SLOW.replace("Normal", "Not synchronised")).measured


@pytest.mark.parametrize("report", ["", "506 Cannot talk to daemon\n", SLOW.replace("100.000030518", "nan"), SLOW + ",more"])
def test_what_is_no_report_is_refused(report: str) -> None:
    with pytest.raises(ClockError, match="cannot be read"):
        parse(report)


@pytest.mark.parametrize(
    ("slow", "at_boot", "running"),
    [
        (0.05, False, False),
        (-0.05, False, False),
        (5.0, True, False),
        (-5.0, True, False),
        (11.0, True, True),
        (86_400.0, True, True),
        (-11.0, True, False),
        (-86_400.0, True, False),
    ],
)
def test_at_boot_it_steps_either_way_and_later_only_far_forwards(slow: float, at_boot: bool, running: bool) -> None:
    assert may_step(Tracking(measured=True, slow=slow), running=False) is at_boot
    assert may_step(Tracking(measured=True, slow=slow), running=True) is running
    assert not may_step(Tracking(measured=False, slow=slow), running=False)
    assert not may_step(Tracking(measured=False, slow=slow), running=True)


def test_the_last_known_time_never_goes_back(tmp_path: Path) -> None:
    known = tmp_path / "timesync" / "clock"
    clock = Clock(last_known=known, started=tmp_path / "started")
    clock.remember()
    assert abs(known.stat().st_mtime - time.time()) < 60
    ahead = time.time() + 1000
    os.utime(known, (ahead, ahead))
    clock.remember()
    assert known.stat().st_mtime == pytest.approx(ahead)
    behind = time.time() - REMEMBER_SECONDS - 60
    os.utime(known, (behind, behind))
    clock.remember()
    assert known.stat().st_mtime > behind + REMEMBER_SECONDS


def test_a_time_before_the_system_was_made_is_never_believed() -> None:
    year = 365 * 86_400.0
    assert not may_step(Tracking(measured=True, slow=-year), running=False, now=10 * year, made=9.5 * year)
    assert may_step(Tracking(measured=True, slow=-year / 4), running=False, now=10 * year, made=9.5 * year)


def test_when_the_system_was_made_is_what_its_packages_say() -> None:
    assert 1_735_689_600 < system_made() < time.time()  # Debian 13's files are of 2025 and later


def test_a_last_known_time_that_was_a_lie_is_corrected_by_the_next_measurement(tmp_path: Path) -> None:
    known = tmp_path / "clock"
    clock = Clock(last_known=known, started=tmp_path / "started")
    clock.remember()
    ahead = time.time() + 50 * 365 * 86_400
    os.utime(known, (ahead, ahead))
    clock.remember(sure=True)
    assert abs(known.stat().st_mtime - time.time()) < 60


def test_without_chronyd_boot_goes_on_and_says_so(tmp_path: Path) -> None:
    clock = Clock(socket=str(tmp_path / "nobody"), started=tmp_path / "box" / "started", last_known=tmp_path / "clock")
    assert "going on with the box's own time" in clock.settle(0)
    assert clock.started.exists()
    with pytest.raises(ClockError, match="systemctl status chrony"):
        clock.keep()


REPORT = "C0A80101,192.168.1.1,3,1790000000.0,{slow},0.0,0.0,0.0,0.0,0.0,0.1,0.1,64.0,{leap}\n"


@pytest.mark.parametrize(
    ("slow", "leap", "right"),
    [("0.01", "Normal", True), ("-5.0", "Normal", True), ("-11.0", "Normal", False), ("0.01", "Not synchronised", False)],
)
def test_who_removes_by_age_is_told_that_the_clock_was_found_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str, leap: str, right: bool
) -> None:
    monkeypatch.setattr(Clock, "_chronyc", lambda _self, *_words: REPORT.format(slow=slow, leap=leap))
    measured = tmp_path / "measured"
    clock = Clock(last_known=tmp_path / "clock", started=tmp_path / "started", measured=measured)
    clock.keep()
    assert measured.exists() is right
    measured.touch()
    os.utime(measured, (1, 1))
    clock.keep()
    assert (measured.stat().st_mtime > 1) is right
    Clock(last_known=tmp_path / "clock", measured=tmp_path / "nowhere" / "measured").keep()  # and cannot be told: no harm
