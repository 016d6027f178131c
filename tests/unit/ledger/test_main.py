"""The ledger as its peers see it: what is committed when, who is answered what, and how often."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.ipc import channel as ipc
from gateway.ipc.messages import AskInbox, AskStatus, Attempt, Counters, Deliver, EntryRefused, Polled
from gateway.ledger.batch import Batch
from gateway.ledger.main import Ledger, roles
from gateway.ledger.reader import Reader
from gateway.ledger.store import Quotas, Store, StoreError
from gateway.reasons import Reason
from tests.unit.ledger.peers import (
    Peer,
    Process,
    answer,
    connect,
    deferred,
    refusal,
    rows,
    running,
    settings,
    submit,
    taken,
)

FAST = {"backoff_first_seconds": 0.1, "backoff_most_seconds": 0.4}


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work()

    asyncio.run(bounded())


async def eventually(check: Callable[[], bool], timeout: float = 15.0) -> None:
    """Poll what another process writes: there is nothing to await."""
    async with asyncio.timeout(timeout):
        while not check():  # noqa: ASYNC110  # another process has no event for us
            await asyncio.sleep(0.02)


def test_a_message_is_on_disk_before_the_courier_has_it(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            courier, door = await connect(socket, "courier"), await connect(socket, "door")
            for number in range(50):
                door.send(submit(number, wait_ms=5000))
                deliver = await courier.get()
                # another connection sees only what is committed
                assert rows(made.paths.ledger, "SELECT outgoing FROM records WHERE id = ?", deliver.id) == [(deliver.body,)]
                courier.send(taken(deliver.id))
                outcome = await door.get()
                assert (outcome.ref, outcome.kind, outcome.status, outcome.body) == (number, "answered", 200, b'{"ok":true}')
                assert rows(made.paths.ledger, "SELECT count(*) FROM records WHERE id = ? AND kind = 'answer'", deliver.id) == [
                    (1,)
                ]
                assert rows(made.paths.ledger, "SELECT count(*) FROM outbox") == [(0,)]
            await door.close()
            await courier.close()

    run(work)


def test_a_late_answer_is_recorded_and_tells_the_door_nothing_new(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            courier, door = await connect(socket, "courier"), await connect(socket, "door")
            door.send(submit(1, wait_ms=150))
            deliver = await courier.get()
            outcome = await door.get()
            assert (outcome.kind, outcome.status, outcome.body) == ("accepted", 202, b'{"id":"m-00000001"}')
            courier.send(taken(deliver.id))
            courier.send(taken(deliver.id))  # twice: the second means nothing
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM records WHERE kind = 'answer'") == [(1,)])
            door.send(submit(2, wait_ms=0))
            assert (await door.get()).ref == 2
            assert door.inbox.empty()
            await door.close()
            await courier.close()

    run(work)


def test_without_a_courier_the_door_is_told_at_once_and_the_message_leaves_later(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            door = await connect(socket, "door")
            door.send(submit(1, wait_ms=60_000))
            assert (await door.get(2)).kind == "accepted"
            courier = await connect(socket, "courier")
            assert (await courier.get()).id == "m-00000001"
            await door.close()
            await courier.close()

    run(work)


def test_what_was_at_a_courier_that_died_goes_to_the_next_one(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            first, door = await connect(socket, "courier"), await connect(socket, "door")
            for number in range(300):  # more than one window of a host
                door.send(submit(number, wait_ms=60_000))
            await first.get()
            await first.close()
            assert {(await door.get()).kind for _ in range(300)} == {"accepted"}
            second = await connect(socket, "courier")
            seen: list[Deliver] = []
            answering = asyncio.create_task(answer(second, seen=seen))
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM outbox") == [(0,)])
            assert [deliver.id for deliver in seen] == [f"m-{number:08d}" for number in range(300)]
            answering.cancel()
            await door.close()
            await second.close()

    run(work)


def test_a_message_of_which_the_courier_says_nothing_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.ledger.main.SPARE_SECONDS", 0.2)
    made = settings(tmp_path, courier={"connect_seconds": 0.01, "answer_seconds": 0.01, "connections_per_pair": 16})

    async def work() -> None:
        async with running(made) as socket:
            courier, door = await connect(socket, "courier"), await connect(socket, "door")
            door.send(submit(1))
            first = await courier.get()
            again = await courier.get()
            assert (first.id, first.body) == (again.id, again.body)
            await courier.close()
            await door.close()

    run(work)


def test_the_newest_courier_wins(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(settings(tmp_path)) as socket:
            first = await connect(socket, "courier")
            second, door = await connect(socket, "courier"), await connect(socket, "door")
            await asyncio.wait_for(first.ended.wait(), 5)
            door.send(submit(1, wait_ms=1000))
            assert (await second.get()).id == "m-00000001"
            await door.close()
            await second.close()

    run(work)


@pytest.mark.parametrize(
    ("role", "message"),
    [
        ("door", taken("m-1")),
        ("door", Counters((("plug", 30, 1, 60),))),
        ("door", AskStatus()),
        ("names", submit(1)),
        ("names", refusal()),
        ("courier", submit(1)),
        ("courier", Attempt("plug", 30, "udp", "203.0.113.9", 9, 1, 1, 1, "kernel")),
        ("root", taken("m-1")),
        ("door", Polled("p-1", 204, -1, "", 0, b"", ())),
        ("courier", AskInbox(1, "plug", "d-1", "in.acme.example", 0)),
        ("names", AskInbox(1, "plug", "d-1", "in.acme.example", 0)),
        ("courier", EntryRefused("plug", "d-1", "in.acme.example", 1, 128, "no")),
        ("root", Polled("p-1", 204, -1, "", 0, b"", ())),
        ("dhcp", submit(1)),
        ("signer", AskStatus()),
    ],
)
def test_a_role_that_sends_what_is_not_its_own_is_cut_off(tmp_path: Path, role: str, message: object) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            peer = await connect(socket, role)
            peer.send(message)  # type: ignore[arg-type]
            await asyncio.wait_for(peer.ended.wait(), 5)
            assert peer.inbox.empty()
        assert rows(made.paths.ledger, "SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM attempts)") == [(0,)]

    run(work)


def test_an_unreachable_vendor_is_tried_again_and_does_not_hold_up_another(tmp_path: Path) -> None:
    made = settings(tmp_path, courier=FAST)

    async def work() -> None:
        async with running(made) as socket:
            courier, door = await connect(socket, "courier"), await connect(socket, "door")
            door.send(submit(1, wait_ms=60_000))
            assert (await courier.get()).id == "m-00000001"
            courier.send(deferred("m-00000001"))
            assert (await door.get(2)).kind == "accepted"  # the door does not wait for a vendor that is away
            door.send(submit(2, wait_ms=60_000))
            assert (await door.get(2)).kind == "accepted"
            door.send(submit(3, wait_ms=60_000, host="in.borealis.example"))
            assert (await courier.get()).id == "m-00000003"
            courier.send(taken("m-00000003"))
            assert (await door.get()).kind == "answered"
            probe = await courier.get()
            assert courier.inbox.empty()  # one probe at a time
            with Reader(made.paths.ledger) as reader:
                await eventually(lambda: [q.tries for q in reader.queue() if q.id == "m-00000001"] == [1])
                assert reader.queue()[0].reason is Reason.VENDOR_UNREACHABLE
            courier.send(taken(probe.id))
            other = await courier.get()
            assert {probe.id, other.id} == {"m-00000001", "m-00000002"}
            courier.send(taken(other.id))
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM outbox") == [(0,)])
            await door.close()
            await courier.close()

    run(work)


def test_a_message_that_the_vendor_cannot_digest_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    made = settings(tmp_path, courier=FAST)

    async def work() -> None:
        async with running(made) as socket:
            courier, door = await connect(socket, "courier"), await connect(socket, "door")
            for number in range(20):
                door.send(submit(number))
            done: set[str] = set()
            while len(done) < 19:
                deliver = await courier.get()
                if deliver.id == "m-00000000":
                    courier.send(deferred(deliver.id))
                else:
                    done.add(deliver.id)
                    courier.send(taken(deliver.id))
            await eventually(lambda: rows(made.paths.ledger, "SELECT id FROM outbox") == [("m-00000000",)])
            await door.close()
            await courier.close()

    run(work)


def test_a_message_that_nobody_takes_is_given_up_and_recorded(tmp_path: Path) -> None:
    made = settings(tmp_path, courier={**FAST, "give_up_seconds": 1})

    async def work() -> None:
        async with running(made) as socket:
            courier, door = await connect(socket, "courier"), await connect(socket, "door")
            door.send(submit(1))
            await door.get()

            async def away() -> None:
                while True:
                    courier.send(deferred((await courier.inbox.get()).id))

            task = asyncio.create_task(away())
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM outbox") == [(0,)])
            task.cancel()
            with Reader(made.paths.ledger) as reader:
                assert reader.messages()[0].state == "expired"
            await door.close()
            await courier.close()

    run(work)


@contextlib.asynccontextmanager
async def over(made: Config, store: Store) -> AsyncIterator[tuple[Path, Ledger]]:
    """The ledger in this loop, over a store of the test's own; yields its socket, too."""
    known, path = roles(), made.paths.socket("ledger")
    store.open()
    ledger = Ledger(made, store, known)
    ledger.start(store.hosts())
    server = await ipc.serve(path, ledger.channel, known)
    try:
        yield path, ledger
    finally:
        server.close()
        await ledger.stop()
        store.close()


