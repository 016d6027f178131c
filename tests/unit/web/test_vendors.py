"""The vendors' pages over real HTTP: what they say, and that the page to publish holds nothing of the home."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gateway.reasons import Reason
from gateway.registry import Device, Kind
from gateway.scorecard import key
from gateway.web.vendors import file_name
from tests.unit.web.house import SAMPLES, House, run
from tests.unit.web.test_pages import shown

READING = {"measured": "2026-11-22T13:37:42Z", "on": True, "power": 61.4, "label": "Grandma's secret lamp"}
ACME = f"/vendors/{key('Acme')}"


class Elements(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_vendor_is_shown_with_what_it_declares_sends_and_tries(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        await house.say(READING)
        await house.say(
            {"measured": "2026-11-22T13:38:42Z", "on": True, "power": 1.5}, "m-2", left={"withheld": ["/payload/label"]}
        )
        await house.attempt("plug", Reason.QUIC)
        listed = await owner.get("/vendors")
        assert listed.status == 200 and f'href="{ACME}"' in listed.text
        await shown(owner, ACME, "tried QUIC (UDP 443)")
        page = (await owner.get(ACME)).text
        assert ">41<" in page and "api.acme.example" in page
        told = (await owner.get("/api/vendors")).json
        (card,) = told["vendors"]
        assert (card["name"], card["messages"], card["looked_at"], card["whole"]) == ("Acme", 2, 2, True)
        reading = next(each for each in card["types"] if each["type"] == "power-reading")
        sent = {field["pointer"]: field["sent"] for field in reading["fields"]}
        assert (sent["/payload/power"], sent["/payload/label"], sent["/payload/uptime"]) == (2, 1, 0)
        assert (await owner.get("/vendors/0000000000000000")).status == 404
        household = await house.household(owner)
        for path in ("/vendors", ACME, f"{ACME}/preview", f"{ACME}/page"):
            assert (await household.get(path)).status == 200, path

    run(tmp_path, work)


def test_without_a_session_nobody_sees_a_score(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await house.begin()
        stranger = house.browser()
        for path in ("/vendors", ACME, f"{ACME}/preview", f"{ACME}/page"):
            got = await stranger.get(path)
            assert (got.status, got.where, got.text) == (303, "/login", ""), path
        assert (await stranger.get("/api/vendors")).status == 401

    run(tmp_path, work)


def test_the_page_to_publish_stands_alone_and_holds_nothing_of_the_home(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        dmz = house.config.dmz
        with house.registry.change() as change:
            change.admit(Device(id="nursery", name="Crib watch", kind=Kind.LOCAL, mac="02:00:00:00:00:77"))
            document = (SAMPLES / "acme.mud.json").read_bytes()
            change.approve("nursery", document, dmz.pool_ipv4, dmz.pool_ipv6, now=int(time.time()))
            change.set_kind("nursery", Kind.QUARANTINED)
        await house.say(READING, "m-secret", "nursery")
        await house.attempt("nursery", Reason.QUIC, count=4177)
        await house.attempt("nursery", Reason.TO_LAN, "192.168.77.12")
        await house.attempt("nursery", Reason.QUARANTINED, "198.51.100.7")
        await shown(owner, ACME, "this device is quarantined")
        got = await owner.get(f"{ACME}/page")
        assert got.headers["content-disposition"] == 'attachment; filename="mudroom-acme.html"'
        page = got.text
        assert page.startswith("<!doctype html>") and "Score of" in page
        assert "tried QUIC (UDP 443): about 4,000" in page and "tried to reach the home network" in page
        for own in (
            "nursery", "Crib", "02:00:00", "61.4", "Grandma", "203.0.113.9", "192.168", "198.51", "quarantined", "m-secret",
            "4177", "4,177", "127.0.0.1", "mudroom.home.arpa", "2026-11-22", "Devices here",
        ):  # fmt: skip
            assert own not in page, own
        assert not re.search(r"\d\d:\d\d", page), "a time finer than a day"
        elements = Elements(page).found
        assert not {tag for tag, _ in elements} & {
            "script",
            "img",
            "link",
            "iframe",
            "object",
            "embed",
            "form",
            "a",
            "base",
            "svg",
        }
        for tag, attributes in elements:
            assert not {name for name in attributes if name.startswith("on") or name in ("src", "href", "action")}, tag
        assert "url(" not in page and "@import" not in page
        preview = (await owner.get(f"{ACME}/preview")).text
        for line in ("What its devices tried beside the standard", "tried to reach the home network"):
            assert line in preview
        assert "<style" not in preview

    run(tmp_path, work)


def test_a_hostile_vendor_name_stays_text(tmp_path: Path) -> None:
    hostile = "</style></title><script>x</script>\u202e"

    async def work(house: House) -> None:
        owner = await house.begin()
        await house.say(READING, "m-9", vendor=hostile)
        listed = (await owner.get("/vendors")).text
        assert "<script>x" not in listed and "\u202e" not in listed and "&lt;script&gt;x" in listed
        place = f"/vendors/{key(hostile)}"
        for path in (place, f"{place}/preview", f"{place}/page"):
            got = await owner.get(path)
            assert got.status == 200, path
            assert "<script>x" not in got.text and "\u202e" not in got.text, path
        assert 'filename="mudroom-style-title-script-x-script.html"' in got.headers["content-disposition"]

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Acme", "mudroom-acme.html"), ('../../etc"\r\nX: y', "mudroom-etc-x-y.html"), ("東京", "mudroom-vendor.html"),
        ("A" * 300, f"mudroom-{'a' * 40}.html"), ("", "mudroom-vendor.html"),
    ],
)  # fmt: skip
def test_a_file_name_holds_letters_and_digits_only(name: str, file: str) -> None:
    assert file_name(name) == file


def test_charts_stand_beside_what_they_draw(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        await house.say(READING)
        await house.attempt("plug", Reason.QUIC)
        await shown(owner, "/attempts", "tried QUIC")
        for path in ("/devices/plug", "/leaks", ACME):
            text = (await owner.get(path)).text
            assert 'role="img"' in text and "<desc" in text and 'style="' not in text, path
        text = (await owner.get("/attempts")).text
        assert '<table class="bars">' in text and "tried QUIC" in text

    run(tmp_path, work)
