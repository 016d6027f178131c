"""A newcomer on the owner's pages: named, its code typed or scanned, enrolled, its manifest approved, its first message live."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.home.browser import URL, faults
from tests.home.client import Done, Here, eventually, mudroom, run_in, status_of
from tests.home.lab import layout
from tests.home.lab.supervisor import LOGS
from tests.home.owner import HOUSEHOLD, admit_household

CODE = "MUDR-OOMS-AFEB-OOTS-23"
PLAIN = CODE.replace("-", "")
OTHER = "ABCD-EFGH-IJKL-MNOP-QR"
DEVICE = layout.CHECKOUT / "tests" / "home" / "est_device.sh"
NEWCOMER = 4
NAME = "kitchen-plug"  # of this file alone: what it said stays on record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A newcomer's memory."""
    return tmp_path


@pytest.fixture
def stranger(here: Here) -> Iterator[str]:
    """The hardware address of one that nobody admitted; afterwards it is a stranger again."""
    mudroom("devices", "forget", NAME, check=False)
    yield here.device(NEWCOMER)["mac"]
    mudroom("devices", "forget", NAME, check=False)


@pytest.fixture
def admitted(here: Here, stranger: str) -> str:
    """Admitted by the command, without a certificate."""
    mudroom("devices", "add", NAME, "--mac", stranger, "--name", "Kitchen plug", "--kind", "local")
    return NAME


def enrol(folder: Path, code: str = PLAIN) -> Done:
    """The whole of what a device does; 2: nobody has entered its code yet."""
    return run_in(layout.namespace(NEWCOMER), "sh", str(DEVICE), code, str(folder), timeout=30)


def send(here: Here, folder: Path) -> Done:
    """A conforming message with what enrolment gave."""
    words = ["curl", "-sS", "-m", "15", "--cacert", "ca.pem", "--cert", "cert.pem", "--key", "key.pem", "-w", "\n%{http_code}"]
    words += ["-H", "Content-Type: application/clear-envelope+json", "--data", f"@{here.folder(NEWCOMER) / 'message.json'}"]
    return run_in(layout.namespace(NEWCOMER), *words, here.url(NEWCOMER), cwd=folder)


def waited_for(page: Page) -> Locator:
    return page.locator("#pairings article").filter(has_text="Kitchen plug")


def enter_code(page: Page, code: str) -> None:
    """On the page of newcomers, for a device that is admitted."""
    page.goto(f"{URL}/newcomers")
    page.get_by_text("Kitchen plug: enter its code").click()
    page.get_by_label("The code on its label", exact=True).fill(code)
    page.get_by_role("button", name="Wait for it").click()
    expect(waited_for(page)).to_contain_text("Waits for the device")


def said_on_disk(code: str) -> list[str]:
    """Files of the gateway (logs, settings, registry, ledger with its write-ahead log) that hold a code."""
    words = ("grep", "-rlaiE", f"{code}|{code.replace('-', '')}", str(layout.STATE), str(LOGS))
    return run_in(layout.GATEWAY, *words).out.split()


def test_a_newcomer_is_named_enrols_is_approved_and_heard(here: Here, page: Page, folder: Path, stranger: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{URL}/newcomers")
    expect(page.locator("#live")).to_have_text("Live")
    assert enrol(folder).code == 2, "nobody knows it yet"
    card = page.locator("#strangers article").filter(has_text=stranger)
    expect(card).to_be_visible(timeout=15_000)
    assert faults(page) == []
    card.get_by_label("Short name").fill(NAME)
    card.get_by_label("What you call it").fill("Kitchen plug")
    card.get_by_label("The code on its label").fill(CODE.lower().replace("-", " "))
    card.get_by_role("button", name="Admit it").click()
    expect(waited_for(page)).to_contain_text("Waits for the device")
    assert faults(page) == []
    assert next(row for row in json.loads(mudroom("devices", "--json")) if row["device"] == NAME)["pairing"] == "waiting"

    assert eventually(lambda: done if (done := enrol(folder)).code != 2 else None, "it may enrol").code == 0
    expect(waited_for(page)).to_contain_text("has proved its code and has its certificate", timeout=15_000)
    expect(page.locator("#manifests")).to_contain_text("None")

    mudroom("manifest", "offer", NAME, here.facts["vendors"]["acme"]["manifest"], check=False)
    waits = page.locator("#manifests article").filter(has_text="Kitchen plug")
    expect(waits).to_contain_text("Power reading", timeout=15_000)
    waits.get_by_label("I trust it although nobody signed it").check()
    waits.get_by_role("button", name="Approve").click()
    expect(page.locator("#manifests")).to_contain_text("None")

    page.goto(f"{URL}/devices/{NAME}")
    expect(page.locator("h1 .badge")).to_have_text("standard")
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("#messages")).to_contain_text("Nothing that is still on record")
    done = eventually(lambda: found if status_of(found := send(here, folder)) == 200 else None, "its message arrives")
    assert status_of(done) == 200
    expect(page.locator("#messages li").first).to_contain_text("Power reading", timeout=15_000)

    page.goto(f"{URL}/settings")
    expect(page.get_by_role("listitem").filter(has_text="pair").first).to_contain_text(NAME)
    assert said_on_disk(NAME) != [], "it looks where names are"
    assert said_on_disk(CODE) == []
    assert not [url for url in asked if PLAIN.lower() in re.sub(r"[^a-z0-9]", "", url.lower())], "no address holds it"


