"""Who at home may reach a device, by a real browser: the owner lets the laptop in by a click, it gets through, and out again."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from gateway.box.lan_dnsmasq import leases
from gateway.config import load
from tests.home.browser import URL, faults
from tests.home.client import Here, mudroom
from tests.home.lab import layout
from tests.home.sockets import socket_in


@pytest.fixture(autouse=True)
def a_lease(here: Here) -> Iterator[None]:
    """The home has no dnsmasq for its one laptop: its lease is written as dnsmasq writes it."""
    path, laptop = leases(load(layout.SETTINGS_FILE)), here.facts["laptop"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"0 {laptop['mac']} {laptop['v4']} study-laptop *\n0 02:00:5e:00:00:98 192.168.77.98 <i>tv</i> *\n")
    yield
    path.unlink()
    mudroom("devices", "deny", "device-3", laptop["mac"])


def reaches(here: Here, wait: float) -> bool:
    """Whether the laptop opens a connection to device 3; SYNs are repeated for ``wait`` seconds."""
    address = here.device(3)["v4"]
    with (
        socket_in(layout.namespace(3), socket.AF_INET, socket.SOCK_STREAM) as server,
        socket_in(layout.LAPTOP, socket.AF_INET, socket.SOCK_STREAM) as laptop,
    ):
        server.bind((address, 0))
        server.listen()
        laptop.settimeout(wait)
        try:
            laptop.connect(server.getsockname())
        except OSError:
            return False
        return True


def test_a_click_lets_one_machine_in_and_another_shuts_it_out(here: Here, page: Page) -> None:
    assert not reaches(here, 1)
    page.goto(f"{URL}/devices/device-3")
    section = page.get_by_role("region", name="Who at home may reach it")
    expect(section).to_contain_text("Nobody, until you allow it")
    row = section.get_by_role("listitem").filter(has_text="study-laptop")
    expect(row).to_contain_text(here.facts["laptop"]["mac"])
    expect(section.get_by_role("listitem").filter(has_text="02:00:5e:00:00:98")).to_contain_text("a machine without a name")
    section.get_by_text("Another one, or all").click()
    assert faults(page) == []
    row.get_by_role("button", name="Allow study-laptop").click()
    expect(row).to_contain_text("may reach it")
    assert faults(page) == []
    assert reaches(here, 10)
    page.goto(f"{URL}/settings")
    expect(page.get_by_text(f"allow {here.facts['laptop']['mac']} (study-laptop)").first).to_be_visible()
    page.goto(f"{URL}/devices/device-3")
    row.get_by_role("button", name="Deny study-laptop").click()
    expect(row).to_contain_text("may not")


def test_it_fits_a_phone(here: Here, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{URL}/devices/device-3")
    page.get_by_text("Another one, or all").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert faults(page) == []
