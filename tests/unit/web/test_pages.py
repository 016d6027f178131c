"""The pages over real HTTP, with the real steward and ledger behind them: who gets in, and what an attacker gets."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path

import pytest

from gateway.box import firststart
from gateway.ipc.messages import Refused
from gateway.reasons import Reason
from gateway.registry import Kind
from gateway.scorecard import key
from gateway.standard.enrolment import HOST
from gateway.steward.guesses import EACH_AT_ONCE
from gateway.web.guard import HEADERS
from tests.unit.ledger.peers import connect
from tests.unit.web.house import HOUSEHOLD, PASSWORD, SAMPLES, Browser, House, csrf, run

PAGES = (
    "/",
    "/devices/plug",
    "/devices/plug/forget",
    "/messages/m-1",
    "/attempts",
    "/leaks",
    "/newcomers",
    "/notices",
    "/record",
    "/settings",
)
PROGRAMS = (
    "/api/devices",
    "/api/messages",
    "/api/messages/m-1",
    "/api/attempts",
    "/api/leaks",
    "/api/newcomers",
    "/api/notices",
    "/api/pairings",
)
PAGES += ("/vendors", f"/vendors/{key('Acme')}", f"/vendors/{key('Acme')}/preview", f"/vendors/{key('Acme')}/page")
PROGRAMS += ("/api/vendors",)
READING = {"measured": "2026-11-22T13:37:42Z", "on": True, "power": 61.4}


# --- the way in -----------------------------------------------------------------------------------------------------


def test_without_a_session_every_page_leads_to_the_way_in(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        stranger = house.browser()
        for path in PAGES:
            got = await stranger.get(path)
            assert (got.status, got.where, got.text) == (303, "/start", ""), path
        await house.begin()
        for cookie in ("", "__Host-mudroom=x", "__Host-mudroom=" + "a" * 43, "__Host-mudroom=" + "a" * 5000):
            stranger.cookie = cookie.encode().decode("latin-1")
            for path in PAGES:
                got = await stranger.get(path)
                assert (got.status, got.where, got.text) == (303, "/login", ""), path
            for path in (*PROGRAMS, "/events"):
                got = await stranger.get(path)
                assert got.status == 401, path
        for path in PROGRAMS:
            got = await stranger.get(path)
            assert got.headers["content-type"] == "application/problem+json"
            assert got.json | {"detail": ""} == {"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": ""}

    run(tmp_path, work)


def test_first_start_needs_the_code_and_a_password_typed_twice(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = house.browser()
        firststart.make(house.state)
        code = firststart.code(house.state) or ""
        assert "First-start code" in (await browser.get("/start")).text
        assert (await browser.get("/login")).where == "/start"
        for fields, status, words in (
            ({"code": "00000", "password": PASSWORD, "again": PASSWORD}, 403, "not the code"),
            ({"code": code, "password": PASSWORD, "again": PASSWORD + "x"}, 422, "not the same"),
            ({"code": code, "password": "short", "again": "short"}, 403, "at least 10"),
            ({"code": "", "password": "", "again": ""}, 403, "not the code"),
            ({}, 403, "not the code"),
            ({"code": code, "password": "x" * 600, "again": "x" * 600}, 422, "too long"),
        ):
            got = await browser.post("/start", fields)
            assert (got.status, browser.cookie) == (status, ""), fields
            assert words in got.text
            assert PASSWORD not in got.text and code not in got.text, "what was typed is not repeated"
        browser = house.browser("127.0.0.2")
        got = await browser.post("/start", {"code": code, "password": PASSWORD, "again": PASSWORD})
        assert got.where == "/"
        assert re.fullmatch(
            r"__Host-mudroom=[A-Za-z0-9_-]{43}; HttpOnly; Max-Age=604800; Path=/; SameSite=strict; Secure",
            got.headers["set-cookie"],
        )
        assert (await browser.get("/")).status == 200
        assert (await browser.get("/start")).where == "/"

    run(tmp_path, work)


def test_login_gives_a_fresh_session_and_a_brought_one_counts_for_nothing(tmp_path: Path) -> None:
    """Session fixation: whatever token the browser was given before, the one after login is another."""

    async def work(house: House) -> None:
        await house.begin()
        browser = house.browser()
        browser.cookie = planted = "__Host-mudroom=" + "A" * 43
        assert (await browser.post("/login", {"password": PASSWORD})).where == "/"
        assert browser.cookie not in ("", planted)
        second = house.browser()
        second.cookie = browser.cookie
        await second.post("/login", {"password": PASSWORD})
        assert second.cookie != browser.cookie
        attacker = house.browser()
        attacker.cookie = planted
        assert (await attacker.get("/")).status == 303

    run(tmp_path, work)


def test_logging_out_ends_the_session_itself(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        thief = Browser(house.port, cookie=browser.cookie)
        assert (await thief.get("/")).status == 200
        assert (await browser.get("/leave")).status == 405
        got = await browser.post("/leave", {"csrf": csrf(await browser.get("/"))})
        assert (got.where, browser.cookie) == ("/login", "")
        assert (await thief.get("/")).where == "/login"

    run(tmp_path, work)


def test_guessing_is_slow_for_an_address_and_the_answer_tells_nothing(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await house.begin()
        guesser = house.browser("127.0.0.66")
        texts = set()
        for n in range(EACH_AT_ONCE):
            got = await guesser.post("/login", {"password": f"wrong word number {n}"})
            assert got.status == 403
            texts.add(got.text)
        assert len(texts) == 1
        got = await guesser.post("/login", {"password": PASSWORD})
        assert got.status == 429 and 0 < int(got.headers["retry-after"]) <= 31 and guesser.cookie == ""
        owner = house.browser("127.0.0.1")
        assert (await owner.post("/login", {"password": PASSWORD})).status == 303

    run(tmp_path, work)


# --- requests that others make ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", f"{HOST}.evil.example", f"evil.{HOST}", f"{HOST}:444", f"{HOST}:443:443", "10.77.0.1", "127.0.0.1",
     f"{HOST}.", f" {HOST}@evil.example", "localhost"],
)  # fmt: skip
def test_a_name_that_is_not_ours_gets_nothing(tmp_path: Path, host: str) -> None:
    """DNS rebinding: a name of an attacker's that points at us."""

    async def work(house: House) -> None:
        browser = await house.begin()
        browser.host = host
        for path in ("/", "/login", "/static/style.css", "/api/devices", "/events"):
            got = await browser.get(path)
            assert got.status in (421, 400), path
            assert "plug" not in got.text.lower()

    run(tmp_path, work)


