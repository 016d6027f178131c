"""Looks at vendors' manifests over the pages, with the real steward and ledger; the courier and the vendor are the test's."""

from __future__ import annotations

import asyncio
import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway import fetching
from gateway.announced import mud_folder
from gateway.ipc.looking import AskLooks, Looks, StartLook
from gateway.ipc.messages import Fetch, Fetched, Poll
from gateway.ipc.steward import Done
from gateway.ledger.reader import Reader
from gateway.noting import NotRecorded
from gateway.reasons import Reason
from gateway.registry import Device, Kind
from gateway.standard import cms
from gateway.steward.looking import BUSY, MOST_AT_ONCE
from gateway.web.link import Refused
from tests.unit.ledger.peers import Peer, connect
from tests.unit.standard.test_cms import signer
from tests.unit.web.house import SAMPLES, Browser, Got, House, csrf, run
from tests.unit.web.test_tokens import decided, made

APPROVED = "https://acme.example/mud/plug-7.json"
URL = "https://things.lamp.example/mud/lamp-3.json"
MAC = "02:00:00:00:00:02"
RLO = "\u202e"


def lamp(house: House, url: str = URL, name: str = "Lamp") -> None:
    """An admitted device without a manifest, which announced ``url``."""
    with house.registry.change() as change:
        change.admit(Device(id="lamp", name=name, kind=Kind.LOCAL, mac=MAC))
    announce(house, url)


def announce(house: House, url: str, mac: str = MAC) -> None:
    folder = mud_folder(house.config)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / mac).write_text(f"{url}\n")


def manifest(maximum: float = 3680, **head: str) -> bytes:
    """Acme's, with another upper bound of the power."""
    document: dict[str, Any] = json.loads((SAMPLES / "acme.mud.json").read_text())
    document["ietf-mud:mud"] |= {name.replace("_", "-"): value for name, value in head.items()}
    reading = document["ietf-mud:mud"]["clear-envelope"]["messages"]["power-reading"]["payload"]["properties"]
    reading["power"]["maximum"] = maximum
    return json.dumps(document).encode()


@dataclass
class Vendor:
    """What the courier is asked, without the inboxes' own schedule, which asks when a minute begins."""

    peer: Peer

    async def get(self) -> Fetch:
        while not isinstance(asked := await self.peer.get(), Fetch):
            assert isinstance(asked, Poll)
        return asked

    def unasked(self) -> bool:
        there = [self.peer.inbox.get_nowait() for _ in range(self.peer.inbox.qsize())]
        return all(isinstance(each, Poll) for each in there)

    def send(self, fetched: Fetched) -> None:
        self.peer.send(fetched)


async def courier(house: House) -> Vendor:
    return Vendor(await connect(house.config.paths.socket("ledger"), "courier"))


async def look(browser: Browser, device: str = "lamp", url: str = URL, **more: str) -> Got:
    fields = {"csrf": csrf(await browser.get("/settings")), "url": url, **more}
    return await browser.post(f"/devices/{device}/look", fields)


async def ended(browser: Browser, device: str = "lamp") -> dict[str, Any]:
    """What is told of the device's look once it has ended."""
    async with asyncio.timeout(10):
        while (row := await told(browser, device))["state"] == "looking":  # noqa: ASYNC110 # a page has no event
            await asyncio.sleep(0.02)
    return row


async def told(browser: Browser, device: str = "lamp") -> dict[str, Any]:
    found: list[dict[str, Any]] = (await browser.get("/api/looks")).json["looks"]
    return next(row for row in found if row["id"] == device)


def deeds(house: House) -> list[tuple[str, str, str, str]]:
    with Reader(house.config.paths.ledger) as reader:
        return [(row.device, row.type, row.host, row.detail) for row in reader.deeds(100)]


