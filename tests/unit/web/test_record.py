"""The Record page over real HTTP: what it finds and how it pages, files in bounded pieces, the chain, erasing."""

from __future__ import annotations

import asyncio
import csv
import http.client
import io
import json
from pathlib import Path

import pytest

from gateway.ipc.recording import AskPiece, Piece
from gateway.steward import archive
from gateway.steward.record import Book
from tests.unit.web.house import Browser, Got, House, csrf, run

HOSTILE = '=HYPERLINK("http://203.0.113.9","\u202ekcilc")\x1b]0;x\x07'


def reading(label: str, power: float = 61.4) -> dict[str, object]:
    return {"measured": "2026-11-22T13:37:42Z", "on": True, "power": power, "label": label}


async def link_to(owner: Browser, page: Got) -> Got:
    """Where "Older" leads."""
    path = page.text.partition('<p><a href="/record?')[2].partition('"')[0].replace("&amp;", "&")
    assert path, page.text
    return await owner.get(f"/record?{path}")


def test_a_message_is_found_by_its_words_device_vendor_and_time(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        await house.say(reading("the smoke is thick"), "m-1")
        await house.say(reading("all is well"), "m-2")
        for query, hits in (
            ("", {"m-1", "m-2"}),
            ("text=smoke", {"m-1"}),
            ("text=smoke+thick&device=plug&vendor=Acme&host=api.acme.example&type=power-reading&since=1h", {"m-1"}),
            ("field=/payload/label%3Dall+is+well", {"m-2"}),
            ("since=1h", {"m-1", "m-2"}),
            ("until=1h", set()),
            ("device=lamp", set()),
            ("refused=yes", set()),
        ):
            page = await owner.get(f"/record?{query}")
            assert page.status == 200
            assert {id for id in ("m-1", "m-2") if f'href="/messages/{id}"' in page.text} == hits, query
        assert (await owner.get("/messages/m-1")).status == 200
        wrong = await owner.get("/record?since=yesterday")
        assert wrong.status == 422 and "say a date" in wrong.text
        assert (await owner.get("/record?before=-1")).status == 400
        assert (await owner.get("/record?text=" + "x" * 300)).status == 400

    run(tmp_path, work)


def test_older_ones_are_a_link_away_and_none_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SHOWN", 2)

    async def work(house: House) -> None:
        owner = await house.begin()
        for number in range(5):
            await house.say(reading(f"number {number}"), f"m-{number}")
        page, seen = await owner.get("/record?device=plug"), []
        for _ in range(3):
            seen += [f"m-{n}" for n in reversed(range(5)) if f'href="/messages/m-{n}"' in page.text]
            if "Older" in page.text:
                page = await link_to(owner, page)
        assert seen == ["m-4", "m-3", "m-2", "m-1", "m-0"]

    run(tmp_path, work)


@pytest.mark.parametrize("most", [archive.MOST_PIECE, 300])
def test_files_are_whole_however_small_their_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(archive, "MOST_PIECE", most)

    async def work(house: House) -> None:
        owner = await house.begin()
        for number in range(10):
            await house.say(reading(HOSTILE if number == 3 else f"number {number}"), f"m-{number}")
        got = await owner.get("/record/export?device=plug&format=jsonl")
        assert got.status == 200 and got.text.isascii() and "\x1b" not in got.text
        assert got.headers["content-disposition"].startswith('attachment; filename="mudroom-record-')
        rows = [json.loads(line) for line in got.text.splitlines()]
        assert [row["id"] for row in rows] == [f"m-{n}" for n in range(10)]
        assert HOSTILE in json.loads(rows[3]["sent_by_device"])["payload"]["label"]
        got = await owner.get("/record/export?device=plug&format=csv")
        table = list(csv.DictReader(io.StringIO(got.text, newline="")))
        assert [row["id"] for row in table] == [f"m-{n}" for n in range(10)]
        assert not any(cell.startswith(("=", "+", "-", "@")) for row in table for cell in row.values())
        assert "\u202e" not in got.text and "\x1b" not in got.text

    run(tmp_path, work)


def test_the_household_looks_and_takes_nothing(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        await house.say(reading("hello"), "m-1")
        guest = await house.household(owner)
        page = await guest.get("/record?device=plug")
        assert 'href="/messages/m-1"' in page.text
        assert "/record/export" not in page.text and "/record/erase" not in page.text
        assert (await guest.get("/record/export?format=csv")).status == 403
        token = csrf(await guest.get("/record"))
        for path in ("/record/erase", "/record/check"):
            assert (await guest.post(path, {"csrf": token, "device": "plug"})).status == 403
            assert (await owner.post(path, {"csrf": "0" * 64, "device": "plug"})).status == 403
        assert (await owner.get("/messages/m-1")).status == 200

    run(tmp_path, work)


def test_what_a_device_said_is_erased_on_record_and_the_chain_holds(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        await house.say(reading("hello"), "m-1")
        ask = await owner.get("/record/erase?device=plug")
        assert "cannot be undone" in ask.text
        wrong = await owner.post("/record/erase", {"csrf": csrf(ask), "device": "plug", "before": "never"})
        assert wrong.status == 409 and "say a date" in wrong.text
        done = await owner.post("/record/erase", {"csrf": csrf(ask), "device": "plug", "before": ""})
        assert (done.status, done.where) == (303, "/record#chain"), done.text
        page = await owner.get("/record")
        assert "of plug are erased" in page.text
        settings = await owner.get("/settings")
        assert "owner at 127.0.0.1" in settings.text and "erase" in settings.text
        assert (await owner.post("/record/check", {"csrf": csrf(page)})).status == 303
        while "being checked" in (page := await owner.get("/record")).text:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # a page tells nobody by itself
        assert "Yes: " in page.text and "follow one another" in page.text

    run(tmp_path, work)


def test_a_file_that_fails_in_its_midst_does_not_end_as_if_it_were_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_PIECE", 300)
    piece = archive.piece

    def failing(book: Book, asks: AskPiece) -> Piece:
        return Piece(asks.ref, error="this takes too long") if asks.after or asks.part else piece(book, asks)

    monkeypatch.setattr(archive, "piece", failing)

    async def work(house: House) -> None:
        owner = await house.begin()
        for number in range(5):
            await house.say(reading(f"number {number}"), f"m-{number}")
        with pytest.raises(http.client.IncompleteRead):
            await owner.get("/record/export?device=plug&format=jsonl")

    run(tmp_path, work)


def test_a_search_that_takes_too_long_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SECONDS", -1.0)
    monkeypatch.setattr("gateway.ledger.searching.OPCODES", 1)

    async def work(house: House) -> None:
        owner = await house.begin()
        page = await owner.get("/record?refused=yes")
        assert page.status == 422 and "say a device, a vendor or a time besides" in page.text
        assert (await owner.get("/record/export?refused=yes&format=csv")).status == 422

    run(tmp_path, work)
