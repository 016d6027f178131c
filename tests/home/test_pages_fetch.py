"""A manifest that a device announced by DHCP is looked for from the owner's pages, at the vendor's real host, and decided on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.home.browser import URL, faults
from tests.home.client import Here, eventually, mudroom, run_in
from tests.home.lab import layout
from tests.home.owner import PASSWORD, log_in

NUMBER = 4
NAME = "announced-plug"  # of this file alone: what was decided about it stays on record
HOST = "api.acme.example"
WHERE = f"https://{HOST}/mud/{NAME}.json"
SHOWN = layout.STATE / "state" / "dhcp" / "mud"


@pytest.fixture
def announce(here: Here) -> Iterator[Callable[[str], None]]:
    """The stranger asks for its lease with a MUD URL, and is admitted; afterwards it is a stranger again and showed none."""
    mac = here.device(NUMBER)["mac"]
    mudroom("devices", "forget", NAME, check=False)

    def say(url: str) -> None:
        # a client beside its own, which changes no address: the lease is the same one
        words = ["udhcpc", "-f", "-q", "-n", "-i", "eth0", "-s", "/bin/true", "-x", f"0xa1:{url.encode().hex()}"]
        done = run_in(layout.namespace(NUMBER), *words)
        assert done.code == 0, done.err
        eventually(lambda: (SHOWN / mac).is_file() and (SHOWN / mac).read_text().strip() == url, "what it announced is noted")
        mudroom("devices", "add", NAME, "--mac", mac, "--name", "Announced plug", "--kind", "local")

    yield say
    mudroom("devices", "forget", NAME, check=False)
    (SHOWN / mac).unlink(missing_ok=True)


@pytest.fixture
def published(here: Here) -> Iterator[Callable[[int], None]]:
    """The vendor publishes its manifest, with an upper bound of the power; afterwards it publishes nothing."""
    original = Path(here.facts["vendors"]["acme"]["manifest"])
    folder = original.parent / "files"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    file = folder / f"{NAME}.json"

    def publish(maximum: int) -> None:
        document: dict[str, Any] = json.loads(original.read_text())
        document["ietf-mud:mud"] |= {"mud-url": WHERE}
        reading = document["ietf-mud:mud"]["clear-envelope"]["messages"]["power-reading"]["payload"]["properties"]
        reading["power"]["maximum"] = maximum
        file.write_text(json.dumps(document))
        file.chmod(0o644)

    yield publish
    file.unlink(missing_ok=True)


def looks(here: Here) -> list[dict[str, Any]]:
    """What the vendor saw of looks for this file's manifest."""
    return [line for line in here.received("acme") if line["path"] == f"/mud/{NAME}.json"]


def button(page: Page | Locator, host: str = HOST) -> Locator:
    return page.get_by_role("button", name=f"Look for its manifest at {host}")


def narrow(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 1280, "height": 720})


def test_an_announced_manifest_is_looked_for_approved_and_looked_for_again(
    here: Here, page: Page, announce: Callable[[str], None], published: Callable[[int], None]
) -> None:
    published(2000)
    announce(WHERE)
    page.goto(f"{URL}/newcomers")
    expect(page.locator("#live")).to_have_text("Live")
    card = page.locator("#announced article").filter(has_text="Announced plug")
    expect(card).to_contain_text("The device chose this address")
    expect(card.locator("a")).to_have_count(1)  # to its own page, and nowhere else
    assert faults(page) == []
    narrow(page)
    assert looks(here) == [], "to show it asks nobody"

    button(card).click()
    waits = page.locator("#manifests article").filter(has_text="Announced plug")
    expect(waits).to_contain_text("Power reading")
    (seen,) = looks(here)
    assert {name.lower() for name, _ in seen["headers"]} == {"host", "accept", "user-agent"}, "the vendor learns nothing else"
    page.goto(f"{URL}/devices/{NAME}")
    expect(page.locator("#look")).to_contain_text("A look found one")
    assert faults(page) == []

    page.locator("#look").get_by_role("link", name="See what it asks for").click()
    waits.get_by_label("I trust it although nobody signed it").check()
    waits.get_by_role("button", name="Approve").click()
    expect(page.locator("#manifests")).to_contain_text("None")

    # the vendor asks for more
    published(3000)
    page.goto(f"{URL}/devices/{NAME}")
    expect(page.locator("#live")).to_have_text("Live")
    assert "The device chose" not in page.content(), "it is the approved manifest's own place now"
    button(page).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#look")).to_contain_text("would reach from 0 to 3000 W, so far from 0 to 2000")
    assert faults(page) == []
    narrow(page)
    assert len(looks(here)) == 2

    page.goto(f"{URL}/settings")
    expect(page.get_by_role("listitem").filter(has_text="look").filter(has_text=NAME)).to_have_count(2)
    rows = json.loads(mudroom("manifest", "looks", NAME, "--json"))
    assert [(row["url"], row["what"]) for row in rows] == [(WHERE, "manifest")] * 2
    (waiting,) = [row for row in json.loads(mudroom("manifest", "waiting", "--json")) if row["device"] == NAME]
    assert [each["waits"] for each in waiting["differences"]].count(True) >= 1

    # the command does the same, on record in the same way
    mudroom("manifest", "fetch", NAME, check=False)
    by = [row["by"] for row in json.loads(mudroom("deeds", "--device", NAME, "--json")) if row["what"] == "look"]
    assert [each.startswith(who) for each, who in zip(by, ("command of ", "owner at ", "owner at "), strict=True)] == [True] * 3


def test_without_a_script_what_failed_is_said(here: Here, browser: Browser, page: Page, announce: Callable[[str], None]) -> None:
    announce(f"https://{HOST}/mud/nothing-{NAME}.json")
    context = browser.new_context(java_script_enabled=False)
    try:
        plain = context.new_page()
        log_in(plain, PASSWORD)
        plain.goto(f"{URL}/devices/{NAME}")
        button(plain).click()
        expect(plain.locator("#look")).to_be_visible()

        def failed() -> bool:
            plain.reload()
            return "A look found nothing" in plain.locator("#look").inner_text()

        assert eventually(failed, "it is said without a script, too")
        expect(plain.locator("#look")).to_contain_text(f"{HOST} answered 204")
        expect(button(plain)).to_be_visible()
    finally:
        context.close()


def test_a_device_that_lies_about_where_is_shown_as_it_is(
    here: Here, page: Page, household: Any, announce: Callable[[str], None]
) -> None:
    host = f"xn--cme-5ld.example.{'a' * 63}.{'b' * 63}.tracker.example"
    announce(f"https://{host}/mud/{'c' * 50}")
    page.goto(f"{URL}/devices/{NAME}")
    expect(button(page, host)).to_be_visible()
    expect(page.locator("#look")).to_contain_text("another alphabet")
    assert page.locator(f"a[href*='{host}']").count() == 0
    assert faults(page) == []
    narrow(page)
    button(page, host).click()
    expect(page.locator("#look")).to_contain_text("A look found nothing")
    narrow(page)
    assert faults(page) == []
    guest = household.new_page()
    guest.goto(f"{URL}/devices/{NAME}")
    expect(guest.locator("#look")).to_contain_text(host)
    expect(button(guest, host)).to_have_count(0)
    guest.close()
