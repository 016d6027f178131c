"""The Record page in the running home, by a real browser: searched, taken away, checked, erased, and told when it was changed."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sqlite3
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.home.browser import URL, faults
from tests.home.client import GATEWAY_ENVIRONMENT, Here, eventually, mudroom, order, status_of
from tests.home.lab import layout
from tests.home.lab.home import MUDROOM
from tests.home.owner import PASSWORD, log_in

KETTLE = "kettle <b>by</b> the window"
FORMULA = '=HYPERLINK("http://203.0.113.9","\u202ekcilc")\x1b]0;x\x07'
MARKUP = "<img src=x onerror=alert(1)>"
LEDGER = layout.STATE / "state" / "ledger" / "ledger.db"


def say(here: Here, number: int, **more: object) -> int:
    envelope = json.loads((here.folder(number) / "message.json").read_text())
    envelope["payload"] |= more
    return status_of(here.curl(number, data=json.dumps(envelope)))


@pytest.fixture(scope="module", autouse=True)
def said(here: Here) -> Iterator[None]:
    """Device 1 says something that is found by its words, and something that is no message at all; device 2 speaks, too."""
    assert 200 <= say(here, 1, label=KETTLE) < 300
    assert status_of(here.curl(1, data=FORMULA)) >= 400
    assert 200 <= status_of(here.curl(2)) < 300
    eventually(lambda: "HYPERLINK" in mudroom("messages", "--refused", "--json", "-n", "5") or None, "the refusal is on record")
    eventually(lambda: "waiting" not in mudroom("messages", "--device", "device-2", "--json") or None, "its vendor has it all")
    yield


def hits(page: Page) -> list[str]:
    """What was found, line by line."""
    return page.locator("section", has=page.get_by_role("heading", name="What was found")).locator("li").all_inner_texts()


def search(page: Page, **typed: str) -> list[str]:
    """By the form."""
    page.goto(f"{URL}/record")
    form = page.get_by_role("search")
    for name, words in typed.items():
        form.get_by_label(name.replace("_", " ")).fill(words)
    form.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile(r"/record\?"))
    return hits(page)


def asked(page: Page, **query: str) -> list[str]:
    """By a link."""
    answer = page.goto(f"{URL}/record?{urlencode(query)}")
    assert answer is not None and answer.status == 200, page.locator("main").inner_text()
    return hits(page)


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "bare"])
def test_a_message_is_found_by_device_field_words_and_time(
    here: Here, owner: BrowserContext, browser: Browser, scripts: bool
) -> None:
    context = browser.new_context(java_script_enabled=scripts, storage_state=owner.storage_state())
    try:
        page = context.new_page()
        found = search(page, Device="device-1", Words="KETTLE window", From="1h")
        assert found and all("Device 1" in line for line in found)
        assert all("Device 2" in line for line in search(page, Device="device-2")) and hits(page)
        assert search(page, Field=f"/payload/label={KETTLE}") == found
        assert search(page, Words="kettle", Before="2020-01-01") == [] == search(page, Words="kettle", Device="device-2")
        assert search(page, Field="/payload/nothing") == []
        search(page, From="yesterday")
        expect(page.get_by_role("alert")).to_contain_text("say a date")
        search(page, Words="kettle")
        page.get_by_role("link", name="Power reading").first.click()
        expect(page.get_by_role("heading", name="Power reading", level=1)).to_be_visible()
        expect(page.get_by_text(KETTLE).first).to_be_visible()
    finally:
        context.close()


@pytest.mark.parametrize(
    "words",
    ['"', 'kettle"', '"kettle" NEAR(window', "kett*", "-kettles", "kettle AND NOT by", "terms:kettle", "{terms device}: kettle",
     "kettle OR device", "'; DROP TABLE records; --", "(" * 250, "kettle " * 36, "device-1 kettle", "\x00kettles", "\u202elttek"],
)  # fmt: skip
def test_what_is_typed_is_words_and_no_query(page: Page, words: str) -> None:
    """Each would find or break something, were it FTS5's syntax; as words it finds a message with all of them, or none."""
    page.goto(f"{URL}/record?{urlencode({'text': words, 'device': 'device-1'})}")
    letters = set(re.findall(r"\w+", words.casefold()))
    if not letters:
        expect(page.get_by_role("alert")).to_contain_text("no word in it")
    elif letters <= {"kettle", "b", "by", "the", "window"}:
        assert hits(page)
    else:
        assert hits(page) == []
        expect(page.get_by_text("Nothing.")).to_be_visible()


