"""Software that devices take: on record before its first byte, and again at its end; bounded whoever asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.ipc.handouts import HandedOut, Handout
from gateway.ipc.messages import Outcome
from gateway.ledger.batch import Note
from gateway.ledger.handouts import MOST_OPEN, MOST_PER_DEVICE, MOST_PER_HOUR, Handouts
from gateway.ledger.reader import Reader
from gateway.reasons import Reason
from tests.unit.ledger.peers import connect, running, settings
from tests.unit.ledger.test_main import run

NOTICE = b'{"digest":"sha-256:00","size":7,"title":"Safer","version":"2.1.0"}'


def handout(number: int, device: str = "plug") -> Handout:
    return Handout(number, f"h-{number}", device, "api.acme.example", NOTICE, 1000)


def test_it_is_on_disk_before_the_door_may_go_on_and_so_is_its_end(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            door, other = await connect(socket, "door"), await connect(socket, "door")
            door.send(handout(7))
            assert await door.get() == Outcome(7, "accepted", 0, b"", "", -1)
            with Reader(made.paths.ledger) as reader:
                ((begun, ended),) = reader.handouts()
                assert (begun.device, begun.host, begun.type, begun.outgoing) == ("plug", "api.acme.example", "firmware", NOTICE)
                assert ended is None
            other.send(HandedOut("h-7", 7, True))  # another worker knows nothing of it
            other.send(handout(8))
            assert (await other.get()).kind == "accepted"
            door.send(HandedOut("h-7", 3, False))
            door.send(HandedOut("h-7", 7, True))  # it has ended
            door.send(handout(9))
            assert (await door.get()).kind == "accepted"
            with Reader(made.paths.ledger) as reader:
                found = {begun.id: ended.original if ended else None for begun, ended in reader.handouts(device="plug")}
                assert found == {"h-7": b'{"sent":3,"whole":false}', "h-8": None, "h-9": None}
                assert reader.messages() == [] and reader.refusals() == [] and reader.fetches() == []
                assert reader.verify().broken is None

    run(work)


@pytest.mark.parametrize("role", ["names", "courier"])
def test_only_doors_hand_out(tmp_path: Path, role: str) -> None:
    async def work() -> None:
        async with running(settings(tmp_path)) as socket:
            peer = await connect(socket, role)
            peer.send(handout(1))
            await peer.ended.wait()

    run(work)


class Door:
    """A channel that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Outcome] = []

    def send(self, message: Any) -> None:
        self.told.append(message)


def on_disk(note: Note | None) -> Note:
    assert note is not None
    note.seq = 1
    return note


def test_a_device_that_begins_again_and_again_is_told_to_wait_and_others_are_not() -> None:
    now = [0.0]
    handouts, door = Handouts(lambda: now[0]), Door()
    for number in range(MOST_PER_DEVICE):
        handouts.recorded(on_disk(handouts.begin(door, handout(number))))  # type: ignore[arg-type]
        assert handouts.end(door, HandedOut(f"h-{number}", 0, False))  # type: ignore[arg-type]
    assert handouts.begin(door, handout(500)) is None  # type: ignore[arg-type]
    assert (door.told[-1].kind, door.told[-1].reason) == ("refused", Reason.FIRMWARE_RATE.code)
    assert handouts.begin(door, handout(501, "lamp"))  # type: ignore[arg-type]
    now[0] = 3600.0
    assert handouts.begin(door, handout(502))  # type: ignore[arg-type]


def test_a_broken_door_that_makes_up_devices_fills_nothing() -> None:
    handouts, door = Handouts(lambda: 0.0), Door()
    taken = 0
    for number in range(2 * MOST_PER_HOUR):
        note = handouts.begin(door, handout(number, f"d-{number}"))  # type: ignore[arg-type]
        if note:
            taken += 1
            handouts.recorded(on_disk(note))
            if number >= MOST_OPEN // 2:
                handouts.end(door, HandedOut(note.id, 0, False))  # type: ignore[arg-type]
    assert taken == MOST_PER_HOUR
    handouts.gone(door)  # type: ignore[arg-type]
    assert handouts.end(door, HandedOut("h-0", 0, False)) is None, "its door is gone"  # type: ignore[arg-type]


def test_open_ones_and_their_words_are_bounded() -> None:
    handouts, door = Handouts(lambda: 0.0), Door()
    notes = [handouts.begin(door, handout(number, f"d-{number}")) for number in range(MOST_OPEN + 1)]  # type: ignore[arg-type]
    assert notes.count(None) == 1
    for odd in (
        Handout(1, "", "d", "h", b"", 1),
        Handout(2, "x" * 65, "d", "h", b"", 1),
        Handout(3, "y", "d", "h", b"x" * 2000, 1),
    ):
        assert Handouts(lambda: 0.0).begin(door, odd) is None  # type: ignore[arg-type]
        assert door.told[-1].reason == Reason.LEDGER_UNAVAILABLE.code
    long = Handouts(lambda: 0.0).begin(door, Handout(4, "z", "d" * 500, "h" * 500, b"", 1))  # type: ignore[arg-type]
    assert long is not None and (len(long.device), len(long.host)) == (64, 256)


def test_what_is_not_on_disk_is_not_accepted() -> None:
    handouts, door = Handouts(lambda: 0.0), Door()
    first, second = (handouts.begin(door, handout(number)) for number in (1, 2))  # type: ignore[arg-type]
    assert first is not None and second is not None
    assert handouts.end(door, HandedOut("h-1", 7, True)) is None, "it has not begun"  # type: ignore[arg-type]
    handouts.not_recorded(first)
    handouts.recorded(second)  # without a seq: there was no room
    assert [(told.kind, told.reason) for told in door.told] == [
        ("refused", Reason.LEDGER_UNAVAILABLE.code),
        ("refused", Reason.RECORD_FULL.code),
    ]
