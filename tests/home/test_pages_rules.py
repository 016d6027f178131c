"""A field is kept by a click: the next message leaves without it, and what the vendor says of that is on the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.home.browser import URL, faults
from tests.home.client import Here, status_of
from tests.home.lab import layout
from tests.home.owner import browser, owner, page  # noqa: F401 # fixtures
from tests.home.test_rules import FOLDER, PROBLEM


@pytest.fixture(autouse=True)
def no_rules_afterwards(here: Here) -> Iterator[None]:
    """Other tests find a home without rules, and a vendor that refuses nothing."""
    yield
    for path in FOLDER.glob("*"):
        path.unlink()
    (layout.RUN / "vendors" / "acme" / "behaviour.json").unlink(missing_ok=True)


def say(here: Here) -> tuple[int, dict[str, Any]]:
    """Device 1 sends its message: the status that it gets, and the envelope that arrived."""
    before = len(here.received("acme"))
    status = status_of(here.curl(1))
    (request,) = here.received("acme")[before:]
    envelope: dict[str, Any] = json.loads(request["body"])
    return status, envelope


def test_a_click_keeps_a_field_and_the_vendor_s_refusal_appears(here: Here, page: Page) -> None:  # noqa: F811
    _, envelope = say(here)
    assert "power" in envelope["payload"]
    page.goto(f"{URL}/messages/{envelope['id']}")
    page.get_by_role("link", name="Power drawn now").click()
    expect(page.get_by_role("heading", name="Power drawn now", level=1)).to_be_visible()
    assert faults(page) == []
    keep = page.get_by_role("region", name="Keep it")
    expect(keep).to_contain_text("may refuse its service")
    keep.get_by_role("button", name="For this device").click()
    expect(page.get_by_role("article")).to_contain_text("/payload/power is withheld")
    assert faults(page) == []

    refusal = {"status": 422, "media_type": "application/problem+json", "body": json.dumps(PROBLEM)}
    (layout.RUN / "vendors" / "acme" / "behaviour.json").write_text(json.dumps(refusal))
    status, envelope = say(here)
    assert status == 422
    assert "power" not in envelope["payload"] and envelope["withheld"] == ["/payload/power"]
    page.goto(f"{URL}/messages/{envelope['id']}")
    row = page.get_by_role("row").filter(has_text="Power drawn now")
    expect(row).to_contain_text("kept back")
    expect(row).to_contain_text("by the rule device-1-power-reading-power (withhold)")
    expect(page.get_by_role("region", name="What the vendor answered")).to_contain_text("Without the power no meter can be shown")
    assert faults(page) == []

    page.goto(f"{URL}/rules")
    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_text("switched off", exact=True)).to_be_visible()
    (layout.RUN / "vendors" / "acme" / "behaviour.json").unlink()
    _, envelope = say(here)
    assert "power" in envelope["payload"], "the very next message has it again"
