"""`make screenshots`: the pictures in docs/, taken of the real pages of the virtual home by a real browser.

It starts a home of its own, lets its devices live, and takes it down again. The sums of earlier days are written into that home's
record by hand, so that charts have something to draw; all else was really said, judged, refused and dropped.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from playwright.sync_api import Page

from gateway.config import load
from gateway.registry import RegistryFile
from gateway.scorecard import key
from tests.home.browser import URL, on_the_laptop
from tests.home.client import Here, mudroom, run_in, status_of
from tests.home.lab import layout
from tests.home.lab.__main__ import down, up
from tests.home.owner import CA, begin
from tests.home.scenes import SCENES
from tests.home.test_rules import PROBLEM

OUT = layout.CHECKOUT / "docs" / "pictures"
MOST = 150_000  # bytes of a picture
NAMES = {"device-1": "Reading lamp plug", "device-2": "Heating", "device-3": "Weather station"}
TRIED = ("QUIC", "a foreign name server", "HTTPS to a tracker", "plain HTTP to a foreign address", "HTTPS to an IP address")
WATTS = ((61.4, 229.7), (61.2, 230.1), (0.3, 231.4), (61.5, 228.9), (60.9, 229.2))
ROOMS = ((21.3, 18.6), (21.1, 18.4), (20.9, 18.9))
DAYS = 30
WIDE, HIGH = 1000, 720
PHONE = (360, 740)
BUDGET = 16_384
REFUSAL = PROBLEM | {"detail": "Without the meter the app shows no costs", "pointers": ["/payload/energy"]}


def live(here: Here, folder: Path) -> None:
    """What the pictures show."""
    name_them()
    earlier()
    for number, vendor in ((1, "acme"), (2, "borealis")):  # the home's own have rates and budgets that tests need
        mudroom("devices", "approve", f"device-{number}", str(layout.SAMPLES / f"{vendor}.mud.json"), "--unsigned")
        mudroom("devices", "budget", f"device-{number}", str(BUDGET))
    mudroom("rules", "withhold", "device-1", "power-reading", "/payload/energy", "--name", "no-meter")
    mudroom("rules", "coarsen", "device-1", "power-reading", "/payload/power", "--step", "10", "--name", "rough")
    for envelope in climate(here):
        said(here, 2, envelope)
    for number, envelope in enumerate(power(here)):
        said(here, 1, envelope, refused=number == 1)
    extra = power_of(here, 61.0, 230.0)
    extra["payload"]["wifi-networks"] = "Home, Neighbours"
    here.curl(1, data=json.dumps(extra))
    scenes = {scene.title: scene for scene in SCENES}
    for title in TRIED:
        for _ in range(2):
            run_in(here.namespace(1), *scenes[title].argv(here, 1), timeout=4, cwd=here.folder(1))
    for title in ("QUIC", "a foreign name server"):
        run_in(here.namespace(4), *scenes[title].argv(here, 4), timeout=4, cwd=here.folder(4))
    mudroom("manifest", "offer", "device-1", str(asks_for_more(folder)), check=False)
    time.sleep(2)  # what was tried is written within a second


def name_them() -> None:
    """Names as people give them."""
    with RegistryFile(load(layout.SETTINGS_FILE).paths.registry).change() as change:
        devices = (msgspec.structs.replace(d, name=NAMES.get(d.id, d.name)) for d in change.registry.devices)
        change.registry = msgspec.structs.replace(change.registry, devices=tuple(devices))


def earlier() -> None:
    """Sums of the days before today."""
    today = time.time_ns() // (86_400 * 10**9)
    rows = []
    for back in range(1, DAYS):
        for device, kind, each, bits in (("device-1", "power-reading", 96, 60), ("device-2", "climate-report", 44, 95)):
            messages = each * (4 + (back * back * 5 + back * 3) % 7) // 10
            rows.append((today - back, device, kind, messages, messages, 86_400, 0, messages * bits, messages, messages))
    with sqlite3.connect(load(layout.SETTINGS_FILE).paths.ledger, timeout=10) as database:
        database.executemany("INSERT OR REPLACE INTO leaks VALUES (?,?,?,?,?,?,?,?,?,?)", rows)


def power_of(here: Here, watts: float, volts: float) -> dict[str, Any]:
    envelope: dict[str, Any] = json.loads((here.folder(1) / "message.json").read_text())
    measured = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    envelope["payload"] |= {"power": watts, "voltage": volts, "on": watts > 1, "measured": measured}
    return envelope


def power(here: Here) -> Iterator[dict[str, Any]]:
    """The plug's readings."""
    return (power_of(here, *each) for each in WATTS)


