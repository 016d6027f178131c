"""The owner at a browser on the laptop of the virtual home: fixtures for every file that drives the pages.

Each file gets a first start of its own, so that none depends on what another left.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from gateway.box import firststart
from tests.home.browser import URL, on_the_laptop
from tests.home.client import Here, mudroom
from tests.home.lab import layout

expect.set_options(timeout=20_000)  # ms: a machine that does other things, too, is slow and not wrong
PASSWORD = "the boots stand by the door"
HOUSEHOLD = "what the children may see"
CA = layout.STATE / "state" / "pki" / "ca.pem"


def fresh_code() -> str:
    """Nobody is the owner any more; the code by which one becomes it."""
    state = layout.STATE / "state"
    firststart.make(state)
    mudroom("password", "reset")
    code = firststart.code(state)
    assert code
    return code


@pytest.fixture(scope="module")
def browser(here: Here, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, trusting the home CA."""
    with on_the_laptop(tmp_path_factory.mktemp("browser"), CA) as found:
        yield found


def begin(browser: Browser) -> BrowserContext:
    """First start; a browser in which the owner is logged in."""
    code = fresh_code()
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{URL}/start")
    page.get_by_label("First-start code").fill(code)
    page.get_by_label("Your password from now on").fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Make it mine").click()
    expect(page.get_by_role("heading", name="Home", level=1)).to_be_visible()
    page.close()
    return context


@pytest.fixture(scope="module")
def owner(browser: Browser) -> Iterator[BrowserContext]:
    """A browser in which the owner is logged in."""
    context = begin(browser)
    yield context
    context.close()


def log_in(page: Page, password: str) -> None:
    """By the form, whoever was logged in before."""
    page.goto(f"{URL}/login")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Home", level=1)).to_be_visible()


def admit_household(page: Page) -> None:
    """The owner, on Settings, gives the household its password."""
    page.goto(f"{URL}/settings")
    house = page.locator("section", has=page.get_by_role("heading", name="The household's password"))
    house.get_by_label("Password", exact=True).fill(HOUSEHOLD)
    house.get_by_label("The same again").fill(HOUSEHOLD)
    house.get_by_role("button", name="Set it").click()
    expect(page.get_by_role("heading", name="Settings", level=1)).to_be_visible()


@pytest.fixture(scope="module")
def household(owner: BrowserContext, browser: Browser) -> Iterator[BrowserContext]:
    """A browser in which somebody of the household is logged in."""
    page = owner.new_page()
    admit_household(page)
    page.close()
    context = browser.new_context()
    page = context.new_page()
    log_in(page, HOUSEHOLD)
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(owner: BrowserContext) -> Iterator[Page]:
    """A page of the owner's."""
    found = owner.new_page()
    yield found
    found.close()
