"""Retention by age: only by a right clock, never too early, whatever the clock does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ledger import ages
from gateway.ledger.batch import Batch
from gateway.ledger.leaks import Days
from gateway.ledger.reader import Reader
from gateway.ledger.store import Quotas, Store
from gateway.ledger.tending import Tender
from tests.unit.ledger.grown import bytes_on_disk, end, message, said, tend
from tests.unit.ledger.peers import rows

DAY = 86_400 * 10**9
QUOTAS = Quotas(10**9, 10**12, 10**9, 10**9)


class Box:
    """A box whose days go by as the test says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, keep: int) -> None:
        self.wall, self.monotonic, self.keep = 20_000 * DAY, 0.0, keep
        self.measured = folder / "clock" / "measured"
        self.measured.parent.mkdir()
        monkeypatch.setattr("gateway.ledger.tending.time.time_ns", lambda: self.wall)
        monkeypatch.setattr("gateway.ledger.tending.time.monotonic", lambda: self.monotonic)
        monkeypatch.setattr("gateway.ledger.ages.time.time", lambda: self.wall / 10**9)
        self.store = Store(folder / "ledger" / "ledger.db", QUOTAS, clock=lambda: self.wall, monotonic=lambda: self.monotonic)
        self.store.open()
        self.tender = Tender(self.store, keep, self.measured)
        self.number = 0

    def day(self, *, right: bool = True, days: float = 1.0, runs: float | None = None, record: bool = True) -> int:
        """``days`` by the clock, ``runs`` by what really went by; one record (its seq) at their end."""
        self.wall += int(days * DAY)
        self.monotonic += 86_400 * (days if runs is None else runs)
        if right:
            self.measured.touch()
            os.utime(self.measured, ns=(self.wall, self.wall))
        else:
            self.measured.unlink(missing_ok=True)
        self.tender._later_due = 0.0
        tend(self.tender)
        if not record:
            return 0
        self.number += 1
        return said(self.store, message(self.number, {"note": f"said-on-{self.number:04d}"}))[0]

    def restart(self) -> None:
        self.store.close()
        self.tender = Tender(self.store, self.keep, self.measured)

    def there(self) -> list[int]:
        """The messages' numbers."""
        ids = rows(self.store.path, "SELECT id FROM records WHERE kind = 'message' ORDER BY seq")
        return [int(id.removeprefix("m-")) for (id,) in ids]


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    made = Box(tmp_path, monkeypatch, keep=5)
    yield made
    made.store.close()


def test_what_is_older_goes_and_the_chain_holds(box: Box) -> None:
    for _ in range(12):
        box.day()
    there = box.there()
    assert there[-1] == 12
    assert 6 <= len(there) <= 8  # never too early; two days late at most
    assert f"said-on-{there[0] - 1:04d}".encode() not in bytes_on_disk(box.store.path)
    assert f"said-on-{there[0]:04d}".encode() in bytes_on_disk(box.store.path)
    with Reader(box.store.path) as reader:
        found = reader.verify()
        assert (found.broken, found.removed) == (None, 2 * (12 - len(there)))


def test_a_clock_that_nobody_measured_ages_nothing(box: Box) -> None:
    for _ in range(30):
        box.day(right=False)
    assert len(box.there()) == 30
    box.day(days=4000)  # measured at last, and far ahead: that makes one day
    assert len(box.there()) == 31


def test_a_lying_clock_gains_a_day_at_most(box: Box) -> None:
    for _ in range(4):
        box.day()
    for _ in range(10):
        box.day(days=400, runs=0.01)
    assert len(box.there()) == 14
    box.restart()
    box.day(days=400, runs=0.01)
    assert len(box.there()) >= 13


def test_a_clock_set_back_keeps_records_a_day_longer_and_no_more(box: Box) -> None:
    for _ in range(3):
        box.day()
    box.day(days=-100, runs=1)
    for _ in range(8):
        box.day()
    assert 6 <= len(box.there()) <= 9


def test_days_off_do_not_count(box: Box) -> None:
    for _ in range(3):
        box.day()
    box.restart()
    box.day(days=300, runs=0)
    assert len(box.there()) == 4


def test_what_waits_stays_and_goes_once_it_has_ended(box: Box) -> None:
    waits = message(9_999, {"note": "waits"})
    (seq,) = said(box.store, waits, answer=False)
    for _ in range(10):
        box.day()
    assert box.there()[0] == 9_999
    box.store.commit(Batch(answers=[end(seq, waits)]))
    box.day()
    assert 9_999 not in box.there()
    with Reader(box.store.path) as reader:
        assert reader.verify().broken is None


def test_without_a_number_of_days_nothing_goes_for_its_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path, monkeypatch, keep=0)
    for _ in range(20):
        box.day()
    assert len(box.there()) == 20
    box.store.close()


def test_a_measurement_is_good_for_half_an_hour(tmp_path: Path) -> None:
    file = tmp_path / "measured"
    assert not ages.right(file)
    file.touch()
    now = time.time()
    assert ages.right(file, now)
    assert not ages.right(file, now + 1900)
    assert not ages.right(file, now - 1900)  # the clock was set meanwhile


def test_the_first_day_of_a_run_is_the_day_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path, monkeypatch, keep=5)
    box.day()
    box.restart()
    box.day(days=0.01)
    assert rows(box.store.path, "SELECT count(*) FROM ages") == [(1,)]
    assert Days(0).day == -1
    box.store.close()
