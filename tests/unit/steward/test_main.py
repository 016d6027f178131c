"""The steward's socket: who may ask, what needs which role, and that a decision is on record before it is carried out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from gateway import service
from gateway.box import firststart
from gateway.ipc.channel import Channel
from gateway.ipc.frames import FrameReader, encode
from gateway.ipc.steward import (
    AskCounts,
    AskDeeds,
    AskMessage,
    AskMessages,
    AskNews,
    Begin,
    Decide,
    Deeds,
    Done,
    Enter,
    Entered,
    FromSteward,
    Leave,
    MessageRow,
    Messages,
    News,
    Standing,
    Stands,
)
from gateway.ledger.reader import Reader
from gateway.registry import Device, Kind, Registry, RegistryFile
from gateway.steward import looking, main, peer
from gateway.steward.guesses import EACH_AT_ONCE
from gateway.steward.main import Steward
from gateway.steward.pairing import One
from gateway.steward.record import Book
from gateway.web.link import Link, NoSteward, Refused
from tests.unit.ledger.peers import as_uid, settings
from tests.unit.steward.test_guesses import Clock
from tests.unit.web.house import HOUSEHOLD, PASSWORD, House, run

HERE = "192.168.77.10"


async def begun(house: House) -> tuple[Link, str]:
    link = Link(house.config.paths.socket("steward"), seconds=10)
    firststart.make(house.state)
    found = await link.ask(Begin(0, firststart.code(house.state) or "", PASSWORD, HERE), Entered)
    assert found.role == "owner", found
    return link, found.token


async def household(link: Link, token: str) -> str:
    assert (await link.ask(Decide(0, token, HERE, "household", value=HOUSEHOLD), Done)).error == ""
    return (await link.ask(Enter(0, HOUSEHOLD, HERE), Entered)).token


def test_nothing_but_the_way_in_is_answered_without_a_session(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        link, token = await begun(house)
        for wrong in ("", "x", token[:-1], token.swapcase()):
            for question in (
                AskNews(0, wrong), AskMessages(0, wrong, "", 5), AskMessage(0, wrong, "m"), AskCounts(0, wrong),
                AskDeeds(0, wrong, 5), Leave(0, wrong), Decide(0, wrong, HERE, "kind", "plug", "quarantined"),
            ):  # fmt: skip
                with pytest.raises(Refused, match="session"):
                    await link.ask(question, Done)
            assert await link.ask(Standing(0, wrong), Stands) == Stands(link._last, "", True)
        assert house.registry.current().by_id["plug"].kind is Kind.STANDARD
        assert (await link.ask(Standing(0, token), Stands)).role == "owner"
        assert (await link.ask(Leave(0, token), Done)).error == ""
        assert (await link.ask(Standing(0, token), Stands)).role == ""

    run(tmp_path, work)


def test_the_code_serves_once_and_only_at_first_start(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        link = Link(house.config.paths.socket("steward"))
        assert (await link.ask(Begin(0, "", PASSWORD, HERE), Entered)).token == "", "there is no code yet"
        firststart.make(house.state)
        code = firststart.code(house.state) or ""
        weak = await link.ask(Begin(0, code, "short", HERE), Entered)
        assert weak.token == "" and "at least" in weak.error
        assert firststart.code(house.state) == code, "what is refused uses nothing up"
        assert (await link.ask(Begin(0, code, PASSWORD, HERE), Entered)).role == "owner"
        assert firststart.code(house.state) is None
        assert (await link.ask(Begin(0, code, "another fine password", HERE), Entered)).token == ""
        assert (await link.ask(Enter(0, PASSWORD, HERE), Entered)).role == "owner"

    run(tmp_path, work)


def test_guesses_are_bounded_and_a_right_one_beyond_is_not_even_looked_at(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        link, _ = await begun(house)
        for _ in range(EACH_AT_ONCE):
            found = await link.ask(Enter(0, "wrong, surely wrong", "192.168.77.66"), Entered)
            assert (found.token, found.wait, found.error) == ("", 0, main.WRONG)
        late = await link.ask(Enter(0, PASSWORD, "192.168.77.66"), Entered)
        assert late.token == "" and late.wait > 0
        assert (await link.ask(Enter(0, PASSWORD, HERE), Entered)).role == "owner", "the owner's machine is another"

    run(tmp_path, work)


def test_the_household_s_login_buys_no_guesses_at_the_owner_s(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        link, token = await begun(house)
        await household(link, token)
        waits = []
        for said in (*["wrong, surely wrong"] * (EACH_AT_ONCE - 2), HOUSEHOLD, "wrong, surely wrong", "wrong, surely wrong"):
            waits.append((await link.ask(Enter(0, said, "192.168.77.66"), Entered)).wait)
        assert waits[-1] > 0 and not any(waits[:-1])

    run(tmp_path, work)


def test_the_household_decides_nothing(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        link, token = await begun(house)
        guest = await household(link, token)
        assert isinstance(await link.ask(AskNews(0, guest), News), News)
        for what in ("kind", "approve", "decline", "admit", "forget", "budget", "pace", "household", "password"):
            with pytest.raises(Refused, match="role"):
                await link.ask(Decide(0, guest, HERE, what, "plug", "quarantined"), Done)  # type: ignore[arg-type]
        assert house.registry.current().by_id["plug"].kind is Kind.STANDARD

    run(tmp_path, work)


def test_a_decision_is_on_record_before_it_is_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(house: House) -> None:
        link, token = await begun(house)
        seen: list[tuple[str, str, str, str]] = []
        write = RegistryFile._write

        def looked(self: RegistryFile, registry: Registry) -> None:
            with Reader(house.config.paths.ledger) as reader:
                seen.extend((row.type, row.device, row.host, row.detail) for row in reader.deeds(1))
            write(self, registry)

        monkeypatch.setattr(RegistryFile, "_write", looked)
        assert await link.ask(Decide(0, token, HERE, "kind", "plug", "quarantined"), Done) == Done(link._last, "")
        assert seen == [("kind", "plug", f"owner at {HERE}", "quarantined")]
        assert house.registry.current().by_id["plug"].kind is Kind.QUARANTINED
        rows = (await link.ask(AskDeeds(0, token, 10), Deeds)).rows
        assert [(row.what, row.device, row.by) for row in rows] == [
            ("kind", "plug", f"owner at {HERE}"), ("first-start", "", f"owner at {HERE}"),
        ]  # fmt: skip

    run(tmp_path, work)


def test_no_password_is_ever_on_record(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        link, token = await begun(house)
        await household(link, token)
        changed = await link.ask(Decide(0, token, HERE, "password", "", "a password of the morrow", PASSWORD), Done)
        assert changed.error == ""
        assert (await link.ask(Standing(0, token), Stands)).role == "", "the old password's sessions are over"
        with Reader(house.config.paths.ledger) as reader:
            assert {row.type for row in reader.deeds()} == {"first-start", "household", "password"}
            assert {row.detail for row in reader.deeds()} == {""}
        for file in house.state.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                assert not any(word.encode() in content for word in (PASSWORD, HOUSEHOLD, "a password of the morrow")), file

    run(tmp_path, work)


def test_without_the_ledger_what_gives_is_refused_and_what_takes_is_done_loudly(tmp_path: Path) -> None:
    made = settings(tmp_path)
    for folder in (Path(made.paths.state), Path(made.paths.run, "steward")):
        folder.mkdir(parents=True, exist_ok=True)
    registry = RegistryFile(made.paths.registry)
    with registry.change() as change:
        change.admit(Device(id="plug", name="Plug", kind=Kind.LOCAL, mac="02:00:00:00:00:01"))
        change.bound_leaks("plug", bits_per_day=1000)

    async def work() -> None:
        stop = asyncio.Event()
        serving = asyncio.create_task(main.serve(made, lambda config, macs: None, stop, lambda: ()))
        link = Link(made.paths.socket("steward"))

        async def decide(*words: str) -> Done:
            return await link.ask(Decide(0, token, HERE, *words), Done)  # type: ignore[arg-type]

        try:
            async with asyncio.timeout(20):
                while not made.paths.socket("steward").exists():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            firststart.make(Path(made.paths.state))
            token = (await link.ask(Begin(0, firststart.code(Path(made.paths.state)) or "", PASSWORD, HERE), Entered)).token
            before = made.paths.registry.read_bytes()
            for words in (
                ("admit", "lamp", "02:00:00:00:00:09"), ("budget", "plug", "1001"), ("budget", "plug", "default"),
                ("pace", "plug", "off"), ("kind", "plug", "standard"), ("household", "", HOUSEHOLD),
            ):  # fmt: skip
                done = await decide(*words)
                assert "could not be recorded" in done.error and not done.unrecorded, words
            assert made.paths.registry.read_bytes() == before
            for words in (
                ("budget", "plug", "999"), ("pace", "plug", "3600"), ("kind", "plug", "quarantined"), ("household", "", ""),
            ):  # fmt: skip
                done = await decide(*words)
                assert not done.error and "no answer" in done.unrecorded, words
            assert registry.current().by_id["plug"].kind is Kind.QUARANTINED
            assert "could not be recorded" in (await decide("forget", "plug")).error, "a stranger may ask to enrol"
            with pytest.raises(Refused, match="has the ledger ever run"):
                await link.ask(AskNews(0, token), News)
        finally:
            stop.set()
            await serving
            link.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    ("decide", "words"),
    [
        (("kind", "plug", "passthrough"), "say one of"),
        (("kind", "lamp", "local"), "there is no device lamp"),
        (("approve", "plug", "0" * 64), "no manifest of plug waits"),
        (("admit", "../etc", "02:00:00:00:00:09"), "use 1 to 32"),
        (("admit", "lamp", "$(reboot)"), "six pairs"),
        (("admit", "lamp", "02:00:00:00:00:01"), "already plug's"),
        (("forget", "lamp", ""), "there is no device lamp"),
        (("budget", "plug", "-1"), "whole number"),
        (("pace", "plug", "nan"), "0.1 to 3600"),
    ],
)
def test_what_makes_no_sense_changes_nothing_and_is_said(tmp_path: Path, decide: tuple[str, str, str], words: str) -> None:
    async def work(house: House) -> None:
        link, token = await begun(house)
        before = house.config.paths.registry.read_bytes()
        done = await link.ask(Decide(0, token, HERE, *decide), Done)  # type: ignore[arg-type]
        assert words in done.error
        assert house.config.paths.registry.read_bytes() == before

    run(tmp_path, work)


def test_admitting_and_forgetting_tells_the_lease_server(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        link, token = await begun(house)
        assert (await link.ask(Decide(0, token, HERE, "admit", "lamp", "02:00:00:00:00:09", "Lamp"), Done)).error == ""
        assert (await link.ask(Decide(0, token, HERE, "forget", "plug"), Done)).error == ""
        assert house.told == [("02:00:00:00:00:01", "02:00:00:00:00:09"), ("02:00:00:00:00:09",)]
        assert house.registry.current().by_id["lamp"].kind is Kind.LOCAL, "a newcomer is for the home only"

    run(tmp_path, work)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes before the other side ends, whichever way it does."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


HEAVY = MessageRow("m", 1, "plug", "Acme", "in.acme.example", "reading", "delivered", bytes(2 * 1024 * 1024))


def heavy(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each look at the newest messages gives two megabytes; the list grows with each."""
    looked: list[str] = []

    def messages(book: Book, device: str, limit: int) -> tuple[MessageRow, ...]:
        looked.append(device)
        return (HEAVY,)

    monkeypatch.setattr(Book, "messages", messages)
    return looked