def climate(here: Here) -> Iterator[dict[str, Any]]:
    """The heating's reports."""
    for kitchen, hall in ROOMS:
        envelope = json.loads((here.folder(2) / "message.json").read_text())
        envelope["payload"]["measured"] = time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime())
        envelope["payload"]["rooms"][0]["temperature"], envelope["payload"]["rooms"][1]["temperature"] = kitchen, hall
        yield envelope


def said(here: Here, number: int, envelope: dict[str, Any], *, refused: bool = False) -> None:
    """One message; a look at what came of it, for a picture of a home where nothing works is none to show."""
    behaviour = layout.RUN / "vendors" / "acme" / "behaviour.json"
    if refused:
        answer = {"status": 422, "media_type": "application/problem+json", "body": json.dumps(REFUSAL)}
        behaviour.write_text(json.dumps(answer))
    try:
        status = status_of(here.curl(number, data=json.dumps(envelope)))
    finally:
        behaviour.unlink(missing_ok=True)
    if (status >= 400) != refused:
        raise RuntimeError(f"device {number} was answered {status}")


def asks_for_more(folder: Path) -> Path:
    """Acme's manifest, a later version."""
    document: dict[str, Any] = json.loads((layout.SAMPLES / "acme.mud.json").read_text())
    messages = document["ietf-mud:mud"]["clear-envelope"]["messages"]
    messages["power-reading"]["payload"]["properties"]["at-home"] = {"type": "boolean", "title": "Somebody is at home"}
    path = folder / "more.json"
    path.write_text(json.dumps(document))
    return path


def shots(page: Page) -> None:
    """Every picture."""
    newest = json.loads(mudroom("messages", "--device", "device-1", "--limit", "1", "--json"))[0]["id"]
    acme = f"/vendors/{key('Acme')}"
    for name, path, high in (
        ("home", "/", 600), ("message", f"/messages/{newest}", 860),
        ("newcomers", "/newcomers", 720), ("attempts", "/attempts", 720),
        ("vendor", acme, 1240),
    ):  # fmt: skip
        shot(page, name, path, size=(WIDE, high))
    shot(page, "leaks-dark", "/leaks", scheme="dark")
    shot(page, "device-phone", "/devices/device-1", size=PHONE)


def shot(page: Page, name: str, path: str, *, scheme: str = "light", size: tuple[int, int] = (WIDE, HIGH)) -> None:
    """One picture. Raises RuntimeError where it is too large to be kept."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(URL + path)
    page.get_by_role("heading", level=1).wait_for()
    file = OUT / f"{name}.png"
    page.screenshot(path=file)
    if file.stat().st_size > MOST:
        raise RuntimeError(f"{file}: {file.stat().st_size} bytes; take a smaller viewport")
    print(f"{file.relative_to(layout.CHECKOUT)}: {file.stat().st_size // 1000} kB")


def main() -> int:
    """All of it; an exit code."""
    OUT.mkdir(exist_ok=True)
    try:
        if up() != 0:
            return 1
        with tempfile.TemporaryDirectory(prefix="mudroom-pictures-") as name, on_the_laptop(Path(name), CA) as browser:
            live(Here(), Path(name))
            context = begin(browser)
            shots(context.new_page())
            context.close()
    finally:
        down(quiet=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
