"""Notices on the pages, with the real record behind them: shown until seen, never lost, and safe whatever a vendor wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateway.box.remembered import seen
from gateway.ipc.noticing import AskNotices, NoticeList, SeeNotices
from gateway.ipc.steward import Done
from gateway.ledger.reader import Reader
from gateway.reasons import Reason
from gateway.steward import noticing
from gateway.web.link import Refused
from tests.unit.web.house import Browser, Got, House, csrf, run

MAC = "02:00:00:00:00:99"
HERE = "192.168.77.10"


async def stranger(house: House, browser: Browser, mac: str = MAC) -> str:
    """One comes, and is noticed; the notice's id."""
    await house.attempt(mac, Reason.UNKNOWN_DEVICE)
    while True:
        for row in (await browser.get("/api/notices")).json["notices"]:
            if row["who"] == mac:
                return str(row["id"])


async def see(browser: Browser, ids: str, **more: str) -> Got:
    return await browser.post("/notices/seen", {"csrf": csrf(await browser.get("/settings")), "ids": ids, **more})


def counted(page: Got) -> int:
    found = re.search(r'(\d+)<span class="unseen"> not seen', page.text)
    return int(found[1]) if found else 0


def test_a_notice_is_shown_until_it_is_seen_and_stays_on_its_page(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        assert "You should know" not in (await browser.get("/")).text
        assert "Nothing that you would have to know" in (await browser.get("/notices")).text
        first = await stranger(house, browser)
        second = await stranger(house, browser, "02:00:00:00:00:98")
        home = await browser.get("/")
        assert MAC in home.text and "You should know" in home.text and counted(home) == 2
        assert (await see(browser, first, back="home")).where == "/"
        home = await browser.get("/")
        assert counted(home) == 1
        part = home.text[home.text.index('id="unseen"') : home.text.index('id="devices"')]
        assert MAC not in part and "02:00:00:00:00:98" in part
        page = await browser.get("/notices")
        assert MAC in page.text and counted(page) == 1
        assert f'value="{second}"' in page.text and f'value="{first}"' not in page.text
        assert (await see(browser, f"{second} {first}")).where == "/notices"
        assert "You should know" not in (await browser.get("/")).text
        shown = (await browser.get("/api/notices")).json
        assert {row["id"]: row["seen"] for row in shown["notices"]} == {first: True, second: True}
        assert shown["unseen"] == 0
        with Reader(house.config.paths.ledger) as reader:
            deeds = reader.deeds(5)
        assert [deed.type for deed in deeds] == ["seen", "seen", "first-start"] and first in deeds[1].detail
        assert set(seen(house.state).known()) == {f"newcomer {MAC}", "newcomer 02:00:00:00:00:98"}

    run(tmp_path, work)


def test_the_navigation_counts_on_every_page_without_looking_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        await stranger(house, browser)
        assert counted(await browser.get("/notices")) == 1
        looks: list[object] = []
        monkeypatch.setattr(noticing, "look", lambda *_, **__: looks.append(1) or [])
        for path in ("/settings", "/attempts", "/leaks", "/devices/plug"):
            assert counted(await browser.get(path)) == 1
        assert looks == []

    run(tmp_path, work)


@pytest.mark.parametrize("ids", ["", "x", "0" * 15, "0" * 17, "G" * 16, " ".join(["0" * 16] * 257), "../../../etc/pas"])
def test_what_is_no_id_is_no_form(tmp_path: Path, ids: str) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        assert (await see(browser, ids)).status == 400
        assert not (house.state / "box" / "seen.json").exists()

    run(tmp_path, work)


def test_what_is_not_there_any_more_cannot_be_seen(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        got = await see(browser, "0" * 16)
        assert got.status == 409 and "is over" in got.text

    run(tmp_path, work)


def test_only_the_owner_marks_and_the_household_sees(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        id = await stranger(house, owner)
        guest = await house.household(owner)
        page = await guest.get("/notices")
        assert MAC in page.text and "/notices/seen" not in page.text
        assert "/notices/seen" not in (await guest.get("/")).text
        assert (await see(guest, id)).status == 403
        assert (await owner.post("/notices/seen", {"ids": id})).status == 403
        assert (await house.browser().post("/notices/seen", {"ids": id})).where == "/login"
        token = guest.cookie.partition("=")[2]
        assert (await house.link.ask(AskNotices(0, token, 5), NoticeList)).unseen == 1
        with pytest.raises(Refused, match="role"):
            await house.link.ask(SeeNotices(0, token, HERE, (id,)), Done)
        assert not (house.state / "box" / "seen.json").exists()

    run(tmp_path, work)


def test_a_damaged_memory_shows_everything_again(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        id = await stranger(house, browser)
        await see(browser, id)
        (house.state / "box" / "seen.json").write_text("{")
        assert counted(await browser.get("/notices")) == 1
        await see(browser, id)
        assert json.loads((house.state / "box" / "seen.json").read_text()).keys() == {f"newcomer {MAC}"}

    run(tmp_path, work)


def test_what_cannot_be_recorded_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        id = await stranger(house, browser)

        def refused(*_: object) -> int:
            raise noticing.NoAnswer("not done, for it could not be recorded: the disk is full")

        monkeypatch.setattr(noticing, "on_record", refused)
        assert "the disk is full" in (await see(browser, id)).text
        assert counted(await browser.get("/notices")) == 1

    run(tmp_path, work)


def test_a_devices_name_stays_a_name(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        with house.registry.change() as change:
            plug = change.registry.devices[0]
            change.forget(plug.id)
        await browser.post(
            "/pair",
            {"csrf": csrf(await browser.get("/settings")), "mac": plug.mac, "device": "plug", "name": "<img src=x onerror=y>&"},
        )
        await house.attempt(plug.mac, Reason.ENROLMENT_WAITING)
        text = (await browser.get("/notices")).text + (await browser.get("/")).text + (await browser.get("/newcomers")).text
        assert "<img" not in text and "&lt;img src=x" in text

    run(tmp_path, work)