QUOTAS = Quotas(1000, 10**9, 1000, 1000)


def test_a_clock_that_is_set_gives_up_nothing_that_came_just_now(tmp_path: Path) -> None:
    """A box without a battery starts in the past, takes messages while its line is down, and then learns the time."""
    made = settings(tmp_path, courier={**FAST, "give_up_seconds": 60})
    month = 30 * 86_400 * 10**9

    async def work() -> None:
        async with over(made, Store(made.paths.ledger, QUOTAS, clock=lambda: time.time_ns() - month)) as (socket, ledger):
            courier, door = await connect(socket, "courier"), await connect(socket, "door")
            door.send(submit(1))
            assert (await door.get()).kind == "accepted"
            async with asyncio.timeout(20):
                courier.send(deferred((await courier.inbox.get()).id))
                ledger._expiring._due = 0.0  # the old are looked for with the next sweep, within a second
                while not ledger._expiring._due:
                    courier.send(deferred((await courier.inbox.get()).id))
                courier.send(deferred((await courier.inbox.get()).id))
            assert rows(made.paths.ledger, "SELECT count(*) FROM outbox") == [(1,)]
            await door.close()
            await courier.close()
        async with running(made) as socket:  # what an earlier run left is as old as the clock says
            courier = await connect(socket, "courier")
            courier.send(deferred((await courier.get()).id))
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM outbox") == [(0,)])
            await courier.close()

    run(work)


