"""Bars: geometry, and SVG that is well-formed XML whatever the words beside it are."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web import charts, render
from gateway.web.charts import HIGH, WIDE, by_day, shares

UNTIL = "2026-03-02"


def drawn(macro: str, *words: Any) -> str:
    """What the template makes of it."""
    module = render._templates().get_template("charts.html").make_module()
    return str(getattr(module, macro)(*words))


def test_days_end_today_and_empty_ones_are_kept() -> None:
    chart = by_day({"2026-03-02": 10, "2026-02-28": 5, "2025-01-01": 99}, 7, UNTIL)
    assert chart is not None
    assert [bar.label for bar in chart.bars][:2] == ["2026-02-24", "2026-02-25"] and chart.last == UNTIL
    assert [bar.value for bar in chart.bars] == [0, 0, 0, 0, 5, 0, 10]
    assert chart.bars[-1].high == HIGH and chart.bars[4].high == HIGH / 2
    assert (chart.total, chart.highest) == (15, chart.bars[-1])


def test_nothing_is_no_chart() -> None:
    assert by_day({}, 7, UNTIL) is None
    assert by_day({UNTIL: 0}, 7, UNTIL) is None


def test_a_budget_is_a_line_and_what_reaches_it_is_marked() -> None:
    chart = by_day({UNTIL: 120, "2026-03-01": 30}, 7, UNTIL, 100)
    assert chart is not None and chart.line == pytest.approx(HIGH - HIGH * 100 / 120)
    assert [bar.over for bar in chart.bars if bar.value] == [False, True]
    far = by_day({UNTIL: 3}, 7, UNTIL, 100_000)
    assert far is not None and far.line is None and far.limit == 100_000 and far.bars[-1].high == HIGH
    nothing = by_day({UNTIL: 3}, 7, UNTIL, 0)
    assert nothing is not None and nothing.bars[-1].over


@given(
    st.dictionaries(st.sampled_from([f"2026-02-{n:02d}" for n in range(1, 29)]), st.integers(-5, 2**60), max_size=28),
    st.integers(1, 500),
    st.none() | st.integers(0, 2**53),
)
def test_bars_stay_in_their_box(values: dict[str, int], days: int, limit: int | None) -> None:
    chart = by_day(values, days, "2026-02-28", limit)
    if chart is None:
        return
    assert len(chart.bars) <= charts.MOST_BARS
    for bar in chart.bars:
        assert bar.x >= 0 and bar.x + bar.wide <= WIDE + 0.01 and bar.y >= 0 and bar.y + bar.high <= HIGH + 0.01
        assert (bar.high > 0) == (bar.value > 0)
    assert chart.line is None or 0 <= chart.line <= HIGH


@given(st.text(min_size=1, max_size=30))
def test_the_svg_is_well_formed_and_says_what_it_shows(title: str) -> None:
    chart = by_day({UNTIL: 1200}, 7, UNTIL, 2000)
    text = drawn("days", "a", chart, render.plain(title), "bits")
    figure = ElementTree.fromstring(text)
    svg = figure.find("svg")
    assert svg is not None and svg.get("role") == "img"
    ids = {element.get("id") for element in figure.iter()}
    assert set(str(svg.get("aria-labelledby")).split()) <= ids
    assert "1,200" in (svg.findtext("desc") or "") and "2,000" in (svg.findtext("desc") or "")
    assert "style=" not in re.sub(r">[^<]*<", "><", text)


def test_reasons_are_a_table_and_what_is_foreign_in_it_is_escaped() -> None:
    rows = [
        {"reason": "quic", "words": "<script>&\u202e", "count": 41}, {"reason": "quic", "words": "again", "count": 1},
        {"reason": "dot", "words": "tried", "count": 21}, {"reason": "multicast", "words": "noise", "count": 10**6},
        {"reason": "none", "words": "never", "count": 0},
    ]  # fmt: skip
    found = shares(rows)
    assert [(row["reason"], row["count"], row["wide"]) for row in found] == [("quic", 42, 100.0), ("dot", 21, 50.0)]
    table = ElementTree.fromstring(drawn("reasons", found, "By reason"))
    assert [row.findtext("th") for row in table.iterfind("tbody/tr")] == ["<script>&\\u202e", "tried"]
    assert all(svg.get("aria-hidden") == "true" for svg in table.iter("svg"))
    assert not drawn("reasons", [], "By reason").strip() and shares([]) == []


@given(st.lists(st.integers(0, 2**50), max_size=30))
def test_reasons_that_are_left_out_are_one_row_and_all_rows_add_up(numbers: list[int]) -> None:
    rows = [{"reason": f"r{n}", "words": f"reason {n}", "count": count} for n, count in enumerate(numbers)]
    found = shares(rows)
    assert sum(row["count"] for row in found) == sum(numbers)
    assert len(found) <= 9 and all(0 < row["wide"] <= 100 for row in found)
    real = sum(bool(number) for number in numbers)
    assert [row["words"] for row in found if not row["reason"]] == ([f"{real - 8} others"] if real > 9 else [])
    if len(found) > 1:
        table = ElementTree.fromstring(drawn("reasons", found, "By reason"))
        told = [int(str(row.findtext("td[@class='number']")).replace(",", "")) for row in table.iterfind("tbody/tr")]
        assert table.findtext("tfoot/tr/td[@class='number']") == f"{sum(told):,}" == f"{sum(numbers):,}"
