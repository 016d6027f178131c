"""Programs with tokens, from the home network over the real TLS: what opens, what does not, from where nobody comes in."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from gateway.config import load
from gateway.ledger.reader import Reader
from gateway.web.link import Link
from tests.home.browser import URL, faults
from tests.home.client import Here, mudroom, run_in
from tests.home.lab import layout
from tests.home.lab.supervisor import LOGS
from tests.home.owner import CA
from tests.unit.steward.test_programs import NEVER, SECRETS, refused

LAN4, LAN6, WAN4 = (address.partition("/")[0] for address in (layout.LAN4, layout.LAN6, layout.WAN4))
LAPTOP = layout.LAPTOP4.partition("/")[0]
WRONG = "mudroom_" + "x" * 43


@dataclass(frozen=True)
class Answer:
    """``status``: 0 where nobody answered."""

    status: int
    kind: str
    text: str

    @property
    def problem(self) -> dict[str, Any]:
        """RFC 9457, or the test fails."""
        assert self.kind == "application/problem+json", self
        found: dict[str, Any] = json.loads(self.text)
        assert {"type", "title", "status", "detail"} <= set(found) and found["status"] == self.status
        return found


def curl(path: str, token: str = "", *more: str, at: str = LAN4, space: str = layout.LAPTOP) -> Answer:
    """A program's request to the gateway's name, found at the address ``at``."""
    words = [
        "curl",
        "-sS",
        "-m",
        "5",
        "--cacert",
        str(CA),
        "--resolve",
        f"mudroom.home.arpa:443:{f'[{at}]' if ':' in at else at}",
    ]
    words += ["-H", f"Authorization: Bearer {token}"] if token else []
    done = run_in(space, *words, "-w", "\n%{http_code} %{content_type}", *more, URL + path)
    text, _, last = done.out.rpartition("\n")
    status, _, kind = last.partition(" ")
    return Answer(int(status or 0), kind, text)


def decide(token: str, *more: str, **decision: str) -> Answer:
    return curl("/api/decisions", token, "-H", "Content-Type: application/json", "--data", json.dumps(decision), *more)


def create(name: str, may: str) -> str:
    made = json.loads(mudroom("tokens", "create", name, "--may", may, "--json"))
    return str(made["token"])


@pytest.fixture(scope="module")
def reads(here: Here, owner: BrowserContext) -> Iterator[str]:
    """A token that may read, made by command."""
    yield create("graphs", "read")
    mudroom("tokens", "revoke", "graphs", check=False)


@pytest.fixture(scope="module")
def decides(here: Here, owner: BrowserContext) -> Iterator[str]:
    """A token that may decide, made on the page."""
    page = owner.new_page()
    yield make(page, "lamp <b>script", "decide about devices")
    page.close()
    mudroom("tokens", "revoke", "lamp <b>script", check=False)


def make(page: Page, name: str, may: str) -> str:
    page.goto(f"{URL}/settings")
    part = page.locator("section", has=page.get_by_role("heading", name="Tokens for programs"))
    part.get_by_label("For which program").fill(name)
    part.get_by_label("It may").select_option(label=may)
    part.get_by_label("Days until it ends").fill("7")
    part.get_by_role("button", name="Make a token").click()
    expect(page.get_by_role("heading", name="A new token", level=1)).to_be_visible()
    assert faults(page) == []
    return page.get_by_label("Token", exact=True).input_value()


def kinds() -> dict[str, str]:
    return {row["device"]: row["kind"] for row in json.loads(mudroom("devices", "--json"))}


def standing() -> tuple[object, ...]:
    """What a token shall not change."""
    programs = [(row["name"], row["may"]) for row in json.loads(mudroom("tokens", "list", "--json"))]
    return kinds(), programs, mudroom("rules", "list", "--json")


def test_a_token_opens_the_facts_and_the_figures(here: Here, reads: str, decides: str) -> None:
    for token in (reads, decides):
        got = curl("/api/devices", token)
        assert (got.status, got.kind) == (200, "application/json")
        assert {"device-1", "device-2", "device-3"} <= {each["id"] for each in json.loads(got.text)["devices"]}
        assert curl("/api/devices", token, at=LAN6).status == 200
        figures = curl("/metrics", token)
        assert figures.status == 200 and figures.kind.startswith("text/plain; version=0.0.4")
        assert 'mudroom_device_info{device="device-1",' in figures.text
    for path in ("messages", "attempts", "leaks", "newcomers", "vendors"):
        assert curl(f"/api/{path}", reads).status == 200
    listed = {row["name"]: row for row in json.loads(mudroom("tokens", "list", "--json"))}
    assert listed["graphs"]["used"] != "never" and not listed["graphs"]["over"]


def test_without_a_good_token_there_is_a_problem_in_words(here: Here, page: Page, reads: str) -> None:
    """From the home network's second address: wrong tokens hold up whoever sends them."""
    gone = make(page, "gone", "read")
    assert curl("/api/devices", gone).status == 200
    page.goto(f"{URL}/settings")
    page.get_by_role("button", name="Revoke gone").click()
    expect(page.get_by_role("button", name="Revoke gone")).to_have_count(0)
    for path in ("/api/devices", "/metrics"):
        assert curl(path).problem["status"] == 401
        for token in (WRONG, gone):
            answer = curl(path, token, at=LAN6)
            assert answer.status == 401 and "nobody's" in answer.problem["detail"]
        assert curl(f"{path}?access_token={reads}&token={reads}").problem["status"] == 401, "a URL carries no token"
        assert curl(path, "", "-b", f"__Host-mudroom={reads}").problem["status"] == 401, "nor does a cookie"
        assert "www-authenticate: bearer" in curl(path, "", "-D", "-").text.lower()
        assert curl(path, reads, "-H", "Host: mudroom.example").problem["status"] == 421
    assert decide("", what="kind", device="device-3", value="quarantined").problem["status"] in (401, 403)
    assert kinds()["device-3"] == "local"


