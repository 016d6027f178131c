"""What the owner decides: noted once it is on disk, and by root's word only."""

from __future__ import annotations

from pathlib import Path

from gateway.ipc.messages import Deed, DeedNoted
from gateway.ledger import deeds
from gateway.ledger.batch import Note
from gateway.ledger.deeds import Deeds
from gateway.ledger.reader import Reader
from gateway.reasons import Reason
from tests.unit.ledger.peers import Peer, connect, running, settings
from tests.unit.ledger.test_main import run


def deed(ref: int, detail: str = "quarantined") -> Deed:
    return Deed(ref, "plug", "kind", "owner at 192.168.77.10", detail)


async def root(socket: Path) -> Peer:
    """A peer that understands DeedNoted."""
    import msgspec

    peer = await connect(socket, "root")
    peer.channel._decoder = msgspec.msgpack.Decoder(DeedNoted)
    return peer


def test_a_deed_is_on_disk_before_it_is_noted(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            steward = await root(socket)
            for ref in (5, 6):
                steward.send(deed(ref, "x" * 5000))
                noted = await steward.get()
                assert noted.seq > 0 and noted == DeedNoted(ref, noted.seq, -1)
                with Reader(made.paths.ledger) as reader:
                    assert len(reader.deeds()) == ref - 4
                    row = reader.deeds()[0]
                    assert (row.device, row.type, row.host) == ("plug", "kind", "owner at 192.168.77.10")
                    assert len(row.detail) == deeds.MOST_DETAIL
                    assert reader.verify().broken is None
                    assert reader.messages() == [] and reader.fetches() == []

    run(work)


def test_only_root_may_say_what_the_owner_decided(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            for role in ("door", "names", "courier"):
                peer = await connect(socket, role)
                peer.send(deed(1))
                await peer.ended.wait()
            with Reader(made.paths.ledger) as reader:
                assert reader.deeds() == []

    run(work)


class Told:
    def __init__(self) -> None:
        self.messages: list[object] = []

    def send(self, message: object) -> None:
        self.messages.append(message)


def test_what_is_not_on_disk_is_never_noted() -> None:
    found, told = Deeds(), Told()
    full = found.ask(told, deed(1))  # type: ignore[arg-type]
    failed = found.ask(told, deed(2))  # type: ignore[arg-type]
    assert full is not None and failed is not None and told.messages == []
    found.recorded(full)  # no seq: there was no room
    found.not_recorded(failed)
    found.recorded(Note("fetch", "another", "plug", "", ""))
    assert told.messages == [DeedNoted(1, 0, Reason.RECORD_FULL.code), DeedNoted(2, 0, Reason.LEDGER_UNAVAILABLE.code)]


def test_too_many_at_once_are_told_so() -> None:
    found, told = Deeds(), Told()
    for ref in range(deeds.MOST_AT_ONCE):
        assert found.ask(told, deed(ref)) is not None  # type: ignore[arg-type]
    assert found.ask(told, deed(99)) is None  # type: ignore[arg-type]
    assert told.messages == [DeedNoted(99, 0, Reason.LEDGER_UNAVAILABLE.code)]
