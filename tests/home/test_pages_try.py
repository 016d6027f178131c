"""A rule is tried on the pages before it holds: what would have been is shown, and only a click makes it hold."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.home.browser import URL, faults
from tests.home.client import Here
from tests.home.owner import browser, owner, page  # noqa: F401 # fixtures
from tests.home.test_pages_rules import no_rules_afterwards, say  # noqa: F401 # a fixture
from tests.home.test_rules import FOLDER


def test_what_a_rule_would_have_changed_is_shown_before_it_holds(here: Here, page: Page) -> None:  # noqa: F811
    _, envelope = say(here)
    value = str(envelope["payload"]["power"])
    page.goto(f"{URL}/devices/device-1/fields?type=power-reading&pointer=/payload/power")
    assert faults(page) == []
    page.get_by_role("region", name="Keep it").get_by_role("link", name="for this device").click()
    expect(page.get_by_role("heading", name="What this rule would change")).to_be_visible()
    changed = page.get_by_role("region", name="What would have changed").get_by_role("row").nth(1)
    expect(changed).to_contain_text("/payload/power")
    expect(changed).to_contain_text(value)
    expect(changed).to_contain_text("not there")
    assert faults(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="The last day").click()
    expect(changed).to_contain_text(value)

    _, envelope = say(here)
    assert str(envelope["payload"]["power"]) == value, "what was tried does not hold"
    assert not list(FOLDER.glob("*.toml"))
    page.get_by_role("button", name="Let it hold").click()
    expect(page.get_by_role("article")).to_contain_text("/payload/power is withheld")
    _, envelope = say(here)
    assert "power" not in envelope["payload"]

    page.get_by_role("link", name="What would be without it").click()
    expect(page.get_by_role("heading", name="Without this rule")).to_be_visible()
    expect(page.get_by_role("region", name="What would have changed")).to_contain_text(value)
    assert faults(page) == []
