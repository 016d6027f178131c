"""The vendors' scores in the running home, by a real browser: seen, previewed, downloaded, and read as a page for itself."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from gateway.config import load
from gateway.registry import RegistryFile
from gateway.scorecard import key
from tests.home.browser import URL, faults
from tests.home.client import Here, eventually, mudroom, status_of
from tests.home.lab import layout
from tests.home.test_rules import PROBLEM

ACME = f"{URL}/vendors/{key('Acme')}"
HOSTILE = "<img src=x onerror=alert(1)>"
RULES = layout.STATE / "state" / "policy.d"
BEHAVIOUR = layout.RUN / "vendors" / "acme" / "behaviour.json"


@pytest.fixture(scope="module", autouse=True)
def refused(here: Here) -> Iterator[None]:
    """Device 1 says something, its owner keeps a field, its vendor refuses for it, and the device tries another way."""
    assert 200 <= status_of(here.curl(1)) < 300
    mudroom("rules", "withhold", "device-1", "power-reading", "/payload/power", "--name", "no-power")
    BEHAVIOUR.write_text(json.dumps({"status": 422, "media_type": "application/problem+json", "body": json.dumps(PROBLEM)}))
    try:
        assert status_of(here.curl(1)) >= 400
    finally:
        BEHAVIOUR.unlink(missing_ok=True)
        for path in RULES.glob("*"):
            path.unlink()
    here.curl(1, url="https://tracker.example/", timeout=3)
    eventually(lambda: "name-not-approved" in here.reasons(1) or None, "the attempt is counted")
    yield


def test_the_score_tells_what_was_sent_kept_and_refused(here: Here, page: Page) -> None:
    page.goto(f"{URL}/vendors")
    listed = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Acme", exact=True))
    expect(listed).to_contain_text("Fields declared")
    listed.get_by_role("link", name="Acme").click()
    expect(page).to_have_url(ACME)
    expect(page.get_by_text("api.acme.example").first).to_be_visible()
    row = page.get_by_role("row").filter(has_text="Power drawn now")
    expect(row).to_contain_text("required")
    expect(page.locator("section", has=page.get_by_role("heading", name="How often it refused service"))).to_contain_text(
        "It wants: Power drawn now"
    )
    expect(page.get_by_role("region", name="What its devices tried").get_by_role("row").nth(1)).to_be_visible()
    (card,) = json.loads(mudroom("vendors", "Acme", "--json"))  # a page draws the eight most frequent
    assert "name-not-approved" in {row["reason"] for row in card["tried"]}
    expect(page.get_by_role("img", name=re.compile("Messages by day"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Bits by day"))).to_be_visible()


def test_the_page_to_publish_is_previewed_downloaded_and_stands_alone(
    here: Here, page: Page, browser: Browser, tmp_path: Path
) -> None:
    page.goto(ACME)
    page.get_by_role("link", name="A page of it to publish").click()
    expect(page.get_by_role("heading", name="A page to publish")).to_be_visible()
    preview = page.get_by_role("article").inner_text()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download the page").click()
    download = downloading.value
    assert download.suggested_filename == "mudroom-acme.html"
    file = tmp_path / "page.html"
    download.save_as(file)
    text = file.read_text()
    devices = json.loads((layout.STATE / "state" / "registry.json").read_text())["devices"]
    own = [device[name] for device in devices for name in ("id", "name", "mac")]
    for word in (*own, "tracker.example", "mudroom.home.arpa", "10.77.", "192.168.", "fd4d:", "61.4"):
        assert word not in text, word
    assert not re.search(r"\d\d:\d\d", text)
    context = browser.new_context(offline=True)
    requested: list[str] = []
    complaints: list[str] = []
    try:
        alone = context.new_page()
        alone.on("request", lambda request: requested.append(request.url))
        alone.on("console", lambda message: complaints.append(message.text))
        alone.goto(file.as_uri())
        assert "Score of Acme" in alone.get_by_role("heading", level=1).inner_text()
        assert requested == [file.as_uri()] and complaints == []
        lines = [line for line in alone.get_by_role("main").inner_text().split("\n") if line.strip()]
        assert [line for line in lines if line not in preview.split("\n")] == [], "the preview shows all of it"
        for scheme in ("light", "dark"):
            alone.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            alone.set_viewport_size({"width": 360, "height": 740})
            assert alone.evaluate("document.documentElement.scrollWidth") <= 360
    finally:
        context.close()


def test_a_hostile_vendor_name_is_text_on_every_page(here: Here, page: Page, tmp_path: Path) -> None:
    document = json.loads(Path(here.facts["vendors"]["acme"]["manifest"]).read_text())
    document["ietf-mud:mud"]["clear-envelope"]["vendor"]["name"] = HOSTILE
    mudroom("devices", "add", "hostile", "--mac", "02:00:00:00:00:fe")
    dmz = load(layout.SETTINGS_FILE).dmz
    with RegistryFile(
        layout.STATE / "state" / "registry.json"
    ).change() as change:  # past the judge of words, as an older version might have let it in
        change.approve("hostile", json.dumps(document).encode(), dmz.pool_ipv4, dmz.pool_ipv6, now=int(time.time()))
    try:
        place = f"{URL}/vendors/{key(HOSTILE)}"
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        for path in (f"{URL}/vendors", place, f"{place}/preview"):
            page.goto(path)
            expect(page.get_by_text(HOSTILE).first).to_be_visible()
            assert page.locator("main img[src]").count() == 0
        with page.expect_download() as downloading:
            page.get_by_role("link", name="Download the page").click()
        assert downloading.value.suggested_filename == "mudroom-img-src-x-onerror-alert-1.html"
        assert "<img" not in Path(downloading.value.path()).read_text()
    finally:
        mudroom("devices", "forget", "hostile")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/vendors", ACME.removeprefix(URL), ACME.removeprefix(URL) + "/preview", "/leaks", "/attempts",
                                  "/devices/device-1"])  # fmt: skip
def test_nobody_is_shut_out(here: Here, page: Page, path: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(URL + path)
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_without_scripts_everything_is_there(here: Here, browser: Browser, owner: BrowserContext) -> None:
    context = browser.new_context(java_script_enabled=False, storage_state=owner.storage_state())
    try:
        page = context.new_page()
        page.goto(ACME)
        expect(page.get_by_role("heading", name="What it collects")).to_be_visible()
        expect(page.locator("svg").first).to_be_visible()
    finally:
        context.close()


def test_the_command_tells_the_same(here: Here, tmp_path: Path) -> None:
    (told,) = json.loads(mudroom("vendors", "--json"))
    assert "Acme" in [card["name"] for card in told["vendors"]]
    (card,) = json.loads(mudroom("vendors", "acme", "--json"))
    assert card["refused"]["why"][0]["needs"] == ["Power drawn now"]
    assert "Refused service" in mudroom("vendors", "Acme")
    file = tmp_path / "acme.html"
    mudroom("vendors", "Acme", "--export", str(file))
    assert file.read_text().startswith("<!doctype html>")
    assert mudroom("vendors", "Acme", "--export", str(file), check=False) == "", "what is there is not written over"
