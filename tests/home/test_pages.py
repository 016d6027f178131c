"""The owner's pages in the running home, by a real browser on the laptop: first start, login, what devices say, live."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from playwright.sync_api import Error as PlaywrightError

from gateway.box import firststart
from tests.home.browser import URL, faults
from tests.home.client import Here, eventually, mudroom, order, run_in, status_of
from tests.home.lab import layout
from tests.home.owner import CA, HOUSEHOLD, PASSWORD, admit_household, fresh_code

ADDRESS = layout.LAN4.partition("/")[0]


@pytest.fixture(scope="module")
def owner(browser: Browser) -> Iterator[BrowserContext]:
    """A browser in which first start was done: with the code that the console shows."""
    fresh_code()
    context = browser.new_context()
    watch(context)
    page = context.new_page()
    page.goto(URL)
    expect(page).to_have_url(f"{URL}/start")
    page.get_by_label("First-start code").fill("0000-0000")
    page.get_by_label("Your password from now on").fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Make it mine").click()
    expect(page.get_by_role("alert")).to_contain_text("not the code")
    state = layout.STATE / "state"
    code = firststart.code(state)
    assert code
    page.get_by_label("First-start code").fill(code.lower().replace("-", " "))
    page.get_by_label("Your password from now on").fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    assert faults(page) == []
    page.get_by_role("button", name="Make it mine").click()
    expect(page.get_by_role("heading", name="Home", level=1)).to_be_visible()
    assert firststart.code(state) is None, "a code serves once"
    page.close()
    yield context
    context.close()


REQUESTED: list[str] = []
COMPLAINTS: list[str] = []


def watch(context: BrowserContext) -> None:
    """What pages ask for, and what the browser complains of (a policy that was broken, a script that failed)."""
    context.on("request", lambda request: REQUESTED.append(request.url))
    context.on("console", lambda message: COMPLAINTS.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: COMPLAINTS.append(str(error.error)))


def test_the_certificate_is_the_home_cas_and_only_the_lan_is_served(here: Here) -> None:
    laptop = run_in(layout.LAPTOP, "curl", "-sS", "-m", "5", "--cacert", str(CA), "--resolve", f"mudroom.home.arpa:443:{ADDRESS}",
                    "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", URL)  # fmt: skip
    assert laptop.out in (f"303 {URL}/start", f"303 {URL}/login"), laptop.err
    six = layout.LAN6.partition("/")[0]
    assert (
        run_in(layout.LAPTOP, "curl", "-sSk", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", f"https://[{six}]/").out
        == "303"
    )
    for namespace, addresses in (
        (layout.namespace(1), (ADDRESS, f"[{six}]", layout.WAN4.partition("/")[0])),
        (layout.INTERNET, (layout.WAN4.partition("/")[0], ADDRESS)),
    ):
        for address in addresses:
            done = run_in(
                namespace, "curl", "-sSk", "-m", "2", "--resolve", f"mudroom.home.arpa:443:{address}", f"https://{address}/"
            )
            assert done.code != 0 and "Mudroom" not in done.out, (namespace, address, done.out)
    listening = run_in(layout.GATEWAY, "ss", "-Hltn", "sport", "=", ":443").out
    assert {line.split()[3] for line in listening.splitlines() if "mudroom" not in line} >= {
        f"{ADDRESS}%lan0:443",
        f"[{six}]%lan0:443",
    }


def test_home_shows_each_device_with_what_it_said_and_tried(here: Here, page: Page) -> None:
    assert 200 <= status_of(here.curl(1)) < 300
    here.curl(1, url="https://tracker.example/", timeout=3)
    page.goto(URL)
    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Device 1"))
    expect(card).to_contain_text("Power reading")
    expect(card).to_contain_text("61.4 W")
    expect(card.get_by_text("standard", exact=True)).to_be_visible()
    for number in (2, 3):
        expect(page.get_by_role("heading", name=f"Device {number}")).to_be_visible()
    assert faults(page) == []


def test_a_message_arrives_live_and_opens_as_a_sheet(here: Here, page: Page) -> None:
    page.goto(f"{URL}/devices/device-1")
    expect(page.locator("#live")).to_have_text("Live")
    envelope = json.loads((here.folder(1) / "message.json").read_text())
    envelope["payload"]["power"] = 1234.5
    label = "<script>x</script> lamp"
    envelope["payload"]["label"] = label
    assert 200 <= status_of(here.curl(1, data=json.dumps(envelope))) < 300
    row = page.locator("#messages li").filter(has_text="1,234.5 W")
    expect(row.first).to_be_visible(timeout=10_000)
    assert faults(page) == []
    row.first.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Power reading", level=1)).to_be_visible()
    cells = page.get_by_role("row").filter(has_text="Power drawn now").get_by_role("cell")
    expect(cells).to_have_text(["1,234.5 W", "1,234.5 W"])
    expect(page.get_by_role("row").filter(has_text="name for the plug").get_by_role("cell").first).to_have_text(label)
    assert faults(page) == []
    assert page.evaluate("window.x") is None


def changed(here: Here, folder: Path) -> Path:
    """Acme's manifest, asking for more: a later version that waits for the owner."""
    document: dict[str, Any] = json.loads(Path(here.facts["vendors"]["acme"]["manifest"]).read_text())
    messages = document["ietf-mud:mud"]["clear-envelope"]["messages"]
    messages["power-reading"]["payload"]["properties"]["watts-ago"] = {
        "type": "integer", "title": "Power an hour ago", "unit": "W", "minimum": 0, "maximum": 3680,
    }  # fmt: skip
    path = folder / "more.json"
    path.write_text(json.dumps(document))
    return path