def test_who_guesses_waits_and_the_script_beside_him_does_not(here: Here, reads: str) -> None:
    """Malware in the home network: after five wrong tokens its address is not heard, whatever it sends."""
    for _ in range(8):
        got = curl("/api/devices", WRONG, at=LAN6)
        if got.status == 429:
            break
    assert "Too many wrong tokens" in got.problem["detail"]
    assert curl("/api/devices", reads, at=LAN6).problem["status"] == 429, "nor is a right one told from a wrong one"
    assert curl("/api/devices", reads).status == 200


def test_from_the_devices_and_from_the_internet_nobody_gets_there(here: Here, reads: str, decides: str) -> None:
    def knock(space: str, at: str) -> None:
        for path in ("/api/devices", "/metrics"):
            got = curl(path, reads, "-k", "-m", "2", at=at, space=space)
            # at the DMZ's own address enrolment answers to the same name, and knows neither path nor token
            door = (404, "text/plain") if at in (layout.DMZ4, layout.DMZ6) and got.status else (0, "")
            assert (got.status, got.kind.partition(";")[0]) == door and "device-1" not in got.text, (space, at, got)

    spaces, addresses = (layout.namespace(1), layout.namespace(4), layout.INTERNET), (LAN4, LAN6, WAN4, layout.DMZ4, layout.DMZ6)
    with ThreadPoolExecutor(15) as pool:  # they wait beside each other; five at once are far below any rate of a device's
        list(pool.map(knock, *zip(*itertools.product(spaces, addresses), strict=True)))


def test_a_decision_is_carried_out_and_on_record_by_its_name(here: Here, page: Page, reads: str, decides: str) -> None:
    assert kinds()["device-3"] == "local"
    assert "may read and not decide" in decide(reads, what="kind", device="device-3", value="quarantined").problem["detail"]
    assert kinds()["device-3"] == "local"
    try:
        got = decide(decides, what="kind", device="device-3", value="quarantined")
        assert (got.status, got.text) == (204, "")
        assert kinds()["device-3"] == "quarantined"
    finally:
        back = decide(decides, what="kind", device="device-3", value="local")
    assert back.status == 204 and kinds()["device-3"] == "local"
    with Reader(load(layout.SETTINGS_FILE).paths.ledger) as reader:
        mine = [
            (deed.device, deed.type, deed.detail) for deed in reader.deeds() if deed.host == f"token lamp <b>script at {LAPTOP}"
        ]
    assert mine == [("device-3", "kind", "local"), ("device-3", "kind", "quarantined")]
    page.goto(f"{URL}/settings")
    expect(page.get_by_role("listitem").filter(has_text=f"token lamp <b>script at {LAPTOP}").first).to_be_visible()
    assert decide(decides, what="kind", device="nothing", value="local").problem["status"] == 409
    assert decide(decides, what="kind", device="device-3", value="ignore").problem["status"] == 409


def test_no_token_does_what_is_not_for_programs(here: Here, reads: str, decides: str) -> None:
    """At the door, by every form of the pages; and behind it, at the steward's own socket, each question that there is."""
    before = standing()
    for token in (reads, decides):
        for path in ("/", "/settings", "/record", "/record/export?format=csv", "/rules", "/messages/x", "/events", "/vendors"):
            got = curl(path, token, "-D", "-", "-o", "/dev/stderr")
            assert got.status in (303, 401), (path, got)
        for path, form in {
            "/decide": "what=kind&device=device-3&value=quarantined",
            "/tokens": "what=make&name=more&may=decide&days=0",
            "/record/erase": "device=device-1&before=",
            "/record/check": "",
            "/rules/decide": "act=off&name=x",
        }.items():
            got = curl(path, token, "-H", f"Origin: {URL}", "-H", "Sec-Fetch-Site: same-origin", "--data", form)
            assert got.status in (303, 400, 403), (path, got)
        for what in SECRETS:
            assert decide(token, what=what, device="device-1", value="a fine new password").status in (400, 403)

        async def ask(token: str = token) -> dict[str, str]:
            link = Link(load(layout.SETTINGS_FILE).paths.socket("steward"), seconds=10)
            try:
                return await refused(link, token)
            finally:
                link.close()

        with ThreadPoolExecutor(1) as aside:  # Playwright has a loop of its own in this thread
            why = aside.submit(lambda ask=ask: asyncio.run(ask())).result()
        assert set(why) >= {type_.__name__ for type_ in NEVER} and set(why.values()) == {"token"}, why
    assert standing() == before


def test_a_token_is_in_no_log_and_in_no_file(here: Here, reads: str, decides: str) -> None:
    assert curl("/api/devices", reads).status == 200
    state = layout.STATE / "state"
    for path in (*LOGS.glob("*.log"), *(path for path in state.rglob("*") if path.is_file())):
        content = path.read_bytes()
        assert reads.encode() not in content and decides.encode() not in content, path


def test_a_reset_of_the_password_ends_every_token(here: Here, owner: BrowserContext) -> None:
    """What the owner does who fears the worst; the other tokens of this file are gone with it."""
    token = create("stolen", "decide")
    assert curl("/api/devices", token).status == 200
    mudroom("password", "reset")
    assert curl("/api/devices", token).problem["status"] == 401
    assert json.loads(mudroom("tokens", "list", "--json")) == []