def test_what_a_failing_disk_kept_all_the_same_is_not_forgotten(tmp_path: Path) -> None:
    made = settings(tmp_path, courier=FAST)

    class FailsLate(Store):
        """A disk that reports a failure after it has written everything."""

        failing = True

        def commit(self, batch: Batch) -> list[int | Reason]:
            done = super().commit(batch)
            if self.failing and batch.submits:
                self.failing = False
                self.close()
                raise StoreError("in a test")
            return done

    async def work() -> None:
        async with over(made, FailsLate(made.paths.ledger, QUOTAS)) as (socket, _):
            courier, door = await connect(socket, "courier"), await connect(socket, "door")
            task = asyncio.create_task(answer(courier))
            door.send(submit(1))
            assert (await door.get()).kind == "refused"
            door.send(submit(2, wait_ms=5000))
            assert (await door.get()).kind == "answered"
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM outbox") == [(0,)])
            task.cancel()
            await door.close()
            await courier.close()

    run(work)


def test_quotas_of_a_device_leave_the_others_alone(tmp_path: Path) -> None:
    quotas = {"messages_per_day": 10, "refusals_per_day": 5, "queue_per_device": 6, "bytes_per_day": 100_000}
    made = settings(tmp_path, ledger=quotas)

    async def work() -> None:
        async with running(made) as socket:
            door = await connect(socket, "door")
            for number in range(8):  # no courier: they queue
                door.send(submit(number))
            kinds = [(await door.get()).kind for _ in range(8)]
            assert kinds == ["accepted"] * 6 + ["refused"] * 2
            courier = await connect(socket, "courier")
            answering = asyncio.create_task(answer(courier))
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM outbox") == [(0,)])
            for number in range(100, 108):
                door.send(submit(number))
                outcome = await door.get()
                assert outcome.kind == ("accepted" if number < 104 else "refused")
            assert (outcome.status, outcome.reason) == (429, Reason.QUOTA.code)
            door.send(submit(200, device="lamp", size=60_000))  # twice that is over its bytes
            assert (await door.get()).reason == Reason.QUOTA.code
            door.send(submit(201, device="lamp"))
            assert (await door.get()).kind == "accepted"
            for _ in range(1000):
                door.send(refusal())
            with Reader(made.paths.ledger) as reader:
                counted = lambda: {(a.device, a.reason): a.count for a in reader.attempts()}  # noqa: E731
                await eventually(lambda: counted().get(("plug", Reason.NOT_DECLARED)) == 995)
                assert len(reader.refusals()) == 5
                assert counted()["plug", Reason.QUOTA] == 6
                assert reader.verify().broken is None
            answering.cancel()
            await door.close()
            await courier.close()

    run(work)