def test_what_is_too_long_is_refused_in_words(page: Page) -> None:
    answer = page.goto(f"{URL}/record?text={'x' * 5000}")
    assert answer is not None and answer.status == 400
    expect(page.get_by_text("too long to be searched for")).to_be_visible()


def test_names_of_devices_are_text(here: Here, page: Page) -> None:
    mudroom("devices", "add", "markup", "--mac", "02:00:00:00:00:fd", "--name", MARKUP)
    try:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        for path in ("/record", "/record?device=markup", "/record/erase?device=markup"):
            page.goto(URL + path)
            assert page.locator("img[src=x]").count() == 0
        expect(page.get_by_role("heading", level=1)).to_contain_text(MARKUP)
        expect(page.get_by_text("The device with the id markup")).to_be_visible()
        page.goto(f"{URL}/record/erase?{urlencode({'device': MARKUP})}")
        assert page.locator("img[src=x]").count() == 0
    finally:
        mudroom("devices", "forget", "markup")


def download(page: Page, link: str, path: Path) -> str:
    with page.expect_download() as waiting:
        page.get_by_role("link", name=link).click()
    assert waiting.value.suggested_filename.startswith("mudroom-record-")
    waiting.value.save_as(path)
    return path.read_bytes().decode()


def test_files_hold_what_was_found_and_nothing_that_acts(here: Here, page: Page, tmp_path: Path) -> None:
    asked(page, device="device-1", text="kettle")
    rows = [json.loads(line) for line in download(page, "as JSON Lines", tmp_path / "a").splitlines()]
    table = list(csv.DictReader(io.StringIO(download(page, "as CSV", tmp_path / "b"), newline="")))
    assert rows and [row["id"] for row in table] == [row["id"] for row in rows]
    assert {row["device"] for row in rows} == {"device-1"}
    assert all(json.loads(row["sent_by_device"])["payload"]["label"] == KETTLE for row in rows)
    asked(page, device="device-1", refused="yes")
    page.get_by_text("What it wanted to send").first.click()
    lines, cells = download(page, "as JSON Lines", tmp_path / "c"), download(page, "as CSV", tmp_path / "d")
    assert FORMULA in [json.loads(line)["sent_by_device"] for line in lines.splitlines()], "the values are the same"
    table = list(csv.DictReader(io.StringIO(cells, newline="")))
    shown = [row["sent_by_device"] for row in table if "HYPERLINK" in row["sent_by_device"]]
    assert shown and all(cell.startswith("'=HYPERLINK") and "\\u202ekcilc" in cell and "\\u001b" in cell for cell in shown)
    assert not [cell for row in table for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert lines.isascii()
    for text in (lines, cells):  # other tests' devices sent real payloads, in any language
        assert not {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")} - {"\r", "\n"}


def test_the_household_searches_and_can_neither_take_away_nor_erase(here: Here, household: BrowserContext) -> None:
    page = household.new_page()
    try:
        assert asked(page, device="device-1", text="kettle")
        for name in ("as JSON Lines", "as CSV for spreadsheets", "Erase what device-1 said…"):
            expect(page.get_by_role("link", name=name)).to_have_count(0)
        expect(page.get_by_role("button", name="Check all of it")).to_have_count(0)
        answer = page.goto(f"{URL}/record/export?device=device-1&format=csv")
        assert answer is not None and answer.status == 403
        page.goto(f"{URL}/record/erase?device=device-1")
        expect(page.get_by_text("Only the owner can do that")).to_be_visible()
        expect(page.get_by_role("button", name="Erase it for good")).to_have_count(0)
        csrf = page.locator("input[name=csrf]").first.get_attribute("value") or ""
        for path in ("/record/erase", "/record/check"):  # a form that no page showed them, with all that theirs carry
            status = page.evaluate(
                "([path, body]) => fetch(path, {method: 'POST', body: new URLSearchParams(body)}).then(answer => answer.status)",
                [path, {"csrf": csrf, "device": "device-1", "before": ""}],
            )
            assert status == 403, path
        assert asked(page, device="device-1", text="kettle"), "it is all still there"
    finally:
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize(
    "path",
    ["/record", "/record?device=device-1", "/record?device=device-1&refused=yes", "/record?since=yesterday",
     "/record/erase?device=device-1"],
)  # fmt: skip
def test_nobody_is_shut_out(page: Page, path: str, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 740})
    page.goto(URL + path)
    for summary in page.locator("main summary").all()[:3]:
        summary.click()
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def checked(page: Page) -> str:
    """All of the chain, at the owner's click; what the page says once it is through."""
    page.goto(f"{URL}/record")
    page.get_by_role("button", name="Check all of it").click()
    part = page.locator("section", has=page.get_by_role("heading", name="Is it whole?"))

    def through() -> str:
        page.goto(f"{URL}/record")
        text = part.inner_text()
        return "" if "being checked" in text or "Not checked" in text else text

    return eventually(through, "the chain is checked")


def test_one_device_is_erased_after_a_question_and_the_record_is_whole(here: Here, page: Page) -> None:
    assert "Yes:" in checked(page)
    others = len(asked(page, device="device-1", text="kettle"))
    assert asked(page, device="device-2")
    page.get_by_role("link", name="Erase what device-2 said…").click()
    expect(page.get_by_text("It cannot be undone")).to_be_visible()
    page.get_by_role("link", name="Back, and change nothing").click()
    assert asked(page, device="device-2"), "a question erases nothing"
    page.get_by_role("link", name="Erase what device-2 said…").click()
    page.get_by_role("button", name="Erase it for good").click()
    expect(page.get_by_role("status").filter(has_text="records of device-2 are erased")).to_be_visible()
    assert asked(page, device="device-2") == []
    assert json.loads(mudroom("messages", "--device", "device-2", "--json")) == []
    assert len(asked(page, device="device-1", text="kettle")) == others
    told = checked(page)
    assert "Yes:" in told and "the commitment alone is left" in told
    page.goto(f"{URL}/settings")
    row = page.get_by_role("listitem").filter(has_text="erase").filter(has_text="device-2").first
    expect(row).to_contain_text(f"owner at {layout.LAPTOP4.partition('/')[0]}")


@contextlib.contextmanager
def another_record(folder: Path) -> Iterator[Path]:
    """The record's process ends, and a copy of its file, for the test to change, stands in its place until the end."""
    for part in ("ledger", "steward"):
        order("stop", part)
    own = [path for path in LEDGER.parent.glob(f"{LEDGER.name}*") if path.is_file()]
    kept = LEDGER.parent / "kept"
    kept.mkdir(mode=0o700)
    try:
        with contextlib.closing(sqlite3.connect(LEDGER)) as source, contextlib.closing(sqlite3.connect(folder / "copy")) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        own = [path for path in own if path.exists()]
        for path in own:
            path.rename(kept / path.name)
        yield folder / "copy"
    finally:
        order("stop", "steward")
        for path in LEDGER.parent.glob(f"{LEDGER.name}*"):
            path.unlink()
        for path in own:
            (kept / path.name).rename(path)
        kept.rmdir()
        for part in ("ledger", "steward"):
            order("start", part)
            order("ready", part)


def test_one_byte_that_was_changed_is_told_with_its_record(here: Here, page: Page, tmp_path: Path) -> None:
    """Last: who was logged in is not any more."""
    (found,) = json.loads(mudroom("messages", "--text", "kettle", "--device", "device-1", "-n", "1", "--json"))
    with another_record(tmp_path) as copy:
        with contextlib.closing(sqlite3.connect(copy)) as database:
            (seq,) = database.execute("SELECT seq FROM records WHERE id = ? AND kind = 'message'", (found["id"],)).fetchone()
        content = bytearray(copy.read_bytes())
        place = content.rfind(KETTLE.encode())
        assert place > 0
        content[place] ^= 1
        LEDGER.write_bytes(content)
        order("start", "steward")
        order("ready", "steward")
        log_in(page, PASSWORD)
        told = checked(page)
        assert re.search(r"No: from record [\d,]+ on it does not hold", told) and "not what was recorded" in told
        assert faults(page) == []
        done = subprocess.run(
            ["ip", "netns", "exec", layout.GATEWAY, MUDROOM, "ledger", "verify", "--json"],
            capture_output=True, text=True, env=GATEWAY_ENVIRONMENT, check=False,
        )  # fmt: skip
        (row,) = json.loads(done.stdout)
        assert (done.returncode, row["broken"]) == (3, seq)
        assert f"from record {seq:,} on" in told
    log_in(page, PASSWORD)
    assert "Yes:" in checked(page), "the record itself is as it was"