def test_an_announced_manifest_is_looked_for_at_a_click_and_then_waits(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner, vendor = await house.begin(), await courier(house)
        lamp(house, name="<b>Lamp")
        for path in ("/devices/lamp", "/newcomers"):
            page = await owner.get(path)
            assert "Look for its manifest at <bdi>things.lamp.example</bdi>" in page.text
            assert "The device chose this address, to the last character" in page.text and "<b>Lamp" not in page.text
            assert not re.search(r'(href|src|action|hx-get)="https?:', page.text), "never a link"
        assert vendor.unasked(), "to show it asks nobody"

        assert (await look(owner, back="newcomers")).where == "/newcomers#looks"
        fetch = await vendor.get()
        assert (fetch.device, fetch.url, fetch.kind) == ("lamp", URL, "manifest")
        assert deeds(house)[0] == ("lamp", "look", "owner at 127.0.0.1", fetching.ANNOUNCED), "before it leaves"
        page = await owner.get("/devices/lamp")
        assert "Looking for it" in page.text and "Look for its manifest at" not in page.text
        assert "Looking for it" in (await owner.get("/newcomers")).text

        vendor.send(Fetched(fetch.id, 200, -1, "", manifest(mud_url=URL)))
        assert [(row := await ended(owner))["state"]] == ["waits"], row
        page = await owner.get("/devices/lamp")
        assert "A look found one" in page.text and 'href="/newcomers#waits-lamp"' in page.text
        page = await owner.get("/newcomers")
        assert 'id="waits-lamp"' in page.text and "Nobody signed it" in page.text
        assert "None that is still to be looked for" in page.text
        assert house.registry.current().by_id["lamp"].kind is Kind.LOCAL, "nothing is in force before the owner says so"
        assert all(URL not in "".join(row) for row in deeds(house)), "a device's words are in no deed"

        await owner.decide("approve", device="lamp", value=house.registry.current().by_id["lamp"].waiting.manifest,  # type: ignore[union-attr]
                           unsigned="yes")  # fmt: skip
        row = await told(owner)
        assert (row["state"], row["announced"], row["url"]) == ("", False, URL), "it is decided"

    run(tmp_path, work)


def test_a_newer_one_waits_with_its_difference_or_is_in_force(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner, vendor = await house.begin(), await courier(house)
        papers = await asyncio.to_thread(signer, tmp_path, "p256")
        head = {"mud_signature": f"{APPROVED}.p7s"}
        first, dmz = manifest(**head), house.config.dmz
        with house.registry.change() as change:
            acme = fetching.verified(first, cms.sign(first, *papers))
            change.approve("plug", first, dmz.pool_ipv4, dmz.pool_ipv6, signer=acme, now=1)
        assert "The device chose this address" not in (await owner.get("/devices/plug")).text
        for document, state, words in (
            (manifest(4000, **head), "waits", "would reach from 0 to 4000 W"),
            (manifest(3000, **head), "applied", "it is in force"),
            (manifest(3000, **head), "same", "nothing changed"),
            (b'{"ietf-mud:mud": {"mud-version": 1}}', "local-only", "can only be local"),
        ):
            assert (await look(owner, "plug", APPROVED)).where == "/devices/plug#manifest"
            vendor.send(Fetched((await vendor.get()).id, 200, -1, "", document))
            if state != "local-only":
                vendor.send(Fetched((await vendor.get()).id, 200, -1, "", cms.sign(document, *papers)))
            row = await ended(owner, "plug")
            assert row["state"] == state, row
            page = await owner.get("/devices/plug")
            assert words in page.text and "Look for its manifest at <bdi>acme.example</bdi>" in page.text
        assert deeds(house)[0][1:] == ("look", "owner at 127.0.0.1", fetching.APPROVED)
        assert sum(row[1] == "offer" for row in deeds(house)) >= 2, "what came of it is on record, too"

    run(tmp_path, work)


def test_the_signature_is_looked_for_where_the_manifest_says(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner, vendor = await house.begin(), await courier(house)
        lamp(house)
        document = manifest(mud_url=URL, mud_signature=f"{URL}.p7s")
        signature = cms.sign(document, *await asyncio.to_thread(signer, tmp_path, "p256"))
        for body, state in ((signature[:-1], "failed"), (signature, "waits")):
            assert (got := await look(owner)).status == 303, got.text
            vendor.send(Fetched((await vendor.get()).id, 200, -1, "", document))
            fetch = await vendor.get()
            assert (fetch.url, fetch.kind) == (f"{URL}.p7s", "signature")
            vendor.send(Fetched(fetch.id, 200, -1, "", body))
            assert [(row := await ended(owner))["state"]] == [state], row
        assert "MUD signer p256" in (await owner.get("/newcomers")).text
        assert sum(row[1] == "look" for row in deeds(house)) == 2

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("came", "words"),
    [
        (Fetched("", 404, Reason.VENDOR_ANSWER.code, "things.lamp.example answered 404", b""), "answered 404"),
        (Fetched("", 0, Reason.VENDOR_ADDRESS.code, "10.77.0.1 is not public", b""), Reason.VENDOR_ADDRESS.words),
        (Fetched("", 0, Reason.VENDOR_UNREACHABLE.code, "no whole answer within 40 s", b""), "could not be reached"),
        (Fetched("", 0, Reason.VENDOR_TLS.code, f"<script>x{RLO}", b""), "<script>x\\u202e"),
        (Fetched("", 200, -1, "", b"\xff" * 1000), "manifest"),
        (Fetched("", 200, -1, "", b"[" * 200_000), ""),
        (Fetched("", 200, -1, "", manifest(mud_signature="https://10.0.0.1/s")), "https"),
        (Fetched("", 200, -1, "", manifest(mud_signature="http://acme.example/s")), "https"),
    ],
    ids=["404", "address", "late", "tls", "junk", "deep", "inner-signature", "plain-signature"],
)  # fmt: skip
def test_what_failed_is_said_in_words(tmp_path: Path, came: Fetched, words: str) -> None:
    async def work(house: House) -> None:
        owner, vendor = await house.begin(), await courier(house)
        lamp(house)
        assert (got := await look(owner)).status == 303, got.text
        vendor.send(msgspec.structs.replace(came, id=(await vendor.get()).id))
        row = await ended(owner)
        assert row["state"] == "failed" and len(row["words"]) <= 700
        page = await owner.get("/devices/lamp")
        assert "A look found nothing" in page.text and words in html.unescape(page.text)
        assert "<script>x" not in page.text and RLO not in page.text
        assert "Look for its manifest at" in page.text, "one may look again"
        assert house.registry.current().by_id["lamp"].waiting is None
        assert vendor.unasked()

    run(tmp_path, work)


def test_without_a_courier_nothing_is_found_and_that_is_said(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        lamp(house)
        assert (got := await look(owner)).status == 303, got.text
        assert "the courier is not running" in (await ended(owner))["words"]

    run(tmp_path, work)


@pytest.mark.parametrize(
    "url",
    ["https://lamp.example:8443/m", "https://192.168.1.1/m", "https://lamp.example/m?who=me", "https://me@lamp.example/m",
     "https://router/m", "https://[fd00::1]/m", f"https://lamp.example/{'x' * 233}"],
)  # fmt: skip
def test_what_is_not_fetched_has_no_button_and_is_refused_in_the_commands_words(tmp_path: Path, url: str) -> None:
    async def work(house: House) -> None:
        owner, vendor = await house.begin(), await courier(house)
        lamp(house, url)
        for path in ("/devices/lamp", "/newcomers"):
            page = await owner.get(path)
            assert "is fetched" in page.text and "Look for its manifest at" not in page.text
        got = await look(owner, url=url)
        assert got.status == 409 and fetching.unfit(url).rpartition(": ")[2] in got.text
        assert not any(row[1] == "look" for row in deeds(house)) and vendor.unasked()

    run(tmp_path, work)


def test_a_name_of_another_alphabet_is_shown_as_it_is_written_and_said(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        url = f"https://xn--cme-5ld.example.{'a' * 60}.{'b' * 60}.example/m"
        lamp(house, url)
        page = await owner.get("/devices/lamp")
        assert f"at <bdi>{url.split('/')[2]}</bdi></button>" in page.text, "to its end, which is what counts"
        assert "another alphabet" in page.text
        announce(house, URL)
        assert "another alphabet" not in (await owner.get("/devices/lamp")).text

    run(tmp_path, work)


def test_another_address_than_the_owner_saw_is_not_asked(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner, vendor = await house.begin(), await courier(house)
        lamp(house)
        announce(house, "https://evil.example/who-you-are")
        got = await look(owner)
        assert got.status == 409 and "does not name this address any more" in got.text
        assert (await look(owner, url="https://elsewhere.example/m")).status == 409
        assert (await look(owner, "plug", URL)).status == 409, "an approved manifest's place is not another device's"
        assert "admit it first" in (await look(owner, "nobody")).text
        mud_folder(house.config).joinpath(MAC).unlink()
        assert (await look(owner, url="https://evil.example/who-you-are")).status == 409
        assert "It announced no address" in (await owner.get("/devices/lamp")).text
        assert not any(row[1] == "look" for row in deeds(house)) and vendor.unasked()

    run(tmp_path, work)


def test_one_at_a_time_for_a_device_and_few_together(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner, vendor = await house.begin(), await courier(house)
        names = [f"lamp-{number}" for number in range(MOST_AT_ONCE + 1)]
        with house.registry.change() as change:
            for number, name in enumerate(names):
                change.admit(Device(id=name, name=name, kind=Kind.LOCAL, mac=f"02:00:00:00:01:{number:02}"))
        for number in range(len(names)):
            announce(house, URL, f"02:00:00:00:01:{number:02}")
        twice = await asyncio.gather(look(owner, names[0]), look(owner, names[0]))
        assert sorted(got.status for got in twice) == [303, 409]
        assert any("is being looked for already" in got.text for got in twice)
        for name in names[1:-1]:
            assert (await look(owner, name)).status == 303
        assert BUSY in (await look(owner, names[-1])).text
        fetches = [await vendor.get() for _ in range(MOST_AT_ONCE)]
        assert vendor.unasked()
        vendor.send(Fetched(fetches[0].id, 404, Reason.VENDOR_ANSWER.code, "no", b""))
        await ended(owner, names[0])
        assert (await look(owner, names[-1])).status == 303

    run(tmp_path, work)


def test_a_page_is_answered_while_a_vendor_takes_his_time(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner, vendor = await house.begin(), await courier(house)
        lamp(house)
        assert (got := await look(owner)).status == 303, got.text
        await vendor.get()
        assert (await owner.get("/")).status == 200
        assert (await owner.decide("kind", device="plug", value="local")).status == 303
        assert (await told(owner))["state"] == "looking"

    run(tmp_path, work)  # and the steward ends, though nobody has answered


def test_what_comes_for_a_device_that_was_forgotten_is_not_kept(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner, vendor = await house.begin(), await courier(house)
        lamp(house)
        assert (got := await look(owner)).status == 303, got.text
        fetch = await vendor.get()
        with house.registry.change() as change:
            change.forget("lamp")
            change.admit(Device(id="lamp", name="Another", kind=Kind.LOCAL, mac="02:00:00:00:00:03"))
        announce(house, URL, "02:00:00:00:00:03")
        assert (await told(owner))["state"] == "", "the other's look is not its own"
        vendor.send(Fetched(fetch.id, 200, -1, "", manifest(mud_url=URL)))
        async with asyncio.timeout(10):
            while (again := await look(owner)).status == 409:
                assert "already" in again.text
        assert house.registry.current().by_id["lamp"].waiting is None

    run(tmp_path, work)


def test_what_cannot_be_recorded_does_not_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(house: House) -> None:
        owner, vendor = await house.begin(), await courier(house)
        lamp(house)

        def refused(*_: object) -> int:
            raise NotRecorded("the disk is full")

        monkeypatch.setattr(fetching, "on_record", refused)
        got = await look(owner)
        assert got.status == 409 and "the disk is full" in got.text
        assert (await told(owner))["state"] == "" and vendor.unasked()

    run(tmp_path, work)


def test_nobody_but_the_owner_with_a_form_of_his(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner, vendor = await house.begin(), await courier(house)
        lamp(house)
        guest, stranger, path = await house.household(owner), house.browser(), "/devices/lamp/look"
        fields = {"url": URL}
        assert (await stranger.post(path, {"csrf": "0" * 64, **fields})).where == "/login"
        assert (await owner.post(path, fields)).status == 403
        assert (await owner.post(path, {"csrf": "0" * 64, **fields})).status == 403
        good = {"csrf": csrf(await owner.get("/settings")), **fields}
        assert (await owner.post(path, good, Origin="https://evil.example")).status == 403
        assert (await owner.get(path)).status == 405
        assert (await look(owner, url="x" * 600)).status == 400
        assert (await look(guest)).status == 403
        for where in ("/devices/lamp", "/newcomers"):
            page = await guest.get(where)
            assert "things.lamp.example" in page.text and "Look for its manifest at" not in page.text
        token = guest.cookie.partition("=")[2]
        with pytest.raises(Refused, match="role"):
            await house.link.ask(StartLook(0, token, "192.168.77.10", "lamp", URL), Done)
        with pytest.raises(Refused, match="session"):
            await house.link.ask(StartLook(0, "x", "192.168.77.10", "lamp", URL), Done)
        with pytest.raises(Refused, match="session"):
            await house.link.ask(AskLooks(0, "x"), Looks)
        assert vendor.unasked()

    run(tmp_path, work)


def test_a_program_that_may_decide_may_look_where_the_approved_manifest_says_and_nowhere_else(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner, vendor = await house.begin(), await courier(house)
        lamp(house)
        reads, decides = await made(owner), await made(owner, "helper", "decide")
        program = house.browser()

        def body(device: str, url: str) -> str:
            return json.dumps({"what": "fetch", "device": device, "value": url})

        assert (await decided(program, body("plug", APPROVED), reads)).status == 403
        other = await decided(program, body("plug", APPROVED.replace("/mud/", "/what-i-know/")), decides)
        assert other.status == 409 and "does not name this address" in other.json["detail"]
        unseen = await decided(program, body("lamp", URL), decides)
        assert unseen.status == 409 and "only the owner looks there" in unseen.json["detail"]
        assert not any(row[1] == "look" for row in deeds(house)) and vendor.unasked()

        assert (await decided(program, body("plug", APPROVED), decides)).status == 204
        fetch = await vendor.get()
        assert fetch.url == APPROVED
        assert deeds(house)[0][:3] == ("plug", "look", "token helper at 127.0.0.1")
        rows = (await program.get("/api/looks", Authorization=f"Bearer {reads}")).json["looks"]
        assert {row["id"]: row["state"] for row in rows} == {"plug": "looking", "lamp": ""}
        assert (await decided(program, body("plug", APPROVED), decides)).status == 409, "one at a time"
        vendor.send(Fetched(fetch.id, 200, -1, "", manifest(4000)))
        assert [(row := await ended(owner, "plug"))["state"]] == ["waits"], row
        assert deeds(house)[0][:3] == ("plug", "offer", "token helper at 127.0.0.1")

        same = await owner.post("/api/decisions", body("lamp", URL), Content_Type="application/json")
        assert same.status == 204 and (await vendor.get()).url == URL, "the owner's own session may"

    run(tmp_path, work)