def test_a_wrong_code_says_who_was_wrong(here: Here, page: Page, folder: Path, admitted: str) -> None:
    enter_code(page, OTHER)
    for _ in range(2):
        assert eventually(lambda: done if (done := enrol(folder)).code != 2 else None, "the gateway holds a code").code == 3
    expect(waited_for(page)).to_contain_text("the code is not the one in it", timeout=15_000)
    waited_for(page).get_by_role("button", name="Stop waiting").click()
    expect(waited_for(page)).to_contain_text("You stopped waiting")
    assert eventually(lambda: done if (done := enrol(folder)).code == 2 else None, "the code is forgotten").code == 2
    enter_code(page, CODE)
    assert eventually(lambda: done if (done := enrol(folder)).code == 0 else None, "it enrols").code == 0
    expect(waited_for(page)).to_contain_text("has proved its code", timeout=15_000)


def test_what_is_no_code_changes_nothing(here: Here, page: Page, stranger: str) -> None:
    run_in(layout.namespace(NEWCOMER), "curl", "-sk", "-m", "2", "https://198.51.100.7/")
    eventually(lambda: [row for row in here.drops() if row["device"] == stranger], "the stranger was seen")
    page.goto(f"{URL}/newcomers")
    card = page.locator("#strangers article").filter(has_text=stranger)
    card.get_by_label("Short name").fill(NAME)
    field = card.get_by_label("The code on its label")
    field.evaluate("field => field.removeAttribute('pattern')")
    field.fill("0000-1111-9999-8888")
    card.get_by_role("button", name="Admit it").click()
    expect(page.locator("main")).to_contain_text("Nothing was changed")
    assert "1111" not in page.content(), "what was typed is not repeated"
    assert NAME not in {row["device"] for row in json.loads(mudroom("devices", "--json"))}


def test_the_household_cannot(here: Here, page: Page, browser: Browser, admitted: str) -> None:
    admit_household(page)
    context = browser.new_context()
    try:
        guest = context.new_page()
        guest.goto(f"{URL}/login")
        guest.get_by_label("Password").fill(HOUSEHOLD)
        guest.get_by_role("button", name="Log in").click()
        expect(guest.get_by_role("heading", name="Home", level=1)).to_be_visible()
        guest.goto(f"{URL}/newcomers")
        expect(guest.get_by_label("The code on its label")).to_have_count(0)
        guest.goto(f"{URL}/notices")
        expect(guest.get_by_role("button", name=re.compile("^Seen|I have seen"))).to_have_count(0)
        csrf = guest.locator("input[name=csrf]").first.get_attribute("value") or ""
        for path, fields in (("/pair", {"device": NAME, "code": PLAIN}), ("/notices/seen", {"ids": "0" * 16})):
            status = guest.evaluate(
                "([path, fields]) => fetch(path, {method: 'POST', body: new URLSearchParams(fields)}).then(got => got.status)",
                [path, {"csrf": csrf, **fields}],
            )
            assert status == 403, path
        assert next(row for row in json.loads(mudroom("devices", "--json")) if row["device"] == NAME)["pairing"] == ""
    finally:
        context.close()


