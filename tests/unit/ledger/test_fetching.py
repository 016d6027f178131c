"""Looks at vendors' manifests: on disk before the courier hears of them, and again before the owner does."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.ipc.messages import AskFetch, Fetch, FetchAnswer, Fetched
from gateway.ledger.fetching import MOST_AT_ONCE
from gateway.ledger.reader import Reader
from gateway.reasons import Reason
from tests.unit.ledger.peers import connect, running, settings
from tests.unit.ledger.test_main import run

URL = "https://acme.example/mud/plug.json"
ASK = AskFetch(7, "plug", URL, "manifest")


def test_a_look_is_on_record_before_it_leaves_and_before_it_is_told(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            courier, root = await connect(socket, "courier"), await connect(socket, "root")
            root.send(ASK)
            fetch = await courier.get()
            assert fetch == Fetch(fetch.id, "plug", URL, "manifest")
            with Reader(made.paths.ledger) as reader:
                ((asked, came),) = reader.fetches()
                assert (asked.device, asked.host, asked.type, asked.outgoing) == (
                    "plug",
                    "acme.example",
                    "manifest",
                    URL.encode(),
                )
                assert came is None
                assert reader.messages() == [] and reader.refusals() == []
            courier.send(Fetched("another", 200, -1, "", b"junk"))
            courier.send(Fetched(fetch.id, 200, -1, "", b"the file"))
            assert await root.get() == FetchAnswer(7, 200, -1, "", b"the file")
            courier.send(Fetched(fetch.id, 200, -1, "", b"again"))  # nobody waits for it any more
            with Reader(made.paths.ledger) as reader:
                ((_, came),) = reader.fetches()
                assert came is not None and (came.original, came.status, came.reason) == (b"the file", 200, None)
                assert reader.verify().broken is None

    run(work)


def test_what_went_wrong_is_told_and_recorded(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            root = await connect(socket, "root")
            root.send(ASK)
            assert (await root.get()).reason == Reason.VENDOR_UNREACHABLE.code, "there is no courier"
            courier = await connect(socket, "courier")
            root.send(ASK)
            fetch = await courier.get()
            courier.send(Fetched(fetch.id, 404, Reason.VENDOR_ANSWER.code, "answered 404", b""))
            assert await root.get() == FetchAnswer(7, 404, Reason.VENDOR_ANSWER.code, "answered 404", b"")
            root.send(ASK)
            await courier.get()
            await courier.close()
            assert (await root.get()).reason == Reason.VENDOR_UNREACHABLE.code
        with Reader(made.paths.ledger) as reader:
            told = [came.reason if came else None for _, came in reader.fetches()]
            assert told == [None, Reason.VENDOR_ANSWER, None]

    run(work)


def test_an_owner_who_does_not_wait_finds_what_came_on_record(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            courier, root = await connect(socket, "courier"), await connect(socket, "root")
            root.send(AskFetch(1, "plug", URL, "firmware"))
            fetch = await courier.get()
            await root.close()
            courier.send(Fetched(fetch.id, 200, -1, "", b'{"version":"2"}'))
            again = await connect(socket, "root")
            again.send(ASK)
            await courier.get()
        with Reader(made.paths.ledger) as reader:
            assert [came.original if came else None for _, came in reader.fetches()] == [None, b'{"version":"2"}']

    run(work)


def test_looks_are_bounded_and_never_tried_again(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            courier, root = await connect(socket, "courier"), await connect(socket, "root")
            for _ in range(MOST_AT_ONCE + 1):
                root.send(ASK)
            assert (await root.get()).reason == Reason.LEDGER_UNAVAILABLE.code
            for _ in range(MOST_AT_ONCE):
                assert isinstance(await courier.get(), Fetch)
            await courier.close()
            another = await connect(socket, "courier")
            for _ in range(MOST_AT_ONCE):
                await root.get()
            root.send(ASK)
            await another.get()
            assert another.inbox.empty(), "only the new one"

    run(work)


@pytest.mark.parametrize("role", ["door", "names", "courier"])
def test_only_the_owner_may_ask(tmp_path: Path, role: str) -> None:
    async def work() -> None:
        async with running(settings(tmp_path)) as socket:
            peer = await connect(socket, role)
            peer.send(ASK)
            await peer.ended.wait()

    run(work)