@pytest.mark.parametrize("host", [HOST, HOST.upper(), f"{HOST}:443", "192.168.77.1", "[fd4d:7564:726d:1::1]"])
def test_our_names_are_served(tmp_path: Path, host: str) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        browser.host = host
        assert (await browser.get("/")).status == 200

    run(tmp_path, work)


CSRF = [
    {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"},
    {"Origin": "https://evil.example", "Sec_Fetch_Site": ""},
    {"Origin": "null", "Sec_Fetch_Site": "cross-site"},
    {"Origin": "null", "Sec_Fetch_Site": ""},
    {"Origin": f"http://{HOST}", "Sec_Fetch_Site": ""},
    {"Origin": f"https://{HOST}.evil.example", "Sec_Fetch_Site": ""},
    {"Origin": f"https://evil.{HOST}", "Sec_Fetch_Site": "same-site"},
    {"Origin": "", "Sec_Fetch_Site": "none"},
    {"Origin": "", "Sec_Fetch_Site": ""},
    {"Origin": f"https://{HOST}", "Sec_Fetch_Site": "cross-site"},
]


@pytest.mark.parametrize("headers", CSRF)
def test_a_form_of_another_site_changes_nothing_even_with_cookie_and_token(tmp_path: Path, headers: dict[str, str]) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        token = csrf(await browser.get("/"))
        for path, fields in (
            ("/decide", {"csrf": token, "what": "kind", "device": "plug", "value": "quarantined"}),
            ("/leave", {"csrf": token}),
            ("/login", {"password": PASSWORD}),
            ("/start", {}),
        ):
            assert (await browser.post(path, fields, **headers)).status == 403, path
        assert house.registry.current().by_id["plug"].kind is Kind.STANDARD
        assert (await browser.get("/")).status == 200

    run(tmp_path, work)


def test_a_form_without_this_sessions_token_changes_nothing(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        other = house.browser()
        await other.post("/login", {"password": PASSWORD})
        foreign = csrf(await other.get("/"))
        for token in ("", foreign, "0" * 64, "é", "\0"):
            got = await browser.post("/decide", {"csrf": token, "what": "kind", "device": "plug", "value": "quarantined"})
            assert got.status == 403
            assert (await browser.post("/leave", {"csrf": token})).status == 403
        assert house.registry.current().by_id["plug"].kind is Kind.STANDARD

    run(tmp_path, work)


def test_forms_are_read_strictly(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        token = csrf(await browser.get("/"))
        good = f"csrf={token}&what=kind&device=plug&value=quarantined"
        assert (await browser.post("/decide", good, Content_Type="text/plain")).status == 415
        assert (await browser.post("/decide", good, Content_Type="multipart/form-data; boundary=x")).status == 415
        assert (await browser.post("/decide", good + "&what=forget")).status == 400
        assert (await browser.post("/decide", good + "&x=" + "y" * 9000)).status == 413
        assert (await browser.post("/decide", good + "".join(f"&x{n}=1" for n in range(40)))).status == 400
        assert (await browser.post("/decide", good.replace("quarantined", "%ff%fe"))).status == 400
        for what in ("", "run", "__class__", "Kind"):
            got = await browser.post("/decide", {"csrf": token, "what": what, "device": "plug", "value": "quarantined"})
            assert got.status == 400
        assert house.registry.current().by_id["plug"].kind is Kind.STANDARD
        assert (await browser.get("/decide")).status == 405

    run(tmp_path, work)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_other_methods_are_for_nothing_here(tmp_path: Path, method: str) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        assert (await browser.ask(method, "/")).status in (400, 405)
        assert (await browser.ask(method, "/decide")).status in (400, 405)

    run(tmp_path, work)


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/",
     "/static/base.html", "/devices/../settings", "/devices/..%2f..%2fetc", "/devices/%00", "/devices/plug/",
     "/messages/%2e%2e", "/templates/base.html", "//evil.example/", "/devices/nobody", "/messages/" + "a" * 4000],
)  # fmt: skip
def test_tricks_with_paths_find_nothing(tmp_path: Path, path: str) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        got = await browser.get(path)
        assert got.status == 404, got.text
        assert "Traceback" not in got.text

    run(tmp_path, work)


def test_another_site_can_load_nothing_of_ours(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        for site in ("cross-site", "same-site"):
            for mode in ("no-cors", "cors", "websocket"):
                got = await browser.get("/", Sec_Fetch_Site=site, Sec_Fetch_Mode=mode)
                assert got.status == 403
            assert (await browser.get("/login", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate")).status == 303, (
                "a link is followed"
            )
        for got in (await browser.get("/api/devices", Origin="https://evil.example"), await browser.get("/")):
            assert not [name for name in got.headers if name.lower().startswith("access-control-")]

    run(tmp_path, work)


def test_every_answer_carries_the_policy(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        answers = [
            await browser.get(path) for path in ("/", "/login", "/nothing", "/api/devices", "/api/nothing", "/static/style.css")
        ]
        answers += [await browser.post("/decide", {}), await browser.ask("PUT", "/")]
        browser.host = "evil.example"
        answers.append(await browser.get("/"))
        for got in answers:
            assert {name: got.headers.get(name) for name in HEADERS} == HEADERS
            assert "server" not in got.headers
            assert got.headers["cache-control"].startswith(
                "private" if got.headers["content-type"] == "text/css; charset=utf-8" else "no-store"
            )
        policy = HEADERS["content-security-policy"]
        assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "*" not in policy and "http" not in policy

    run(tmp_path, work)


# --- what devices and vendors wrote -----------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onfocus=alert(1) autofocus='", "</textarea><svg/onload=x>",
    "{{ 7*7 }}{% raw %}", "javascript:alert(1)", "\u202egnp.exe", "a\u0000b\u001b[31m", "&lt;b&gt;", "x" * 40_000,
]  # fmt: skip


def harmless(text: str) -> None:
    """Whatever stands in a page is text: no element, attribute or address of ours came from outside."""
    assert "<script>alert" not in text and "<img" not in text
    assert not re.search(r'<svg(?! viewBox="0 0 100 [14]0" preserveAspectRatio="none" )', text), (
        "a drawing that is none of our charts"
    )
    assert not re.search(r"<[^>]*\bon[a-z]+\s*=", text)
    assert not re.search(r"(href|src|action)=[\"']?\s*javascript:", text)
    assert "49" not in re.findall(r"<bdi[^>]*>(49)", text)
    assert not set(text) & set("\u202e\u0000\u001b")


@pytest.mark.parametrize("words", HOSTILE)
def test_a_devices_words_stay_words(tmp_path: Path, words: str) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        await house.say(
            READING | {"label": words, words[:64]: words, "deep": [{"x": [words]}]},
            "m-1",
            left={"withheld": ["/payload/" + words[:200], words[:200]]},
        )
        await house.attempt("plug", Reason.SNI_NOT_APPROVED, words[:250])
        await house.attempt(words[:60], Reason.UNKNOWN_DEVICE, words[:250])
        door = await connect(house.config.paths.socket("ledger"), "door")
        door.send(_refused(words))
        await door.close()
        await shown(browser, "/devices/plug", "was refused")
        for path in PAGES:
            got = await browser.get(path)
            assert got.status == 200, path
            harmless(got.text)
            assert len(got.text) < 600_000
        for path in PROGRAMS:
            got = await browser.get(path)
            assert got.status == 200 and got.headers["content-type"] == "application/json"
            assert isinstance(json.loads(got.text), dict)

    run(tmp_path, work)


def _refused(words: str) -> Refused:
    return Refused(
        "plug", words[:200], words[:60], Reason.NOT_DECLARED.code, words[:500], (words[:200],), time.time_ns(), words.encode()
    )


async def shown(browser: Browser, path: str, words: str) -> None:
    """Wait until a page says so: attempts are written within a second."""
    async with asyncio.timeout(10):
        while words not in (await browser.get(path)).text:  # noqa: ASYNC110 # that is what is tested elsewhere
            await asyncio.sleep(0.1)


def test_a_hostile_manifest_and_hostile_names_stay_words(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        document = json.loads((SAMPLES / "acme.mud.json").read_text())
        vendor = document["ietf-mud:mud"]["clear-envelope"]["vendor"]
        vendor["name"], vendor["terms"], vendor["contact"] = "<script>alert(1)</script>", "' onclick='x", "javascript:alert(1)"
        message = document["ietf-mud:mud"]["clear-envelope"]["messages"]["power-reading"]
        message["title"], message["purpose"] = "<img src=x onerror=y>", '"><svg/onload=x>'
        with house.registry.change() as change:
            change.offer(
                "plug", json.dumps(document).encode(), house.config.dmz.pool_ipv4, house.config.dmz.pool_ipv6, signer=None, now=1
            )
        assert (
            await browser.decide("admit", device="lamp", value="02:00:00:00:00:09", name="<img src=x onerror=z>")
        ).where == "/devices/lamp"
        for path in (*PAGES[:3], "/devices/lamp", "/devices/lamp/forget", "/newcomers", "/record", "/settings"):
            got = await browser.get(path)
            assert got.status == 200
            harmless(got.text)
        page = (await browser.get("/newcomers")).text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page

    run(tmp_path, work)


# --- what people see --------------------------------------------------------------------------------------------------


def test_home_says_what_a_device_said_and_tried(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        await house.say(READING, left={"withheld": ["/payload/energy"]})
        await house.attempt("plug", Reason.SNI_NOT_APPROVED)
        await shown(browser, "/", "203.0.113.9:443")
        page = (await browser.get("/")).text
        for words in (
            "Plug",
            "Acme",
            "Power reading",
            "Power drawn now",
            "61.4 W",
            "Kept back: <bdi>energy</bdi>",
            "41 times",
            "waits for the vendor",
        ):
            assert words in page, words
        ((card,),) = ((await browser.get("/api/devices")).json["devices"],)
        assert card["said"]["fields"][0] == {"title": "Power drawn now", "value": "61.4 W"}
        assert card["tried"][0]["reason"] == "sni-not-approved"

    run(tmp_path, work)


def test_a_message_shows_before_and_after(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        left = {"payload": READING | {"uptime": 60}, "withheld": ["/payload/energy"]}
        await house.say(READING | {"energy": 12.5, "uptime": 3}, left=left)
        sheet = (await browser.get("/api/messages/m-1")).json
        lines = {line["title"]: line for line in sheet["lines"]}
        assert lines["Minutes since start"] | {"pointer": ""} == {
            "pointer": "", "title": "Minutes since start", "before": "3 min", "after": "60 min",
            "withheld": False, "changed": True,
        }  # fmt: skip
        energy = lines["Energy since installation"]
        assert (energy["before"], energy["after"], energy["withheld"]) == ("12.5 kWh", None, True)
        assert sheet["changed"] == 1
        page = (await browser.get("/messages/m-1")).text
        assert "1 field left otherwise than the device sent it." in page and "kept back" in page

    run(tmp_path, work)


def test_the_owner_decides_and_it_is_recorded(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        assert (await browser.decide("kind", device="plug", value="quarantined")).where == "/devices/plug"
        assert house.registry.current().by_id["plug"].kind is Kind.QUARANTINED
        assert (await browser.decide("budget", device="plug", value="4096")).where == "/devices/plug"
        assert house.registry.current().by_id["plug"].bits_per_day == 4096
        got = await browser.decide("budget", device="plug", value="<b>")
        assert got.status == 409 and "whole number" in got.text and "<b>" not in got.text
        assert (await browser.decide("forget", device="plug")).where == "/"
        assert house.registry.current().by_id == {}
        page = (await browser.get("/settings")).text
        assert [page.count(f"<strong>{what}</strong>") for what in ("kind", "budget", "forget")] == [1, 1, 1]
        assert "owner at 127.0.0.1" in page

    run(tmp_path, work)


def test_only_the_manifest_that_was_seen_is_approved_and_an_unsigned_one_takes_a_tick(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        document = json.loads((SAMPLES / "acme.mud.json").read_text())
        dmz = house.config.dmz

        def offer(rate: int) -> str:
            document["ietf-mud:mud"]["clear-envelope"]["messages"]["power-reading"]["rate"] = rate
            with house.registry.change() as change:
                change.offer("plug", json.dumps(document).encode(), dmz.pool_ipv4, dmz.pool_ipv6, signer=None, now=1)
                return change.waiting("plug").manifest

        first = offer(1000)
        page = (await browser.get("/newcomers")).text
        assert "Nobody signed it" in page and "1 waiting for you" in page and first in page
        second = offer(2000)
        got = await browser.decide("approve", device="plug", value=first, unsigned="yes")
        assert got.status == 409 and "came meanwhile" in got.text
        got = await browser.decide("approve", device="plug", value=second)
        assert got.status == 409 and "nobody signed" in got.text
        assert house.registry.current().by_id["plug"].waiting is not None
        assert (await browser.decide("approve", device="plug", value=second, unsigned="yes")).where == "/newcomers"
        assert house.registry.current().by_id["plug"].manifest == second
        third = offer(3000)
        assert (await browser.decide("decline", device="plug", value=third)).where == "/newcomers"
        assert house.registry.current().by_id["plug"].waiting is None
        assert house.registry.current().by_id["plug"].manifest == second

    run(tmp_path, work)


def test_the_household_sees_all_and_changes_nothing(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        await house.say(READING)
        guest = await house.household(owner)
        for path in (*PAGES, *PROGRAMS):
            got = await guest.get(path)
            assert got.status == 200, path
            assert "/decide" not in got.text, path
        token = csrf(await guest.get("/"))
        got = await guest.post("/decide", {"csrf": token, "what": "kind", "device": "plug", "value": "quarantined"})
        assert got.status == 403
        assert house.registry.current().by_id["plug"].kind is Kind.STANDARD
        assert (await owner.decide("household", value="")).where == "/settings"
        assert (await guest.get("/")).where == "/login"
        assert (await guest.post("/login", {"password": HOUSEHOLD})).status == 403

    run(tmp_path, work)


def test_a_changed_password_logs_everybody_out_and_needs_the_old_one(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner, other = await house.begin(), house.browser()
        await other.post("/login", {"password": PASSWORD})
        new = "another one for the morrow"
        got = await owner.decide("password", name="not the one until now", value=new, again=new)
        assert got.status == 409 and "until now" in got.text
        assert (await owner.decide("password", name=PASSWORD, value=new, again=new + "x")).status == 422
        assert (await owner.get("/")).status == 200
        assert (await owner.decide("password", name=PASSWORD, value=new, again=new)).where == "/login"
        for browser in (owner, other):
            assert (await browser.get("/")).where == "/login"
        assert (await other.post("/login", {"password": PASSWORD})).status == 403
        assert (await other.post("/login", {"password": new})).status == 303

    run(tmp_path, work)


def test_without_the_steward_nobody_sees_anything(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        path = house.config.paths.socket("steward")
        path.rename(path.with_name("away"))
        house.link.close()
        for each in PAGES:
            got = await browser.get(each)
            assert (got.status, got.headers["retry-after"]) == (503, "5"), each
            assert "Plug" not in got.text and "steward" not in got.text.lower()
        got = await browser.get("/api/devices")
        assert got.status == 503 and got.json["status"] == 503
        path.with_name("away").rename(path)

    run(tmp_path, work)


# --- live -------------------------------------------------------------------------------------------------------------


def test_news_come_when_something_is_recorded_and_end_with_the_session(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(f"GET /events HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nCookie: {browser.cookie}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "200 ok" in head and "text/event-stream" in head and "no-store" in head
        await reader.readuntil(b"retry: 3000")
        await house.attempt("plug", Reason.QUIC)
        await asyncio.wait_for(reader.readuntil(b"event: news"), 10)
        with house.registry.change() as change:
            change.set_kind("plug", Kind.QUARANTINED)
        await asyncio.wait_for(reader.readuntil(b"event: news"), 10)
        await browser.post("/leave", {"csrf": csrf(await browser.get("/"))})
        await asyncio.wait_for(reader.readuntil(b"event: over"), 10)
        assert b"plug" not in await reader.read()
        writer.close()

    run(tmp_path, work)


def test_a_part_that_asks_for_news_without_a_session_leaves_the_page(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await house.begin()
        got = await house.browser().get("/", HX_Request="true")
        assert (got.status, got.headers["hx-redirect"], got.text) == (204, "/login", "")

    run(tmp_path, work)
