"""What the owner's rules leave in the record, and messages that a rule delays."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from gateway.ipc.messages import Submit
from gateway.ledger.batch import Batch
from gateway.ledger.reader import Reader
from gateway.ledger.store import MOST_DELAY_MS, MOST_RULES, Quotas, Store
from gateway.policy.rule import MAX_DELAY
from gateway.reasons import Reason
from tests.unit.ledger.peers import connect, refusal, rows, running, settings, submit, taken

RULES = json.dumps([{"rule": "no-label", "do": "withhold", "at": ["/payload/label"]}])
QUOTAS = Quotas(1000, 10**9, 1000, 1000)


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work()

    asyncio.run(bounded())


def delayed(number: int, delay_ms: int, *, wait_ms: int = 0) -> Submit:
    return msgspec.structs.replace(submit(number, wait_ms=wait_ms), delay_ms=delay_ms)


def test_the_record_holds_what_the_rules_decided_under_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    store = Store(path, QUOTAS)
    store.open()
    ruled = msgspec.structs.replace(submit(1), withheld=("/payload/label",), rules=RULES)
    store.commit(Batch(submits=[ruled, submit(2)]))
    store.close()
    with Reader(path) as reader:
        first, second = reader.record(1), reader.record(2)
        assert first is not None and (first.pointers, first.detail) == (("/payload/label",), RULES)
        assert second is not None and (second.pointers, second.detail) == ((), "")
        assert reader.record(3) is None
        assert reader.verify().broken is None
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("DROP TRIGGER records_stay")
        database.execute("UPDATE records SET detail = '' WHERE seq = 1")
    with Reader(path) as reader:
        assert reader.verify().broken == 1


def test_more_than_a_door_of_ours_says_is_not_recorded(tmp_path: Path) -> None:
    assert MOST_DELAY_MS == MAX_DELAY * 1000
    store = Store(tmp_path / "ledger.db", QUOTAS)
    store.open()
    for stray in ({"delay_ms": MOST_DELAY_MS + 1}, {"delay_ms": -1}, {"rules": "x" * (MOST_RULES + 1)}):
        assert store.commit(Batch(submits=[msgspec.structs.replace(submit(1), **stray)])) == [Reason.LEDGER_UNAVAILABLE]
    store.close()


def test_a_delayed_message_is_on_record_at_once_and_leaves_later(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            courier, door = await connect(socket, "courier"), await connect(socket, "door")
            began = time.monotonic()
            door.send(delayed(1, 1500))
            door.send(submit(2))
            assert (await courier.get()).id == "m-00000002", "it holds up nobody"
            courier.send(taken("m-00000002"))
            assert [(await door.get()).kind for _ in range(2)] == ["accepted", "accepted"], "nobody waits for what comes later"
            assert rows(made.paths.ledger, "SELECT count(*) FROM records WHERE id = 'm-00000001'") == [(1,)]
            assert (await courier.get()).id == "m-00000001"
            assert time.monotonic() - began >= 1.4
            courier.send(taken("m-00000001"))
            await door.close()
            await courier.close()

    run(work)


def test_a_restart_makes_no_delayed_message_leave_sooner(tmp_path: Path) -> None:
    """Unlike what a slot holds, this is the owner's word."""
    made = settings(tmp_path)

    async def work() -> None:
        began = time.monotonic()
        async with running(made) as socket:
            door = await connect(socket, "door")
            door.send(delayed(1, 2500))
            assert (await door.get()).kind == "accepted"
            await door.close()
        async with running(made) as socket:
            courier, door = await connect(socket, "courier"), await connect(socket, "door")
            door.send(submit(2))
            left: dict[str, float] = {}
            while len(left) < 2:  # which is first tells only how long the restart took
                id = (await courier.get()).id
                left[id] = time.monotonic() - began
                courier.send(taken(id))
            assert left["m-00000001"] >= 2.4
            await door.close()
            await courier.close()

    run(work)


def test_messages_to_replay_are_those_that_left_and_those_that_rules_refused(tmp_path: Path) -> None:
    from gateway.ipc.messages import Refused

    path, now = tmp_path / "ledger.db", time.time_ns()
    store = Store(path, QUOTAS)
    store.open()
    refusals = [
        Refused("plug", "h", "reading", reason.code, "d", (), now, b"{}") for reason in (Reason.RULE_DENIED, Reason.NOT_IN_SCHEMA)
    ]
    store.commit(Batch(submits=[submit(number) for number in range(900)], refusals=refusals))
    store.close()
    with Reader(path) as reader:
        found = list(reader.to_replay(0))
        assert len(found) == 901
        assert [record.seq for record in found] == sorted((record.seq for record in found), reverse=True)
        assert [record.reason for record in found if record.kind == "refusal"] == [Reason.RULE_DENIED]
        assert len(list(reader.to_replay(0, 700))) == 700
        assert list(reader.to_replay(time.time_ns() + 10**12)) == []


def test_between_messages_far_apart_whoever_replays_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.ledger.reader.STRETCH", 4)
    store = Store(tmp_path / "ledger.db", QUOTAS)
    store.open()
    store.commit(Batch(submits=[submit(1)]))
    for _ in range(9):
        store.commit(Batch(refusals=[refusal()]))
    store.commit(Batch(submits=[submit(2), submit(3), submit(4)]))
    store.close()
    with Reader(tmp_path / "ledger.db") as reader:
        found = [record.id if record else "" for _, record in reader.replaying(0, 2)]
        assert found == ["m-00000004", "m-00000003", "m-00000002", "", "m-00000001"], "four refusals, and nothing else, between"
        assert [record.id for record in reader.to_replay(0)] == [id for id in found if id]
        assert all(record is None or at == record.at for at, record in reader.replaying(0, 2))