def test_a_manifest_that_asks_for_more_is_approved_on_the_page(here: Here, page: Page, tmp_path: Path) -> None:
    mudroom("manifest", "offer", "device-1", str(changed(here, tmp_path)), check=False)
    page.goto(URL)
    page.get_by_role("link", name="It asks for something: decide").click()
    waits = page.get_by_role("article").filter(has_text="Device 1")
    expect(waits).to_contain_text("Power an hour ago")
    expect(waits).to_contain_text("Nobody signed it")
    assert faults(page) == []
    waits.get_by_label("I trust it although nobody signed it").check()
    waits.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("heading", name="Manifests that wait for you")).to_be_visible()
    expect(page.get_by_role("article").filter(has_text="Device 1")).to_have_count(0)
    page.goto(f"{URL}/devices/device-1")
    page.get_by_text("What its manifest declares").click()
    expect(page.get_by_text("Power an hour ago")).to_be_visible()
    page.goto(f"{URL}/settings")
    expect(page.get_by_role("listitem").filter(has_text="approve").first).to_contain_text("device-1")


def test_a_stranger_is_admitted_and_forgotten_on_the_page(here: Here, page: Page) -> None:
    mac = here.device(4)["mac"]
    run_in(layout.namespace(4), "curl", "-sk", "-m", "2", "https://198.51.100.7/")
    page.goto(f"{URL}/newcomers")
    stranger = page.get_by_role("article").filter(has_text=mac)
    expect(stranger).to_be_visible()
    stranger.get_by_label("Short name").fill("guest")
    stranger.get_by_label("What you call it").fill("Guest lamp")
    stranger.get_by_role("button", name="Admit it").click()
    expect(page.get_by_role("heading", name="Guest lamp", level=1)).to_be_visible()
    try:
        assert any(row["device"] == "guest" and row["mac"] == mac for row in json.loads(mudroom("devices", "--json")))
        here.settle(4)
        page.get_by_role("button", name="Quarantine it").click()
        expect(page.locator("h1 .badge")).to_have_text("quarantined")
        assert faults(page) == []
        page.get_by_role("link", name="Forget this device").click()
        assert faults(page) == []
        page.get_by_role("button", name="Forget it").click()
        expect(page.get_by_role("heading", name="Home", level=1)).to_be_visible()
        expect(page.get_by_text("Guest lamp")).to_have_count(0)
    finally:
        mudroom("devices", "forget", "guest", check=False)