async def greedy(house: House, token: str, questions: int = 40) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Asks, and takes nothing."""
    reader, writer = await asyncio.open_unix_connection(str(house.config.paths.socket("steward")))
    for ref in range(questions):
        writer.write(encode(AskMessages(ref, token, "", 5)))
    await writer.drain()
    return reader, writer


def test_who_takes_no_answers_costs_no_more_memory_than_a_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = heavy(monkeypatch)

    async def work(house: House) -> None:
        link, token = await begun(house)
        reader, writer = await greedy(house, token)
        for _ in range(5):  # each goes through the thread that looks, behind what is to be looked at already
            assert (await link.ask(Standing(0, token), Stands)).role == "owner", "others are answered meanwhile"
        assert len(looked) <= 4
        frames, taken = FrameReader(), 0
        while taken < 40:
            taken += len(frames.feed(await reader.read(1024 * 1024)))
        assert len(looked) == 40, "who takes them gets all"
        writer.close()

    run(tmp_path, work)


def test_who_never_takes_them_is_cut_off_and_others_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heavy(monkeypatch)
    monkeypatch.setattr(peer, "TAKE_SECONDS", 0.1)

    async def work(house: House) -> None:
        link, token = await begun(house)
        reader, writer = await greedy(house, token)
        for _ in range(3):  # the first may come before them, the others stand behind
            assert (await link.ask(AskMessages(0, token, "", 5), Messages)).rows == (HEAVY,)
        taken = await rest(reader)
        assert len(taken) < 40 * len(HEAVY.body)
        writer.close()

    run(tmp_path, work)


def test_a_long_question_is_not_even_waited_for(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        reader, writer = await asyncio.open_unix_connection(str(house.config.paths.socket("steward")))
        writer.write((1024 * 1024).to_bytes(4))
        assert await rest(reader) == b""
        writer.close()

    run(tmp_path, work)


def test_the_household_s_new_password_is_no_way_to_guess_the_owner_s(tmp_path: Path) -> None:
    """That the two must differ tells whether one guessed right: who found an open browser shall not try without a bound."""

    async def work(house: House) -> None:
        link, token = await begun(house)
        answers = [
            (await link.ask(Decide(0, token, "192.168.77.66", "household", value=f"is it this one? {n}"), Done)).error
            for n in range(EACH_AT_ONCE + 1)
        ]
        assert not any(answers[:-1]) and "too many tries" in answers[-1]
        late = await link.ask(Decide(0, token, "192.168.77.66", "household", value=PASSWORD), Done)
        assert "too many tries" in late.error, "and a right guess beyond is not looked at"
        away = await link.ask(Decide(0, token, "192.168.77.66", "household", value=""), Done)
        assert away.error == "", "it can be taken away all the same"

    run(tmp_path, work)


def test_another_user_is_not_heard(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        path = house.config.paths.socket("steward")
        path.chmod(0o666)
        with as_uid(service.uid_of("door")):
            reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(encode(Standing(1, "")))
        assert await rest(reader) == b""
        writer.close()

    run(tmp_path, work)


@pytest.mark.parametrize(
    "question",
    [
        {"message": "Decide", "what": "run"},
        ["Decide", 1, "t", HERE, "run", "plug", "reboot", ""],
        ["AskMessages", 1, "t", "plug", 10_000, False],
        ["Enter", 1, "x" * 513, HERE],
        ["AskMessage", 1, "t", "../" * 100],
        ["Shutdown", 1],
    ],
)
def test_what_is_no_question_cuts_the_link(tmp_path: Path, question: object) -> None:
    async def work(house: House) -> None:
        reader, writer = await asyncio.open_unix_connection(str(house.config.paths.socket("steward")))
        payload = msgspec.msgpack.encode(question)
        writer.write(len(payload).to_bytes(4) + payload)
        assert await rest(reader) == b""
        writer.close()

    run(tmp_path, work)


def test_it_rests_only_when_nobody_is_logged_in_and_nobody_waits(tmp_path: Path) -> None:
    made = settings(tmp_path)
    clock = Clock()

    async def work() -> None:
        steward = Steward(made, lambda config, macs: None, clock)
        assert not steward.idle
        clock.now += main.IDLE_SECONDS + 1
        assert steward.idle
        token = steward.sessions.begin("owner", "o")
        assert not steward.idle
        steward.sessions.end(token)
        steward.guesses.wait("a")
        assert not steward.idle
        clock.now += 60
        assert steward.idle
        steward.enrolling._each["plug"] = One("plug", "02:00:00:00:00:01", "owner", 0.0)
        assert not steward.idle, "a code would be forgotten"
        steward.enrolling._each["plug"].end("enrolled", "", clock.now)
        assert steward.idle
        look = steward.looking._each["plug"] = looking.One("plug", "02:00:00:00:00:01", "https://a.example/m", "owner", 0)
        assert not steward.idle, "what a vendor is about to answer would be lost"
        look.state = "failed"
        assert steward.idle

    asyncio.run(work())


def test_the_link_starts_anew_after_the_steward_did(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        link, token = await begun(house)
        assert link._channel is not None
        link._channel.close()
        assert (await link.ask(Standing(0, token), Stands)).role == "owner"
        house.config.paths.socket("steward").rename(house.config.paths.socket("steward").with_name("away"))
        link.close()
        await asyncio.sleep(0)
        with pytest.raises(NoSteward):
            await link.ask(Standing(0, token), Stands)

    run(tmp_path, work)


def test_an_answer_that_is_no_answer_is_none(tmp_path: Path) -> None:
    made = tmp_path / "socket"

    async def work() -> None:
        def receive(channel: Channel, message: Standing) -> None:
            channel.send(Done(message.ref, ""))

        server = await asyncio.get_running_loop().create_unix_server(lambda: Channel(Standing, receive), str(made))
        link = Link(made)
        with pytest.raises(NoSteward, match="answered with Done"):
            await link.ask(Standing(0, "x"), Stands)
        link.close()
        server.close()

    asyncio.run(work())
    assert FromSteward
