"""Programs at the real server: what a token opens and what it does not, until it is revoked."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from gateway.reasons import Reason
from gateway.registry import Kind
from gateway.steward.guesses import EACH_AT_ONCE
from gateway.steward.tokens import MOST, TokenError, Tokens
from tests.unit.web.house import Browser, Got, House, csrf, run

GRAVE = json.dumps({"what": "kind", "device": "plug", "value": "quarantined"})
BARE = {"Content_Type": "application/json", "Origin": "", "Sec_Fetch_Site": ""}


async def made(owner: Browser, name: str = "script", may: str = "read") -> str:
    page = await owner.get("/settings")
    fields = {"csrf": csrf(page), "what": "make", "name": name, "may": may, "days": "30"}
    shown = await owner.post("/tokens", fields)
    found = re.search(r'value="(mudroom_[A-Za-z0-9_-]{43})"', shown.text)
    assert shown.status == 200 and found, shown.text
    assert found[1] not in (await owner.get("/settings")).text, "it is shown once"
    return found[1]


async def decided(browser: Browser, body: str, token: str, **more: str) -> Got:
    headers = {**BARE, **({"Authorization": f"Bearer {token}"} if token else {}), **more}
    return await browser.post("/api/decisions", body, **headers)


def test_a_token_reads_decides_by_its_role_and_ends_with_the_next_request(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        reads, decides = await made(owner), await made(owner, "lamp <b>", "decide")
        program = house.browser()
        got = await program.get("/api/devices", Authorization=f"Bearer {reads}")
        assert got.status == 200 and got.json["devices"][0]["id"] == "plug"
        assert (await decided(program, GRAVE, reads)).status == 403
        assert house.registry.current().by_id["plug"].kind is Kind.STANDARD
        assert (await decided(program, GRAVE, decides)).status == 204
        assert house.registry.current().by_id["plug"].kind is Kind.QUARANTINED
        page = await owner.get("/settings")
        assert "token lamp &lt;b&gt; at 127.0.0.1" in page.text and "<b>" not in page.text
        await owner.post("/tokens", {"csrf": csrf(page), "what": "revoke", "name": "script"})
        gone = await program.get("/api/devices", Authorization=f"Bearer {reads}")
        assert gone.status == 401 and gone.headers["content-type"] == "application/problem+json"
        kept = house.state / "box" / "tokens.json"
        assert kept.stat().st_mode & 0o777 == 0o600 and decides not in kept.read_text()

    run(tmp_path, work)


def test_a_token_opens_no_page_and_a_cookie_beside_it_counts_for_nothing(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        token = await made(owner, may="decide")
        program = house.browser()
        for path in ("/", "/settings", "/devices/plug"):
            assert (await program.get(path, Authorization=f"Bearer {token}")).where == "/login"
            program.cookie = f"__Host-mudroom={token}"
            assert (await program.get(path)).where == "/login"
            program.cookie = ""
        assert (await owner.get("/api/devices", Authorization="Bearer x")).status == 401
        assert (await owner.get("/metrics")).status == 401, "a browser's session is no monitor's token"
        for what in ("password", "household"):
            body = json.dumps({"what": what, "device": "plug", "value": "a fine new password"})
            assert (await decided(program, body, token)).status == 400
        assert (await decided(owner, GRAVE, "")).status == 403, "a cookie needs our own origin"
        for body in ("", "[]", "{}", GRAVE[:-1], GRAVE.replace("{", '{"more":1,', 1), "x" * 9000):
            got = await decided(program, body, token)
            assert got.status in (400, 413) and got.headers["content-type"] == "application/problem+json", body[:20]

    run(tmp_path, work)


def test_guesses_of_an_address_are_bounded_and_hold_up_nobody_else(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        token = await made(await house.begin())
        guesser = house.browser("127.0.0.66")
        for _ in range(EACH_AT_ONCE):
            assert (await guesser.get("/api/devices", Authorization="Bearer mudroom_" + "x" * 43)).status == 401
        late = await guesser.get("/api/devices", Authorization=f"Bearer {token}")
        assert late.status == 429 and int(late.headers["retry-after"]) > 0
        assert (await house.browser().get("/api/devices", Authorization=f"Bearer {token}")).status == 200

    run(tmp_path, work)


def test_a_monitor_reads_figures_with_strangers_as_one(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        token = await made(await house.begin())
        for device in ("plug", "02:aa:00:00:00:01", "02:aa:00:00:00:02"):
            await house.attempt(device, Reason.NOT_TLS)
        await house.say({"power": 1.0})
        for _ in range(100):  # attempts have no answer: wait until the record holds them
            got = await house.browser().get("/metrics", Authorization=f"Bearer {token}")
            if got.text.count('reason="not-tls"') == 2 and '(strangers)",reason="not-tls"} 82' in got.text:
                break
            await asyncio.sleep(0.05)
        assert got.status == 200 and got.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = got.text.splitlines()
        assert 'mudroom_drops_total{device="plug",reason="not-tls"} 41' in lines
        assert 'mudroom_drops_total{device="(strangers)",reason="not-tls"} 82' in lines
        assert 'mudroom_messages_today{device="plug"} 1' in lines and 'mudroom_part_ready{part="ledger"} 1' in lines
        assert "02:aa" not in got.text

    run(tmp_path, work)


def test_tokens_end_by_themselves_and_are_bounded(tmp_path: Path) -> None:
    now = [1_000_000.0]
    tokens = Tokens(tmp_path, lambda: now[0])
    secret = tokens.make("a", "read", 1)
    assert tokens.find(secret) and tokens.find(secret.swapcase()) is None
    now[0] += 86_400
    assert tokens.find(secret) is None
    for n in range(MOST - 1):
        tokens.make(f"t{n}", "read", 0)
    for name in ("one more", "a", "", "x" * 41, "line\nbreak"):
        with pytest.raises(TokenError):
            tokens.make(name, "read", 0)


def test_without_the_record_a_token_is_taken_back_all_the_same_and_none_is_made(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        token = await made(owner, "script", "decide")
        ledger = house.config.paths.socket("ledger")
        away = ledger.rename(ledger.with_name("away"))
        program = house.browser()
        grave = await decided(program, GRAVE, token)
        assert grave.status == 200 and "no answer" in grave.json["unrecorded"]
        fields = {"csrf": csrf(await owner.get("/settings")), "what": "make", "name": "other", "days": "1", "may": "read"}
        assert (await owner.post("/tokens", fields)).status == 409
        gone = await owner.post("/tokens", fields | {"what": "revoke", "name": "script"})
        assert gone.status == 200 and "not on record" in gone.text
        assert (await program.get("/api/devices", Authorization=f"Bearer {token}")).status == 401
        away.rename(ledger)

    run(tmp_path, work)
