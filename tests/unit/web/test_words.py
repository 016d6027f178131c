"""Payloads as lines for people."""

from __future__ import annotations

import json
import tracemalloc
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.plain import plain
from gateway.standard.manifest import parse_manifest
from gateway.web import words
from gateway.web.words import MOST_LINES, Line, ago, leaves, raw, sheet, value, withheld_of

ACME = parse_manifest((Path(__file__).parents[2] / "samples" / "acme.mud.json").read_bytes())
READING = ACME.messages["power-reading"].schema
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("name", "found", "said"),
    [
        ("power", 61.4, "61.4 W"), ("power", 60.0, "60 W"), ("energy", 1834.062, "1,834.062 kWh"),
        ("power", 0, "0 W"), ("temperature", None, "nothing (null)"),
        ("temperature", -3.5, "-3.5 °C"),
        ("on", True, "yes"), ("on", False, "no"), ("uptime", 20187, "20,187 min"), ("label", "lamp", "lamp"),
        ("label", "a\u202eb\x00", "a\\u202eb\\u0000"), ("power", 1e-9, "1e-09 W"), ("power", 10**400, "a very large number W"),
        ("power", [], "none"), ("power", {}, "none"),
    ],
)  # fmt: skip
def test_a_value_in_words(name: str, found: Any, said: str) -> None:
    assert value(dict(READING.properties)[name], found) == said


def test_what_tells_most_comes_first() -> None:
    payload = {"label": "x", "measured": "2026-11-22T13:37:42Z", "energy": 1.5, "on": True, "power": 61.4, "new": 1}
    assert [title for _, title, _ in leaves(READING, payload)] == [
        "Power drawn now", "Plug switched on", "Energy since installation", "The owner's name for the plug", "new",
        "Time of the reading",
    ]  # fmt: skip


def test_before_and_after_stand_side_by_side() -> None:
    lines, more = sheet(READING, {"power": 61.44, "energy": 3.0, "on": True}, {"power": 61.4, "on": True}, ("/energy", "/label"))
    assert more == 0
    assert {line.pointer: (line.before, line.after, line.withheld, line.changed) for line in lines} == {
        "/power": ("61.44 W", "61.4 W", False, True),
        "/on": ("yes", "yes", False, False),
        "/energy": ("3 kWh", None, True, True),
        "/label": (None, None, True, False),
    }


@pytest.mark.parametrize("depth", [100, 900, 5000, 9000])
def test_what_nests_deeply_is_not_laid_out_to_a_thousand_times_its_length(depth: int) -> None:
    """A device can have one refused for it, and the owner looks at it: the pages have 160 MiB."""
    text = b"[" * depth + b",".join([b"1"] * ((65_000 - 2 * depth) // 2)) + b"]" * depth
    tracemalloc.start()
    try:
        assert raw(text).startswith("[[[")
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert raw(b'{"a":[1,{"b":"]]]]"}]}') == json.dumps({"a": [1, {"b": "]]]]"}]}, indent=2)


def test_plain_text_is_as_it_was_and_what_is_hidden_shows() -> None:
    for code in range(0x3000):
        text = chr(code)
        hidden = text != " " and unicodedata.category(text)[0] in "CZ"
        assert plain(text) == (f"\\u{code:04x}" if hidden else text)


@given(JSON, JSON, st.lists(st.text(max_size=12), max_size=4))
@settings(deadline=None)
def test_any_two_payloads_become_bounded_lines_that_are_safe_to_show(before: Any, after: Any, withheld: list[str]) -> None:
    lines, more = sheet(READING, before, after, tuple(withheld))
    assert len(lines) <= MOST_LINES and more >= 0
    for line in lines:
        assert isinstance(line, Line)
        assert all(text is None or text.isprintable() or text == "" for text in (line.title, line.before, line.after))
    told = {line.pointer for line in lines}
    if not more:
        there = {pointer for tree in (before, after) if tree != {} for pointer, _, _ in leaves(None, tree)}
        assert there <= told


def test_what_is_beyond_the_bound_is_said_to_be_there() -> None:
    many = {f"f{n}": n for n in range(MOST_LINES + 7)}
    lines, more = sheet(None, many, many)
    assert (len(lines), more) == (MOST_LINES, 7)
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    ((_, _, said),) = leaves(None, deep)
    assert len(said) <= words.MOST_VALUE


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 10_000, b'{"a": "\\u202e"}', b"NaN"])
def test_whatever_is_on_record_can_be_read(text: bytes) -> None:
    found = raw(text)
    assert len(found) <= words.MOST_RAW * 6
    assert all(line.isprintable() for line in found.split("\n"))


def test_withheld_pointers_are_those_of_the_payload() -> None:
    assert withheld_of({"withheld": ["/payload/a/b", "/payload", 7, None]}) == ("/a/b", "")
    for nothing in (None, [], {}, {"withheld": "x"}, {"withheld": {"a": 1}}, "text"):
        assert withheld_of(nothing) == ()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "just now"), (-50, "just now"), (44, "just now"), (60, "1 minute ago"), (150, "2 minutes ago"), (3600, "1 hour ago"),
     (86_400 * 3, "3 days ago")],
)  # fmt: skip
def test_how_long_ago(seconds: float, said: str) -> None:
    assert ago(10**18, 10**9 + seconds) == said
    assert ago(0) == "never"


def test_a_sheet_is_json_for_programs() -> None:
    assert json.dumps([line.before for line in sheet(READING, {"on": True}, {})[0]]) == '["yes"]'