SCANNER = """
window.BarcodeDetector = class { async detect() { return window.shown ? [{rawValue: window.shown}] : []; } };
navigator.mediaDevices.getUserMedia = async () => {
  const canvas = document.createElement("canvas");
  canvas.getContext("2d").fillRect(0, 0, 9, 9);
  return window.camera = canvas.captureStream(5);
};
"""


def test_a_code_is_scanned_where_the_browser_reads_them(here: Here, page: Page, admitted: str) -> None:
    """The browser's camera and its reader of QR codes are stood in for; what our script makes of them is real."""
    page.add_init_script(SCANNER)
    page.goto(f"{URL}/newcomers")
    page.get_by_text("Kitchen plug: enter its code").click()
    form = page.locator(f"form:has(input[value={NAME}])")
    form.get_by_role("button", name="Scan it").click()
    expect(page.get_by_label("What the camera sees")).to_be_visible()
    page.evaluate("window.shown = 'WIFI:S:home;;'")
    expect(form.get_by_role("status")).to_contain_text("no label's code")
    page.evaluate(f"window.shown = '{URL}/newcomers#{CODE.lower()}'")
    expect(page.get_by_label("The code on its label", exact=True)).to_have_value(CODE)
    expect(page.get_by_label("What the camera sees")).to_have_count(0)
    assert page.evaluate("window.camera.getTracks().every(track => track.readyState === 'ended')"), "the camera is let go"
    assert faults(page) == []


def test_a_link_from_a_label_fills_the_field_and_leaves_the_address(here: Here, page: Page, admitted: str) -> None:
    page.goto(f"{URL}/newcomers#{PLAIN}")
    fields = page.locator("input[data-code]")
    if fields.count() > 1:
        page.get_by_text("Kitchen plug: enter its code").click()
        page.get_by_label("The code on its label", exact=True).focus()
    expect(page.get_by_label("The code on its label", exact=True)).to_have_value("MUDR-OOMS-AFEB-OOTS-23")
    assert page.url == f"{URL}/newcomers"


def test_notices_are_shown_until_they_are_seen_and_stay_on_their_page(here: Here, page: Page, stranger: str) -> None:
    run_in(layout.namespace(NEWCOMER), "curl", "-sk", "-m", "2", "https://198.51.100.7/")
    key = eventually(
        lambda: next((row["id"] for row in json.loads(mudroom("notices", "--json")) if row["device"] == stranger), None),
        "there is a notice of the stranger",
    )
    page.goto(URL)
    unseen = page.locator("#unseen li").filter(has_text=stranger)
    if unseen.count() == 0:  # others are newer: the page of all has it
        page.goto(f"{URL}/notices")
        unseen = page.locator("#notices li").filter(has_text=stranger)
    expect(unseen).to_contain_text("New device")
    expect(page.get_by_role("link", name=re.compile(r"Notices \d+ not seen"))).to_be_visible()
    assert faults(page) == []
    unseen.get_by_role("button", name=re.compile("Seen")).click()
    page.goto(URL)
    expect(page.locator("#unseen li").filter(has_text=stranger)).to_have_count(0)
    page.goto(f"{URL}/notices")
    expect(page.locator("#notices li").filter(has_text=stranger)).to_contain_text("seen")
    expect(page.locator("#notices li").filter(has_text=stranger).get_by_role("button")).to_have_count(0)
    listed = {row["id"]: row["seen"] for row in json.loads(mudroom("notices", "--json"))}
    assert listed[key] == "yes"
    assert key not in {row["id"] for row in json.loads(mudroom("notices", "--unseen", "--json"))}
    page.goto(f"{URL}/settings")
    expect(page.get_by_role("listitem").filter(has_text=f"newcomer {key}").first).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/notices", "/newcomers"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(here: Here, page: Page, admitted: str, path: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(URL + path)
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_it_is_read_without_javascript(here: Here, owner: BrowserContext, browser: Browser, admitted: str) -> None:
    bare = browser.new_context(java_script_enabled=False)
    try:
        bare.add_cookies(owner.cookies())  # type: ignore[arg-type]
        page = bare.new_page()
        page.goto(f"{URL}/notices")
        expect(page.get_by_role("heading", name="Notices", level=1)).to_be_visible()
        enter_code(page, OTHER)
        waited_for(page).get_by_role("button", name="Stop waiting").click()
        expect(waited_for(page)).to_contain_text("You stopped waiting")
    finally:
        bare.close()