@pytest.mark.parametrize("path", ["/", "/newcomers", "/attempts", "/leaks", "/settings", "/devices/device-2"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(here: Here, page: Page, path: str, scheme: str) -> None:
    """In light and dark, on a phone's width: axe-core finds nothing serious, and nothing is wider than the screen."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(URL + path)
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_keyboard_is_enough(here: Here, page: Page) -> None:
    page.goto(URL)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(60):  # notices stand before the devices
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href') || ''").startswith("/devices/"):
            break
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/devices/"))


def test_without_javascript_everything_is_still_shown(here: Here, owner: BrowserContext, browser: Browser) -> None:
    bare = browser.new_context(java_script_enabled=False)
    try:
        bare.add_cookies(owner.cookies())  # type: ignore[arg-type]
        page = bare.new_page()
        shown = {"/": "Device 1", "/devices/device-1": "Power reading", "/attempts": "Attempts", "/leaks": "bits"}
        for path, words in (*shown.items(), ("/newcomers", "Newcomers")):
            page.goto(URL + path)
            expect(page.locator("main")).to_contain_text(words)
    finally:
        bare.close()


def test_the_household_sees_and_changes_nothing(here: Here, page: Page, browser: Browser) -> None:
    admit_household(page)
    context = browser.new_context()
    try:
        guest = context.new_page()
        guest.goto(URL)
        expect(guest).to_have_url(f"{URL}/login")
        assert faults(guest) == []
        guest.get_by_label("Password").fill("wrong, surely wrong")
        guest.get_by_role("button", name="Log in").click()
        expect(guest.get_by_role("alert")).to_be_visible()
        guest.get_by_label("Password").fill(HOUSEHOLD)
        guest.get_by_role("button", name="Log in").click()
        expect(guest.get_by_role("heading", name="Home", level=1)).to_be_visible()
        guest.goto(f"{URL}/devices/device-1")
        expect(guest.get_by_text("What it said")).to_be_visible()
        expect(guest.get_by_role("button", name="Quarantine it")).to_have_count(0)
        guest.get_by_role("button", name="Log out").click()
        expect(guest).to_have_url(f"{URL}/login")
        guest.goto(URL)
        expect(guest).to_have_url(f"{URL}/login")
    finally:
        context.close()


def test_a_killed_part_comes_back_and_devices_do_not_notice(here: Here, page: Page) -> None:
    """The pages' process holds nothing: sessions outlive it. The steward's memory holds them: after it one logs in again."""
    page.goto(URL)
    order("kill", "web")
    assert 200 <= status_of(here.curl(1)) < 300
    eventually(lambda: _status(page, "/") == 200, "the pages are back, and the session with them")
    order("kill", "steward")
    assert 200 <= status_of(here.curl(1)) < 300
    eventually(lambda: page.goto(URL) and page.url == f"{URL}/login", "the steward is back, and knows nobody")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Home", level=1)).to_be_visible()


def _status(page: Page, path: str) -> int:
    """What a page answers; 0 where nobody does."""
    try:
        found = page.goto(URL + path)
    except PlaywrightError:
        return 0
    return found.status if found and page.url == URL + path else 0


def test_a_password_that_is_reset_ends_every_session(here: Here, page: Page) -> None:
    page.goto(f"{URL}/devices/device-1")
    expect(page.locator("#live")).to_have_text("Live")
    mudroom("password", "reset")
    expect(page).to_have_url(f"{URL}/start", timeout=10_000)


def test_no_page_asked_another_host_or_broke_its_own_policy(here: Here, owner: BrowserContext) -> None:
    """Last: over all that the tests above did."""
    assert REQUESTED and {url for url in REQUESTED if not url.startswith(f"{URL}/")} == set()
    # a wrong code or password, a session that ended and parts that were killed are answered so, and Chromium reports each
    expected = re.compile(
        r"^Failed to load resource: the server responded with a status of (401|403|422|503)|^Failed to load resource: net::ERR_"
    )
    assert [words for words in COMPLAINTS if not expected.match(words)] == []


def test_what_the_pages_cost(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """Memory of both processes, for the log; the box's headroom is in docs/benchmarks.md."""
    units = order("list")
    for name in ("web", "steward"):
        text = Path(f"/proc/{units[name]['pid']}/smaps_rollup").read_text()
        pss, anonymous = (int(re.search(rf"^{field}:\s+(\d+)", text, re.M)[1]) / 1024 for field in ("Pss", "Pss_Anon"))  # type: ignore[index]
        with capsys.disabled():
            print(f"  {name}: PSS {pss:.1f} MiB, anonymous {anonymous:.1f}", flush=True)
        assert anonymous < 64
