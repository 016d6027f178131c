"""Who at home may reach a device, on its page, over the real steward and ledger: shown, decided, on record; and who cannot."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.box.lan_dnsmasq import leases
from gateway.ipc.lan import AskLan, DecideLan, Lan, LanDone
from gateway.ipc.programs import Made, MakeToken
from gateway.ledger.reader import Reader
from gateway.registry import ANYONE
from gateway.web.link import Refused
from tests.unit.web.house import Browser, Got, House, csrf, run

LAPTOP, PHONE = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
HERE = "192.168.77.10"


def lease(house: House) -> None:
    """A laptop at home, and a phone that calls itself what no host is called."""
    path = leases(house.config)
    path.parent.mkdir(parents=True)
    path.write_text(f"0 {LAPTOP} 192.168.77.50 laptop *\n0 {PHONE} 192.168.77.51 <script>alert(1)</script> *\n")


async def say(browser: Browser, may: str, host: str, device: str = "plug", **fields: str) -> Got:
    token = csrf(await browser.get("/settings"))
    return await browser.post(f"/devices/{device}/lan", {"csrf": token, "may": may, "host": host, **fields})


def lan(house: House) -> tuple[str, ...]:
    return house.registry.current().by_id["plug"].lan


def section(page: Got) -> str:
    return page.text.partition('<h2 id="lan">')[2].partition("</section>")[0]


def test_a_machine_is_let_in_and_shut_out(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        assert "No machine at home has a lease" in section(await owner.get("/devices/plug"))
        lease(house)
        page = section(await owner.get("/devices/plug"))
        assert "Nobody, until you allow it" in page and "laptop" in page and LAPTOP in page and "192.168.77.51" in page
        assert "script>" not in page and page.count("may not</span>") == 2
        done = await say(owner, "allow", LAPTOP)
        assert (done.status, done.where, lan(house)) == (303, "/devices/plug#lan", (LAPTOP,))
        page = section(await owner.get("/devices/plug"))
        assert page.count("may reach it</span>") == 1 and "Deny laptop" in page
        assert (await say(owner, "allow", "02-00-5E-00-00-09")).status == 303, "as another system writes it"
        assert "not at home now" in section(await owner.get("/devices/plug"))
        assert (await say(owner, "allow", ANYONE)).status == 303
        assert "Anyone at home may." in section(await owner.get("/devices/plug"))
        told = await say(owner, "deny", LAPTOP)
        assert told.status == 200 and "Anyone at home may reach plug all the same" in told.text
        assert (await say(owner, "deny", ANYONE)).status == 303
        assert lan(house) == ("02:00:5e:00:00:09",)
        with Reader(house.config.paths.ledger) as reader:
            deeds = [(row.type, row.device, row.detail) for row in reader.deeds(10)]
        assert [detail for what, device, detail in deeds if (what, device) == ("lan", "plug")] == [
            "deny anyone", f"deny {LAPTOP} (laptop)", "allow anyone", "allow 02:00:5e:00:00:09", f"allow {LAPTOP} (laptop)",
        ]  # fmt: skip

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("may", "host", "device", "status"),
    [
        ("allow", "laptop", "plug", 400), ("allow", "", "plug", 400), ("allow", "x" * 5000, "plug", 400),
        ("allow", f"{LAPTOP}\n{PHONE}", "plug", 400), ("maybe", LAPTOP, "plug", 400), ("allow", LAPTOP, "pump", 400),
        ("allow", "ff:ff:ff:ff:ff:ff", "plug", 409), ("allow", "02:00:5e:00:00:0\ud800", "plug", 400),
    ],
)  # fmt: skip
def test_what_names_no_machine_lets_nobody_in(tmp_path: Path, may: str, host: str, device: str, status: int) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        assert (await say(owner, may, host.encode(errors="replace").decode(), device)).status == status
        assert lan(house) == ()

    run(tmp_path, work)


def test_nobody_but_the_owner_sees_or_decides(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        lease(house)
        household = await house.household(owner)
        assert 'id="lan"' not in (page := await household.get("/devices/plug")).text and LAPTOP not in page.text
        assert (await say(household, "allow", LAPTOP)).status == 403
        form = {"csrf": csrf(await owner.get("/settings")), "may": "allow", "host": LAPTOP}
        assert (await house.browser().post("/devices/plug/lan", form)).where == "/login"
        assert (await owner.post("/devices/plug/lan", form | {"csrf": "0" * 64})).status == 403
        assert (
            await owner.post("/devices/plug/lan", form, Origin="https://evil.example", Sec_Fetch_Site="cross-site")
        ).status == 403
        assert (await owner.get("/devices/plug/lan")).status == 405
        # the steward's own word, whoever asks it past the pages
        session = household.cookie.partition("=")[2]
        for question, answer in ((AskLan(0, session, "plug"), Lan), (DecideLan(0, session, HERE, "plug", LAPTOP, True), LanDone)):
            with pytest.raises(Refused, match="role"):
                await house.link.ask(question, answer)
            with pytest.raises(Refused, match="session"):
                await house.link.ask(msgspec.structs.replace(question, token="x"), answer)
        mine = owner.cookie.partition("=")[2]
        token = (await house.link.ask(MakeToken(0, mine, HERE, "script", "decide", 1), Made)).secret
        with pytest.raises(Refused, match="token"):
            await house.link.ask(DecideLan(0, token, HERE, "plug", LAPTOP, True), LanDone)
        with pytest.raises(Refused, match="no device pump"):
            await house.link.ask(AskLan(0, mine, "pump"), Lan)
        assert lan(house) == ()

    run(tmp_path, work)


def test_where_the_settings_shut_all_out_nothing_is_offered(tmp_path: Path) -> None:
    from gateway.web.lanaccess import facts
    from gateway.web.render import render

    reached = facts(Lan(1, (), True))
    shown = render("lan.html", reached=reached, device={"id": "plug"}, csrf="x")
    assert "Nobody: the settings say so" in shown and "Allow" not in shown