def test_quotas_hold_over_a_restart(tmp_path: Path) -> None:
    made = settings(tmp_path, ledger={"messages_per_day": 3})

    async def work() -> None:
        for numbers, kinds in (((1, 2), ["accepted"] * 2), ((3, 4), ["accepted", "refused"])):
            async with running(made) as socket:
                door = await connect(socket, "door")
                for number in numbers:
                    door.send(submit(number))
                assert [(await door.get()).kind for _ in numbers] == kinds
                await door.close()

    run(work)


def test_an_id_used_twice_is_refused_and_spoils_nothing(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            door = await connect(socket, "door")
            for number in (1, 1, 2):
                door.send(submit(number))
            assert [(await door.get()).kind for _ in range(3)] == ["accepted", "refused", "accepted"]
            await door.close()

    run(work)


def test_attempts_and_counters_add_up_and_stay_bounded(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            names, steering = await connect(socket, "names"), await connect(socket, "root")
            for number in range(2000):
                names.send(Attempt("plug", 65, "dns", f"n{number}.tracker.example", 53, 2, 100 + number, 200 + number, "names"))
            for _ in range(3):
                steering.send(Counters((("plug", 26, 10, 1000), ("lamp", 26, 1, 100))))
            with Reader(made.paths.ledger) as reader:
                await eventually(lambda: sum(a.count for a in reader.attempts("plug", 5000)) == 4000)
                found = reader.attempts("plug", 5000)
                assert len(found) <= 501
                more = next(a for a in found if a.destination == "(more)")
                assert (more.count, more.last) == (3000, 2199)
                await eventually(
                    lambda: [(c.device, c.packets, c.bytes) for c in reader.counters()] == [("lamp", 3, 300), ("plug", 30, 3000)]
                )
            await names.close()
            await steering.close()

    run(work)


def test_root_may_ask_how_it_goes(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(settings(tmp_path)) as socket:
            root, door = await connect(socket, "root"), await connect(socket, "door")
            door.send(submit(1))
            await door.get()
            root.send(AskStatus())
            status = await root.get()
            assert (status.service, status.ready, status.facts["messages"], status.facts["waiting"]) == ("ledger", True, "1", "1")
            await root.close()
            await door.close()

    run(work)


def test_a_full_disk_refuses_everything_and_an_emptier_one_records_again(tmp_path: Path) -> None:
    made = settings(tmp_path, ledger={"disk_reserve": 0})
    disk = made.paths.ledger.parent
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k,mode=0700", "ledger-t-disk", disk], check=True)
    try:
        process = Process(tmp_path)
        try:
            run(lambda: _fill_and_free(made.paths.socket("ledger"), disk))
            assert process.stop() == 0
        finally:
            process.kill()
        with Reader(made.paths.ledger) as reader:
            assert reader.verify().broken is None
    finally:
        subprocess.run(["umount", disk], check=True)


async def _fill_and_free(socket: Path, disk: Path) -> None:
    door, root = await connect(socket, "door"), await connect(socket, "root")
    acknowledged: set[str] = set()
    number = 0
    outcome = None
    while outcome is None or outcome.kind == "accepted":
        number += 1
        door.send(submit(number, size=5000))
        outcome = await door.get()
        if outcome.kind == "accepted":
            acknowledged.add(f"m-{number:08d}")
        assert number < 1000
    assert (outcome.kind, outcome.status) == ("refused", 503)
    # by the disk itself, or by the last look at it: on a disk so small it is a matter of a page which comes first
    assert outcome.reason in (Reason.LEDGER_UNAVAILABLE.code, Reason.RECORD_FULL.code)
    root.send(AskStatus())
    status = await root.get()
    assert not status.ready
    assert "fault" in status.facts
    assert {id for (id,) in rows(disk / "ledger.db", "SELECT id FROM records")} == acknowledged
    subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
    # by itself, without a message that wakes it
    async with asyncio.timeout(10):
        while not status.ready:
            root.send(AskStatus())
            status = await root.get()
    door.send(submit(number + 1, size=5000))
    assert (await door.get()).kind == "accepted"
    await door.close()
    await root.close()


def test_a_file_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            door = await connect(socket, "door")
            made.paths.ledger.rename(made.paths.ledger.with_name("elsewhere.db"))
            made.paths.ledger.write_bytes(b"")
            door.send(submit(1))
            assert (await door.get()).reason == Reason.LEDGER_UNAVAILABLE.code
            await door.close()

    run(work)


def test_kill_9_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    made = settings(tmp_path, courier=FAST)
    acknowledged: set[str] = set()
    delivered: set[str] = set()
    dice = random.Random(7)

    async def sender(door: Peer, first: int) -> None:
        number = first
        while True:
            door.send(submit(number, wait_ms=dice.choice((0, 200)), device=f"d{first}"))
            outcome = await door.inbox.get()
            if outcome.kind in {"accepted", "answered"}:
                acknowledged.add(f"m-{number:08d}")
            number += 1

    async def vendor(courier: Peer) -> None:
        while True:
            deliver = await courier.inbox.get()
            if dice.random() < 0.01:
                courier.send(deferred(deliver.id))
            else:
                delivered.add(deliver.id)
                courier.send(taken(deliver.id))

    async def work() -> None:
        socket = made.paths.socket("ledger")
        for life in range(4):
            process = Process(tmp_path)
            courier = await connect(socket, "courier")
            doors = [await connect(socket, "door") for _ in range(8)]
            tasks = [asyncio.create_task(vendor(courier))]
            tasks += [asyncio.create_task(sender(door, 10_000_000 * life + 100_000 * n)) for n, door in enumerate(doors)]
            enough = len(acknowledged) + 30
            while len(acknowledged) < enough:  # noqa: ASYNC110 # however slow the machine
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2 + dice.random() * 0.6)  # the random moment is what is tested
            process.kill()
            for peer in (courier, *doors):
                await peer.ended.wait()
            for task in tasks:
                task.cancel()
            socket.unlink()
        process = Process(tmp_path)
        courier = await connect(socket, "courier")
        task = asyncio.create_task(vendor(courier))
        await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM outbox") == [(0,)], 30)
        task.cancel()
        await courier.close()
        assert process.stop() == 0

    run(work)
    with Reader(made.paths.ledger) as reader:
        verdict = reader.verify()
        assert verdict.broken is None, verdict
        recorded = {id for (id,) in rows(made.paths.ledger, "SELECT id FROM records WHERE kind = 'message'")}
    assert len(acknowledged) > 100
    assert acknowledged <= recorded
    assert recorded <= delivered  # at least once
    assert delivered <= recorded  # and nothing that was not recorded


def test_doors_that_send_without_reading_are_slowed_down_and_lose_nothing(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            door = await connect(socket, "door")
            for number in range(5000):
                door.send(submit(number, size=4000))
            kinds = [(await door.get(30)).kind for _ in range(5000)]
            assert set(kinds) == {"accepted"}
            await door.close()

    run(work)


def test_files_are_the_ledgers_alone(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            door = await connect(socket, "door")
            door.send(submit(1))
            await door.get()
            assert made.paths.ledger.parent.stat().st_mode & 0o777 == 0o700
            modes = {path.name: path.stat().st_mode & 0o777 for path in made.paths.ledger.parent.iterdir()}
            assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
            await door.close()

    run(work)
