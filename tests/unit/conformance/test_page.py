"""docs/vendors.md names every requirement as the kit does, and each section that one names is there."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.conformance import device, vendor
from gateway.conformance.messages import CONNECTION

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_lists_what_is_checked() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \| (.+) \|$", (DOCS / "vendors.md").read_text(), re.M)
    known = [*(CONNECTION, *vendor.REQUIREMENTS), *device.REQUIREMENTS]
    assert rows == [(one.id, one.section, one.words) for one in known]


def test_every_section_is_there() -> None:
    sections = set(re.findall(r"^## ([0-9]+)\. ", (DOCS / "clear-envelope.md").read_text(), re.M))
    for one in (CONNECTION, *vendor.REQUIREMENTS, *device.REQUIREMENTS):
        assert set(re.findall(r"[0-9]+", one.section.partition(" (")[0])) <= sections, one.id


def test_names_are_unique() -> None:
    for known in ((CONNECTION, *vendor.REQUIREMENTS), device.REQUIREMENTS):
        assert len({one.id for one in known}) == len(known)
