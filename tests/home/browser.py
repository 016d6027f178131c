"""A real browser on the laptop of the virtual home: Debian's Chromium, driven by Playwright, that trusts the home CA.

The browser runs in the laptop's namespace; it finds the gateway by its name, and meets the real certificate.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from gateway.standard.enrolment import HOST
from tests.home.lab import layout

URL = f"https://{HOST}"
AXE = Path(__file__).with_name("axe") / "axe.min.js"
GRAVE = ("serious", "critical")


@contextlib.contextmanager
def on_the_laptop(folder: Path, ca: Path) -> Iterator[Browser]:
    """Chromium, headless. ``folder``: its home, with the home CA in it."""
    store = folder / ".pki" / "nssdb"
    store.mkdir(parents=True)
    _certutil("-d", f"sql:{store}", "-N", "--empty-password")
    _certutil("-d", f"sql:{store}", "-A", "-t", "C,,", "-n", "home", "-i", str(ca))
    start = folder / "chromium"
    start.write_text(f'#!/bin/sh\nexec ip netns exec {layout.LAPTOP} env HOME={folder} /usr/bin/chromium "$@"\n')
    start.chmod(0o755)
    address = layout.LAN4.partition("/")[0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(start),
            args=["--no-sandbox", f"--host-resolver-rules=MAP {HOST} {address}", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        try:
            yield browser
        finally:
            browser.close()


def _certutil(*words: str) -> None:
    done = subprocess.run(["certutil", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def faults(page: Page) -> list[tuple[str, str, str]]:
    """What axe-core finds serious or critical: rule, help, the first place."""
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [(each["id"], each["help"], each["nodes"][0]["html"][:200]) for each in found["violations"] if each["impact"] in GRAVE]
