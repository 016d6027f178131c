"""Telling: what fails holds up no other notice for ever, and is told again; the two halves of the timer meet in one file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from gateway.cli import telling
from gateway.cli.telling import NotTold, deliver, gather, tell
from gateway.config import Config, Notices, Paths
from gateway.ledger.batch import Batch, Tally
from gateway.ledger.store import Quotas, Store
from gateway.notices import Notice
from gateway.reasons import Reason

STRANGER = "02:00:00:00:00:99"


def notice(number: int) -> Notice:
    return Notice(f"newcomer {number}", "newcomer", STRANGER, number, "A device.", "admit it")


def failing(*numbers: int) -> telling.To:
    def way(found: Notice) -> None:
        if found.at in numbers:
            raise NotTold(f"{found.at} did not arrive")

    return way


def test_one_that_does_not_arrive_holds_up_no_other() -> None:
    told: list[int] = []
    with pytest.raises(NotTold, match=r"2 did not arrive \(and 1 more\); what did not arrive is told again next time"):
        tell([notice(n) for n in range(6)], [failing(2, 4)], lambda found: told.append(found.at))
    assert told == [0, 1, 3, 5]


def test_after_three_in_a_row_it_waits_for_the_next_time() -> None:
    asked: list[int] = []

    def way(found: Notice) -> None:
        asked.append(found.at)
        failing(*range(2, 99))(found)

    with pytest.raises(NotTold):
        tell([notice(n) for n in range(50)], [way], lambda found: None)
    assert asked == [0, 1, 2, 3, 4]


def test_it_counts_as_told_when_all_heard_of_it() -> None:
    told: list[int] = []
    with pytest.raises(NotTold):
        tell([notice(1)], [failing(), failing(1)], lambda found: told.append(found.at))
    assert told == []


@pytest.fixture
def house(tmp_path: Path) -> Config:
    """A home in which a stranger came, and whose owner has a program for it."""
    program = tmp_path / "tell"
    program.write_text(f"#!/bin/sh\ncat >>{tmp_path}/heard; echo >>{tmp_path}/heard\n")
    program.chmod(0o755)
    paths = Paths(state=str(tmp_path / "state"), run=str(tmp_path / "run"))
    made = Config(paths=paths, notices=Notices(program=str(program)))
    (tmp_path / "run" / "telling").mkdir(parents=True)
    (tmp_path / "state" / "telling").mkdir(parents=True)
    store = Store(made.paths.ledger, Quotas(1000, 10**9, 1000, 1000))
    store.open()
    came = time.time_ns() - 60 * 10**9
    store.commit(
        Batch(attempts={(STRANGER, Reason.UNKNOWN_DEVICE.code, "tcp", "203.0.113.9", 443, "kernel"): Tally(3, came, came)})
    )
    store.close()
    return made


def test_what_was_gathered_is_delivered_once(house: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gather(house)
    found = tmp_path / "run" / "telling" / "found.json"
    assert found.stat().st_mode & 0o777 == 0o640
    deliver(house)
    deliver(house)
    assert [json.loads(line)["device"] for line in (tmp_path / "heard").read_text().splitlines() if line] == [STRANGER]
    assert capsys.readouterr().out == "told 1\n"


def test_settings_that_tell_nobody_look_at_nothing(house: Config, tmp_path: Path) -> None:
    deliver(Config(paths=house.paths))
    assert not (tmp_path / "state" / "telling" / "told.json").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b'[{"key": 1}]', b"\xff", b"[" * 100_000])
def test_a_file_that_is_none_is_said_and_told_to_nobody(house: Config, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run" / "telling" / "found.json").write_bytes(content)
    with pytest.raises(OSError, match=r"found\.json"):
        deliver(house)
    assert not (tmp_path / "heard").exists()


def test_before_anything_was_gathered_it_fails_loudly(house: Config) -> None:
    with pytest.raises(FileNotFoundError):
        deliver(house)
