"""What vendors have for devices: asked by schedule alone, on record before a device can have it, kept until it has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from gateway.config import Config
from gateway.ipc.messages import AskInbox, EntryRefused, InboxAnswer, Poll, Polled, PolledEntry
from gateway.ledger import mailbox
from gateway.ledger.inbox import DAY, Inbox
from gateway.ledger.mailbox import Plan, Work
from gateway.ledger.reader import Reader
from gateway.ledger.store import Quotas, Store
from gateway.ledger.writer import Writer
from gateway.reasons import Reason
from gateway.registry import Device, Kind, RegistryFile
from gateway.rulewriting import add, switch
from tests.unit.courier.street import HOST, manifest
from tests.unit.ledger.peers import Peer, Process, connect, rows, running, settings
from tests.unit.ledger.test_main import eventually, run

BODY = b'{"payload":{"on":true},"type":"setting"}'
Answers = Callable[[Poll], Polled]


def home(folder: Path, **courier: object) -> Config:
    """Settings, and a registry with "plug" and "lamp" of one vendor that may send them a "setting"."""
    made = settings(folder, courier={"inbox_seconds": 0.2, **courier})
    with RegistryFile(made.paths.registry).change() as change:
        for number, id in enumerate(("plug", "lamp")):
            change.admit(Device(id, id.title(), Kind.LOCAL, f"02:00:00:00:00:0{number}"))
            change.approve(id, manifest(HOST), made.dmz.pool_ipv4, made.dmz.pool_ipv6)
    return made


def pair_of(made: Config, device: str) -> str:
    return RegistryFile(made.paths.registry).current().by_id[device].pseudonym


def nothing(poll: Poll) -> Polled:
    return Polled(poll.id, 204, -1, "", 0, b"", ())


def entry(seq: int, body: bytes = BODY, reason: int = -1) -> PolledEntry:
    return PolledEntry(seq, "setting", reason, "", (), body if reason == -1 else b"", 1)


def sent(poll: Poll, *entries: PolledEntry) -> Polled:
    return Polled(poll.id, 200, -1, "", 0, b"as the vendor wrote it", entries)


@dataclass
class Courier:
    """A courier whose vendor answers as a test says; ``polls``: by device, what was asked."""

    peer: Peer
    answer: Answers = nothing
    polls: dict[str, list[Poll]] = field(default_factory=lambda: {"plug": [], "lamp": []})

    async def work(self) -> None:
        while True:
            poll = await self.peer.inbox.get()
            if isinstance(poll, Poll):
                self.polls[poll.device].append(poll)
                self.peer.send(self.answer(poll))

    async def asked(self, device: str, times: int) -> list[Poll]:
        await eventually(lambda: len(self.polls[device]) >= times)
        return self.polls[device]


@contextlib.asynccontextmanager
async def courier(socket: Path, answer: Answers = nothing) -> AsyncIterator[Courier]:
    made = Courier(await connect(socket, "courier"), answer)
    task = asyncio.create_task(made.work())
    try:
        yield made
    finally:
        task.cancel()
        await made.peer.close()


def once(*entries: PolledEntry, device: str = "plug") -> Answers:
    """The vendor has these, until the gateway has received them."""

    def answer(poll: Poll) -> Polled:
        new = [each for each in entries if each.seq > poll.received]
        return sent(poll, *new) if new and poll.device == device else nothing(poll)

    return answer


async def ask(door: Peer, made: Config, received: int = 0, *, device: str = "plug", pair: str = "") -> InboxAnswer:
    door.send(AskInbox(7, device, pair or pair_of(made, device), HOST, received))
    found: Any = await door.get()
    assert isinstance(found, InboxAnswer) and found.ref == 7
    return found


def inbox(made: Config) -> list[tuple[str, str]]:
    """What the owner sees: device and state, newest first."""
    with Reader(made.paths.ledger) as reader:
        assert reader.verify().broken is None
        return [(record.entry.device, record.state) for record in reader.inbox()]


def test_the_day_s_schedule_is_on_disk_before_the_first_question(tmp_path: Path) -> None:
    made = home(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            peer = await connect(socket, "courier")
            poll = await peer.get()
            planned = rows(made.paths.ledger, "SELECT day, device, period, phase FROM polls WHERE pair = ?", poll.pair)
            assert planned and {(row[1], row[2]) for row in planned} == {(poll.device, 200_000_000)}
            kept = rows(made.paths.ledger, "SELECT detail FROM records WHERE kind = 'inbox-plan' AND device = ?", poll.device)
            assert len(kept) == len(planned)
            assert (poll.pair, poll.host, poll.received) == (pair_of(made, poll.device), HOST, 0)
            assert poll.created % 60 == 0 and poll.created // 86_400 in {row[0] for row in planned}
            await peer.close()
        with Reader(made.paths.ledger) as reader:
            (day, *_) = [row for row in reader.polls() if row.asked and row.device == poll.device]
        ((period, phase),) = {row[2:] for row in planned}
        # it left at a time of the schedule, which a restart keeps
        assert (day.first - phase) % period == 0 and day.first // DAY == day.day

    run(work)


def test_without_its_schedule_on_disk_nothing_is_asked(tmp_path: Path) -> None:
    """The same schedule, whose plans a test commits at its own time."""
    made = home(tmp_path)

    class Link:
        asked: ClassVar[list[Poll]] = []

        def send(self, message: Poll) -> None:
            self.asked.append(message)

    async def work() -> None:
        store = Store(made.paths.ledger, Quotas(10, 10, 10, 10))
        store.open()
        writer = Writer(asyncio.get_running_loop())
        writer.start()
        plans: list[Work] = []
        link: Any = Link()
        schedule = Inbox(
            RegistryFile(made.paths.registry), store, writer, plans.append, lambda: link,
            seconds=0.1, keep_seconds=1000, answer_seconds=10,
        )  # fmt: skip
        schedule.start()
        await eventually(lambda: {plan.place.device for plan in plans if isinstance(plan, Plan)} == {"plug", "lamp"})
        await asyncio.sleep(0.5)  # five times of the schedule
        assert {plan.place.device for plan in plans if isinstance(plan, Plan)} == {"plug", "lamp"}
        assert link.asked == []
        mine = [plan for plan in plans if isinstance(plan, Plan) and plan.place.device == "plug"]
        for plan in mine:
            plan.kept = True
            schedule.recorded(plan)
        await eventually(lambda: bool(link.asked))
        assert {poll.device for poll in link.asked} == {"plug"}
        schedule.stop()
        await writer.stop()
        store.close()

    run(work)


def test_what_came_is_on_record_before_the_device_has_it_and_waits_until_it_says_so(tmp_path: Path) -> None:
    made = home(tmp_path)
    bad = PolledEntry(40, "setting", Reason.NOT_IN_SCHEMA.code, "On: true or false", ("/inbox/1/payload/on",), b"", 0)

    async def work() -> None:
        async with running(made) as socket, courier(socket, once(entry(17), bad, entry(41))) as vendor:
            door = await connect(socket, "door")
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM inbox") == [(2,)])
            assert [poll.received for poll in await vendor.asked("plug", len(vendor.polls["plug"]) + 1)][-1] == 41
            found = await ask(door, made)
            assert found.entries == ((1, BODY), (2, BODY)), "numbers of our own, without a gap for what was refused"
            assert (await ask(door, made)).entries == found.entries, "until it says that it has them"
            assert inbox(made) == [("plug", "waiting"), ("plug", "not-in-schema"), ("plug", "waiting")]
            assert [number for number, _ in (await ask(door, made, 1)).entries] == [2]
            assert (await ask(door, made, 2)).entries == ()
            assert (await ask(door, made, 2)).entries == (), "said twice, it means the same"
            assert inbox(made) == [("plug", "taken"), ("plug", "not-in-schema"), ("plug", "taken")]
            assert (await ask(door, made, 3)).reason == Reason.INBOX_RECEIVED.code
            assert {poll.received for poll in vendor.polls["lamp"]} == {0}
            await door.close()
        with Reader(made.paths.ledger) as reader:
            (refused,) = [record.entry for record in reader.inbox() if record.state == "not-in-schema"]
            assert (refused.outgoing, refused.pointers) == (b"", ("/inbox/1/payload/on",))
            (came,) = [record for record in reader.records() if record.kind == "inbox-answer"]
            assert came.original == b"as the vendor wrote it"
            (spent,) = reader.leaks("plug")
            assert (spent.type, spent.spent.answers, spent.spent.answer_bits, spent.bits) == ("setting", 2, 2, 0)
            (day,) = [row for row in reader.polls("plug") if row.entries]
            assert (day.occupied, day.entries) == (1, 2) and day.bits > 0

    run(work)


def test_another_device_or_pair_or_host_sees_nothing_of_it(tmp_path: Path) -> None:
    made = home(tmp_path)

    async def work() -> None:
        async with running(made) as socket, courier(socket, once(entry(1))):
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM inbox") == [(1,)])
            door = await connect(socket, "door")
            assert (await ask(door, made, device="lamp")).entries == ()
            assert (await ask(door, made, pair="d-another")).entries == ()
            assert (await ask(door, made, device="lamp", received=1)).reason == Reason.INBOX_RECEIVED.code
            # a door that mixes up whose pair it is takes nothing away
            assert (await ask(door, made, 1, device="lamp", pair=pair_of(made, "plug"))).reason == -1
            assert len((await ask(door, made)).entries) == 1
            await door.close()

    run(work)


def test_a_full_inbox_displaces_its_oldest_and_the_questions_tell_nothing_of_the_device(tmp_path: Path) -> None:
    """The lamp takes everything at once, the plug never asks: their vendor cannot tell which is which."""
    made = home(tmp_path)
    more = mailbox.MOST_WAITING + 16

    def answer(poll: Poll) -> Polled:
        last = min(poll.received + 16, more)
        return sent(poll, *map(entry, range(poll.received + 1, last + 1))) if poll.received < more else nothing(poll)

    async def work() -> None:
        async with running(made) as socket, courier(socket, answer) as vendor:
            door = await connect(socket, "door")
            taken = 0
            while taken < more:
                found = await ask(door, made, taken, device="lamp")
                taken = found.entries[-1][0] if found.entries else taken
                await asyncio.sleep(0.01)
            await ask(door, made, taken, device="lamp")
            asked = [[poll.received for poll in (await vendor.asked(device, 7))[:7]] for device in ("plug", "lamp")]
            assert asked[0] == asked[1] == [0, 16, 32, 48, 64, 80, 80]
            with Reader(made.paths.ledger) as reader:
                states = [record.state for record in reader.inbox(1000, device="plug")]
            assert states == ["waiting"] * mailbox.MOST_WAITING + [Reason.INBOX_FULL.label] * 16
            first = await ask(door, made)
            assert (first.entries[0][0], len(first.entries)) == (17, 16)
            await door.close()

    run(work)


def test_bytes_that_wait_are_bounded_too(tmp_path: Path) -> None:
    made = home(tmp_path)
    big = b'{"payload":{"on":"' + b"x" * 100_000 + b'"},"type":"setting"}'

    async def work() -> None:
        async with running(made) as socket, courier(socket, once(*(entry(seq, big) for seq in range(1, 5)))):
            await eventually(lambda: rows(made.paths.ledger, "SELECT number FROM inbox ORDER BY number") == [(3,), (4,)])
            door = await connect(socket, "door")
            assert [number for number, _ in (await ask(door, made)).entries] == [3], "a large one comes alone"
            await door.close()

    run(work)


def test_what_waits_survives_kill_9_and_nothing_comes_twice(tmp_path: Path) -> None:
    made = home(tmp_path)

    async def work() -> None:
        socket = made.paths.socket("ledger")
        ledger = Process(tmp_path)
        async with courier(socket, once(entry(5), entry(6))) as vendor:
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM inbox") == [(2,)])
            await vendor.asked("plug", len(vendor.polls["plug"]) + 1)
        ledger.kill()
        ledger = Process(tmp_path)
        try:
            door = await connect(socket, "door")
            async with courier(socket, once(entry(5), entry(6), entry(7))) as vendor:
                assert (await vendor.asked("plug", 1))[0].received == 6
                await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM inbox") == [(3,)])
                assert [number for number, _ in (await ask(door, made)).entries] == [1, 2, 3]
                assert (await ask(door, made, 3)).entries == ()
            await door.close()
            assert inbox(made) == [("plug", "taken")] * 3
            assert rows(made.paths.ledger, "SELECT count(*) FROM records WHERE kind = 'inbox-plan' AND device = 'plug'") == rows(
                made.paths.ledger, "SELECT count(*) FROM polls WHERE device = 'plug'"
            ), "a restart makes no new schedule"
        finally:
            ledger.stop()

    run(work)


def test_what_cannot_be_recorded_is_not_acknowledged(tmp_path: Path) -> None:
    made = home(tmp_path)
    file = made.paths.ledger

    async def work() -> None:
        async with running(made) as socket:
            failed: list[int] = []

            def answer(poll: Poll) -> Polled:
                if poll.device == "plug" and not failed:
                    failed.append(poll.received)
                    file.rename(file.with_suffix(".away"))  # the next commit finds another file in its place
                    file.touch()
                return once(entry(5))(poll)

            async with courier(socket, answer) as vendor:
                await eventually(lambda: bool(failed))
                await eventually(lambda: rows(file, "SELECT count(*) FROM sqlite_schema WHERE name = 'inbox'") == [(1,)])
                await eventually(lambda: rows(file, "SELECT count(*) FROM inbox") == [(1,)])
                received = [poll.received for poll in await vendor.asked("plug", 2)]
                assert received[:2] == [0, 0], "asked for again"

    run(work)


@pytest.mark.parametrize(
    "refusing",
    [
        Polled("", 404, Reason.VENDOR_REFUSED.code, "", 0, b"<html>", ()),
        Polled("", 503, Reason.VENDOR_BUSY.code, "", 3600, b"", ()),
        Polled("", 200, Reason.VENDOR_ANSWER.code, "no inbox", 3600, b"junk", ()),
    ],
    ids=["none here", "busy", "not conforming"],
)
def test_a_host_that_has_none_or_asks_for_time_is_asked_less_often(tmp_path: Path, refusing: Polled) -> None:
    made = home(tmp_path)

    def answer(poll: Poll) -> Polled:
        return msgspec.structs.replace(refusing, id=poll.id) if poll.device == "plug" else nothing(poll)

    async def work() -> None:
        async with running(made) as socket, courier(socket, answer) as vendor:
            await vendor.asked("plug", 1)
            await vendor.asked("lamp", len(vendor.polls["lamp"]) + 6)
            assert len(vendor.polls["plug"]) == 1
            if refusing.original == b"junk":
                assert rows(made.paths.ledger, "SELECT original, reason FROM records WHERE kind = 'inbox-answer'") == [
                    (b"junk", Reason.VENDOR_ANSWER.code)
                ]

    run(work)


@pytest.mark.parametrize("how", ["quarantine", "forget", "another vendor"])
def test_an_owner_s_word_ends_questions_and_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    made = home(tmp_path)
    registry = RegistryFile(made.paths.registry)

    async def work() -> None:
        async with running(made) as socket, courier(socket, once(entry(1))) as vendor:
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM inbox") == [(1,)])
            before = pair_of(made, "plug")
            with registry.change() as change:
                if how == "quarantine":
                    change.set_kind("plug", Kind.QUARANTINED)
                elif how == "forget":
                    change.forget("plug")
                else:
                    document = manifest(HOST).replace(b'"Acme"', b'"Umbrella"')
                    change.approve("plug", document, made.dmz.pool_ipv4, made.dmz.pool_ipv6)
            await eventually(lambda: inbox(made)[-1] == ("plug", Reason.INBOX_WITHDRAWN.label))
            asked = len(vendor.polls["plug"])
            await vendor.asked("lamp", len(vendor.polls["lamp"]) + 4)
            later = vendor.polls["plug"][asked:]
            assert before not in {poll.pair for poll in later}
            assert bool(later) is (how == "another vendor")
            states = rows(made.paths.ledger, "SELECT pair FROM inbox_pairs WHERE pair = ?", before)
            assert bool(states) is (how == "quarantine"), "a pair that is no more leaves nothing"

    run(work)


def test_what_nobody_fetches_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.ledger.inbox.WRITE_SECONDS", 0.2)
    made = home(tmp_path, give_up_seconds=1)

    async def work() -> None:
        async with running(made) as socket, courier(socket, once(entry(1))):
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM records WHERE kind = 'inbox-end'") == [(1,)])
            assert inbox(made) == [("plug", Reason.INBOX_EXPIRED.label)]
            door = await connect(socket, "door")
            assert (await ask(door, made)).entries == ()
            await door.close()

    run(work)


def test_what_a_door_finds_wrong_is_recorded_and_goes_to_nobody(tmp_path: Path) -> None:
    made = home(tmp_path)

    async def work() -> None:
        async with running(made) as socket, courier(socket, once(entry(1), entry(2))):
            await eventually(lambda: rows(made.paths.ledger, "SELECT count(*) FROM inbox") == [(2,)])
            door = await connect(socket, "door")
            pair = pair_of(made, "plug")
            door.send(EntryRefused("lamp", pair, HOST, 1, Reason.NOT_DECLARED.code, "not its own"))
            door.send(EntryRefused("plug", pair, HOST, 2, Reason.NOT_DECLARED.code, "narrowed"))
            assert [number for number, _ in (await ask(door, made)).entries] == [1]
            assert inbox(made) == [("plug", "not-declared"), ("plug", "waiting")]
            await door.close()

    run(work)


def test_switched_off_nobody_is_asked(tmp_path: Path) -> None:
    made = home(tmp_path, inbox_seconds=0)

    async def work() -> None:
        async with running(made) as socket, courier(socket) as vendor:
            await asyncio.sleep(1.0)
            assert vendor.polls == {"plug": [], "lamp": []}
            assert rows(made.paths.ledger, "SELECT count(*) FROM records") == [(0,)]

    run(work)


def test_a_courier_that_died_is_asked_again_by_schedule(tmp_path: Path) -> None:
    made = home(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            first = await connect(socket, "courier")
            await first.get()
            await first.close()
            async with courier(socket, once(entry(1))) as vendor:
                await vendor.asked("plug", 2)
                await eventually(lambda: inbox(made) == [("plug", "waiting")])

    run(work)


@pytest.mark.parametrize(
    "wrong",
    [
        Polled("", 2**63, -1, "", 0, b"", ()), Polled("", 200, 2**63, "", 0, b"x", ()), Polled("", -1, -1, "", 0, b"x", ()),
        Polled("", 200, -1, "", 0, b"x", (PolledEntry(2**63, "setting", -1, "", (), BODY, 1),)),
        Polled("", 200, -1, "", 0, b"x", (PolledEntry(1, "setting", 2**63, "", (), b"", 1),)),
    ],
)  # fmt: skip
def test_numbers_that_no_vendor_can_answer_stop_no_records(tmp_path: Path, wrong: Polled) -> None:
    made = home(tmp_path)

    def answer(poll: Poll) -> Polled:
        return msgspec.structs.replace(wrong, id=poll.id) if poll.device == "plug" else once(entry(1), device="lamp")(poll)

    async def work() -> None:
        async with running(made) as socket, courier(socket, answer) as vendor:
            await vendor.asked("plug", 2)
            await eventually(lambda: inbox(made) == [("lamp", "waiting")])
        assert rows(
            made.paths.ledger,
            "SELECT count(*) FROM records WHERE device = 'plug' AND kind LIKE 'inbox%' AND kind <> ?",
            mailbox.PLAN,
        ) == [(0,)]

    run(work)


def test_nobody_is_asked_for_a_device_that_the_owner_s_rules_shut_out(tmp_path: Path) -> None:
    """By the rules alone, and again as soon as they are gone; who is not shut out is asked as before."""
    made = home(tmp_path)
    add(made.paths.rules, {"name": "out", "device": "plug", "do": "quarantine"})

    async def work() -> None:
        async with running(made), courier(made.paths.socket("ledger")) as vendor:
            await vendor.asked("lamp", 3)
            assert vendor.polls["plug"] == []
            switch(made.paths.rules, "remove", "out")
            await vendor.asked("plug", 1)
            add(made.paths.rules, {"name": "other", "device": "lamp", "do": "quarantine"})
            await vendor.asked("plug", len(vendor.polls["plug"]) + 2)
            before = len(vendor.polls["lamp"])
            await vendor.asked("plug", len(vendor.polls["plug"]) + 2)
            assert len(vendor.polls["lamp"]) == before

    run(work)
