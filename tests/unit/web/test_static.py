"""What the pages are made of: nothing from elsewhere, nothing inline that the policy forbids, borrowed files as they came."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from gateway.web.guard import POLICY
from gateway.web.render import FILES, HERE, files

ROOT = Path(__file__).parents[3]
TEMPLATES = sorted((HERE / "templates").glob("*.html"))
BORROWED = {
    HERE / "static" / "htmx.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    ROOT / "tests" / "home" / "axe" / "axe.min.js": "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
}


@pytest.mark.parametrize("path", BORROWED, ids=lambda path: path.name)
def test_a_borrowed_file_is_as_it_came_and_has_its_page(path: Path) -> None:
    assert hashlib.sha256(path.read_bytes()).hexdigest() == BORROWED[path]
    if path.name == "htmx.min.js":
        assert BORROWED[path] in (ROOT / "docs" / "pages.md").read_text()


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_holds_no_foreign_address_no_inline_code_and_no_way_around_escaping(path: Path) -> None:
    text = path.read_text()
    if path.name == "vendor_published.html":  # a file for itself: its style stands inside, the same for every vendor
        style = re.search(r"<style>(.*?)</style>\n", text, re.S)
        assert style and not re.search(r"\{\{|\{%|url\(|@import", style[1])
        text = text.replace(style[0], "")
    assert not re.search(r"(?i)https?:|//[a-z]", text)
    assert not re.search(r"(?i)<style|\sstyle=|\son[a-z]+=|javascript:|<iframe|<object|<embed|<base", text)
    assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)", text)
    assert not re.search(r"\|\s*safe\b|autoescape|Markup", text)
    assert not re.search(r"(?:href|src|action|hx-get)=(?!\")", text), "an attribute without quotes"


def test_an_address_in_a_page_holds_ids_of_ours_alone() -> None:
    """A device's id and a message's are checked where they are made; a declared field's place stands in a query, escaped."""
    held = set()
    for path in TEMPLATES:
        for attribute in re.findall(r"(?:href|action|hx-get|src)=\"([^\"]*)\"", path.read_text()):
            assert attribute.startswith(("/", "#main", "{{ path }}"))
            held |= set(re.findall(r"\{\{ (.*?) \}\}", attribute))
    escaped = {word for word in held if word.endswith("|urlencode")}
    assert escaped == {
        "each.type|urlencode",
        "field.place|urlencode",
        "line.place|urlencode",
        "message.type|urlencode",
        "said.device|urlencode",
        "type|urlencode",
        "pointer|urlencode",
        "offer.how|urlencode",
        "each.name|urlencode",
    }
    assert held - escaped == {
        "path",
        "call.takes",  # the name of a type of ours, as the next one is
        "each.type",
        "declared.device",
        "exports.csv",  # made by urlencode, as the next two are
        "exports.jsonl",
        "older",
        "back",  # of a device's id, and made by urlencode, as the next one is
        "again",
        "group.do",
        "whom",
        "version",
        "device.id",
        "each.id",
        "each.device",
        "message.id",
        "message.device",
        "vendor.key",
        "key",
    }


def test_our_own_files_ask_nobody() -> None:
    for name in ("style.css", "live.js", "scan.js", "icon.svg"):
        text = (HERE / "static" / name).read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(?i)https?:|url\(|@import|//[a-z]+\.", text), name
        assert not re.search(r"innerHTML|eval\(|Function\(|document\.write", text), name
    assert set(files()) == set(FILES) == {path.name for path in (HERE / "static").iterdir()}


def test_the_policy_allows_what_the_pages_use_and_no_more() -> None:
    found = dict(part.strip().split(" ", 1) for part in POLICY.split(";"))
    assert found.pop("default-src") == "'none'"
    assert set(found.values()) == {"'self'", "'none'"}
    assert found["script-src"] == found["style-src"] == found["connect-src"] == "'self'"
    assert found["base-uri"] == found["frame-ancestors"] == "'none'"
