"""The leak budget: spent and enforced in one place, whatever the clock, the disk and the box do; and slots that are kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from gateway.ipc.messages import AskStatus, Outcome
from gateway.ledger import leaks
from gateway.ledger.batch import Answer, Batch
from gateway.ledger.leaks import DAY, Days, Spent, charge, total
from gateway.ledger.reader import Reader
from gateway.ledger.schedule import Flight, Schedule
from gateway.ledger.store import Quotas, Store
from gateway.reasons import Reason
from gateway.standard.slots import presence
from tests.unit.ledger.peers import connect, running, settings, submit
from tests.unit.ledger.test_main import run

QUOTAS = Quotas(1000, 10_000_000, 1000, 1000)
NOON = 20_000 * DAY + DAY // 2
SECOND = 10**9


class Clock:
    """Wall and monotonic time of a run."""

    def __init__(self, wall: int = NOON) -> None:
        self.wall = wall
        self.monotonic = 1000.0

    def passes(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND)
        self.monotonic += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = opened(tmp_path, clock)
    yield made
    made.close()


def opened(tmp_path: Path, clock: Clock) -> Store:
    made = Store(tmp_path / "ledger" / "ledger.db", QUOTAS, clock=lambda: clock.wall, monotonic=lambda: clock.monotonic)
    made.open()
    return made


def send(store: Store, clock: Clock, number: int, bits: int = 100, budget: int = 450, device: str = "plug") -> int | Reason:
    (result,) = store.commit(Batch(submits=[submit(number, bits=bits, budget=budget, device=device, received=clock.wall)]))
    return result


def spend(store: Store, clock: Clock, first: int = 0) -> int:
    """Messages until the budget is spent."""
    for number in range(first, first + 50):
        if send(store, clock, number) is Reason.LEAK_BUDGET:
            return number - first
    raise AssertionError("no end")


def test_a_message_beyond_the_budget_is_not_recorded_and_costs_nothing(store: Store, clock: Clock) -> None:
    assert spend(store, clock) == 4
    before = store.head
    assert send(store, clock, 90) is Reason.LEAK_BUDGET
    assert store.head == before
    assert isinstance(send(store, clock, 91, bits=5), int), "what still fits goes"
    assert isinstance(send(store, clock, 92, device="lamp"), int), "each device has its own"
    with Reader(store.path) as reader:
        (lamp, plug) = reader.leaks()
        assert (plug.spent.messages, plug.spent.bits) == (5, 405)
        assert (lamp.device, lamp.spent.messages) == ("lamp", 1)
        over = {(row.device, row.reason): row.count for row in reader.attempts()}
        assert over == {("plug", Reason.LEAK_BUDGET): 2}
        assert len(reader.queue()) == 6


def test_one_batch_can_not_spend_it_twice(store: Store, clock: Clock) -> None:
    batch = Batch(submits=[submit(n, bits=100, budget=450, received=clock.wall) for n in range(10)])
    results = store.commit(batch)
    assert [result for result in results if isinstance(result, Reason)] == [Reason.LEAK_BUDGET] * 6


def test_a_restart_changes_nothing(store: Store, clock: Clock, tmp_path: Path) -> None:
    spend(store, clock)
    for number in range(3):
        store.close()
        clock.monotonic = 5.0  # the box too
        store = opened(tmp_path, clock)
        assert send(store, clock, 100 + number) is Reason.LEAK_BUDGET
    store.close()


def test_a_new_day_is_a_new_budget(store: Store, clock: Clock) -> None:
    for day in range(5):
        assert spend(store, clock, first=100 * day) == 4
        clock.passes(86_400)


@pytest.mark.parametrize("step", [-3600, -DAY // SECOND, -400 * DAY // SECOND])
def test_a_clock_that_is_set_back_gives_no_second_budget(store: Store, clock: Clock, tmp_path: Path, step: int) -> None:
    spend(store, clock)
    clock.wall += step * SECOND
    assert send(store, clock, 100) is Reason.LEAK_BUDGET
    store.close()
    again = opened(tmp_path, clock)
    assert send(again, clock, 101) is Reason.LEAK_BUDGET
    again.close()


def test_a_clock_that_was_set_back_locks_nobody_out(store: Store, clock: Clock) -> None:
    spend(store, clock)
    clock.wall -= 400 * DAY
    for day in range(1, 4):
        clock.passes(86_400)
        assert spend(store, clock, first=100 * day) == 4


def test_a_clock_that_leaps_gives_a_day_or_two_and_then_no_more(store: Store, clock: Clock) -> None:
    budgets = 0
    for number in range(50):
        budgets += spend(store, clock, first=100 * number) == 4
        clock.wall += DAY
        clock.passes(60)
    assert budgets == 2  # the day that it was, and one too early
    clock.passes(86_400)
    assert spend(store, clock, first=9000) == 4


def test_midnight_comes_whenever_the_box_was_started(clock: Clock) -> None:
    clock.wall = 20_000 * DAY + DAY - 600 * SECOND  # ten minutes before it
    days = Days(clock.monotonic)
    days.found(19_998)
    assert days.turn(clock.wall, clock.monotonic)
    turns = []
    for minute in range(3 * 1440):
        clock.passes(59.999)  # a clock that chrony slews
        if days.turn(clock.wall, clock.monotonic):
            turns.append(minute)
    assert [minute // 1440 for minute in turns] == [0, 1, 2]
    assert days.day == 20_003


def test_a_day_that_could_not_be_written_is_not_lost(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    spend(store, clock)
    clock.passes(86_400)
    monkeypatch.setattr(leaks, "write", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        send(store, clock, 100)
    monkeypatch.undo()
    assert spend(store, clock, first=200) == 4


def test_times_are_charged_by_slots() -> None:
    account: leaks.Account = {}
    for second in (0, 0, 5, 5, 5, 9):
        assert charge(account, submit(1, bits=10, received=20_000 * DAY + second * SECOND))
    assert account["reading"] == Spent(messages=6, occupied=3, slots=10, last=9000, bits=60)
    assert total(account) == -(-(60 + presence(3, 3, 10)) // 1)


def test_slots_that_become_longer_and_clocks_that_are_set_make_no_time_free() -> None:
    account: leaks.Account = {}
    for second, slot in ((1000, 100), (1001, 100), (1060, 60_000), (1120, 60_000), (1000, 60_000)):
        assert charge(account, submit(1, bits=0, received=20_000 * DAY + second * SECOND, slot_ms=slot))
    spent = account["reading"]
    assert (spent.messages, spent.occupied, spent.slots) == (5, 5, 10_001 + 10 + 1 + 1 + 1)


def test_a_vendor_s_count_cannot_burst_the_record(store: Store, clock: Clock) -> None:
    for number, bits in enumerate((2**62, -5, 2**70)):
        send(store, clock, number)
        answer = Answer(
            2 * number + 1, f"m-{number:08d}", "plug", "Acme", "in.acme.example", "reading", 200, -1, "", b"", b"", bits
        )
        store.commit(Batch(answers=[answer]))
    with Reader(store.path) as reader:
        assert reader.leaks()[0].spent.answer_bits == 2 * leaks.MOST_ANSWER


@pytest.mark.parametrize("change", [{"bits": -1}, {"bits": 2**64}, {"slot_ms": -1}, {"slot_ms": 2**40}])
def test_nonsense_is_refused(store: Store, clock: Clock, change: dict[str, int]) -> None:
    (result,) = store.commit(Batch(submits=[submit(1, received=clock.wall, **change)]))  # type: ignore[arg-type]
    assert result is Reason.LEDGER_UNAVAILABLE


def test_answers_are_counted_and_never_refused(store: Store, clock: Clock) -> None:
    send(store, clock, 1)
    answer = Answer(1, "m-00000001", "plug", "Acme", "in.acme.example", "reading", 200, -1, "", b"o", b"a", 12)
    store.commit(Batch(answers=[answer]))
    with Reader(store.path) as reader:
        (found,) = reader.leaks()
    assert (found.spent.answers, found.spent.answer_bits, found.spent.messages) == (1, 12, 1)


def test_old_days_go(store: Store, clock: Clock, tmp_path: Path) -> None:
    for day in range(leaks.KEPT + 5):
        send(store, clock, day)
        clock.passes(86_400)
    store.close()
    store = opened(tmp_path, clock)
    with Reader(store.path) as reader:
        assert len(reader.leaks(days=1000)) == leaks.KEPT
    store.close()


# --- slots ---


def test_a_held_message_waits_for_its_slot_s_end() -> None:
    schedule = Schedule(1.0, 300.0)
    schedule.queued("a")
    schedule.hold("a", 1, until=10.0)
    assert not schedule.goes_straight("a", "m-1")
    assert (schedule.wanted(9.9), schedule.due(9.9), schedule.next_release()) == ([], None, 10.0)
    schedule.queued("a")
    assert schedule.goes_straight("a", "m-2"), "one that is not paced overtakes it"
    schedule.sent(Flight(2, "m-2", "plug", "Acme", "a", "reading", 9.0))
    assert schedule.skip("a") == {1, 2}
    assert schedule.wanted(10.0) == [("a", 1)]
    assert schedule.next_release() is None
    assert schedule.skip("a") == {2}


def test_a_host_that_fails_gets_no_probe_from_what_is_held() -> None:
    schedule = Schedule(1.0, 300.0, jitter=lambda: 1.0)
    schedule.queued("a", 2)
    schedule.sent(flight := Flight(1, "m-1", "plug", "Acme", "a", "reading", 0.0))
    schedule.hold("a", 2, until=50.0)
    schedule.deferred(flight, 1.0)
    (probe,) = schedule.wanted(2.5)
    assert probe == ("a", 1)
    assert 2 in schedule.skip("a")


def ledger_with_courier(tmp_path: Path, work: Callable[..., Awaitable[None]]) -> None:
    made = settings(tmp_path)

    async def all_of_it() -> None:
        async with running(made) as socket:
            courier, door, root = await connect(socket, "courier"), await connect(socket, "door"), await connect(socket, "root")
            await work(courier, door, root)
            for peer in (courier, door, root):
                await peer.close()

    run(all_of_it)


def test_messages_of_a_slot_leave_together_after_it(tmp_path: Path) -> None:
    async def work(courier, door, _root) -> None:  # type: ignore[no-untyped-def]
        slot = 1000 * 10**6
        # begun late in a slot, the first would leave before the last came
        await asyncio.sleep((slot - time.time_ns() % slot) / 1e9 + 0.01)
        began = time.time_ns() // slot * slot
        for number, type_ in enumerate(("b-second", "a-first", "b-second")):
            door.send(submit(number, slot_ms=1000, paced=True, type_=type_, received=began + number))
        for _ in range(3):
            assert (await door.get()).kind == "accepted"
        found = [await courier.get() for _ in range(3)]
        assert time.time_ns() >= began + slot
        assert [deliver.id for deliver in found] == ["m-00000001", "m-00000000", "m-00000002"]

    ledger_with_courier(tmp_path, work)


def test_what_is_not_paced_goes_at_once_past_what_is_held(tmp_path: Path) -> None:
    async def work(courier, door, _root) -> None:  # type: ignore[no-untyped-def]
        door.send(submit(1, slot_ms=3_600_000, paced=True))
        await door.get()
        door.send(submit(2))
        assert (await courier.get()).id == "m-00000002"

    ledger_with_courier(tmp_path, work)


def test_a_slot_that_ends_without_a_courier_is_no_busy_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(tmp_path)
    releases = 0
    released = Schedule.release

    def counting(self: Schedule, now: float) -> None:
        nonlocal releases
        releases += 1
        released(self, now)

    monkeypatch.setattr(Schedule, "release", counting)

    async def work() -> None:
        async with running(made) as socket:
            door, root = await connect(socket, "door"), await connect(socket, "root")
            door.send(submit(1, slot_ms=100, paced=True))
            await door.get()
            for _ in range(200):
                root.send(AskStatus())
                await root.get()
                if releases:
                    break
                await asyncio.sleep(0.01)
            seen = releases
            for _ in range(20):
                root.send(AskStatus())
                await root.get()
            assert seen
            assert releases <= seen + 2
            courier = await connect(socket, "courier")
            assert (await courier.get()).id == "m-00000001"
            for peer in (door, root, courier):
                await peer.close()

    run(work)


def test_the_owner_s_own_words_cost_nothing_and_a_door_can_not_say_so(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            door, root = await connect(socket, "door"), await connect(socket, "root")
            root.send(submit(1, slot_ms=0, budget=0, bits=0))
            assert (await root.get()).kind == "accepted"
            door.send(submit(2, slot_ms=0, budget=0, bits=0))
            await door.ended.wait()
            await root.close()
        with Reader(made.paths.ledger) as reader:
            assert [found.message.id for found in reader.messages()] == ["m-00000001"]
            assert reader.leaks() == []

    run(work)


def test_the_owner_hears_whose_budget_is_spent(tmp_path: Path) -> None:
    async def work(_courier, door, root) -> None:  # type: ignore[no-untyped-def]
        door.send(submit(1, bits=500, budget=400))
        outcome: Outcome = await door.get()
        assert (outcome.kind, outcome.status, outcome.reason) == ("refused", 429, Reason.LEAK_BUDGET.code)
        root.send(AskStatus())
        status = await root.get()
        assert status.ready
        assert status.facts["leak budget spent"] == "plug"

    ledger_with_courier(tmp_path, work)
