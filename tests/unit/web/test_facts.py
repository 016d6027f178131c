"""Facts of counts that the record cut: what is left out is told with its sum, and all that is shown adds up to the record's."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway import config
from gateway.ipc.steward import Counts, Spending, Tried
from gateway.registry import Device, Home, Kind, Registry
from gateway.web import charts, facts, render

MACS = tuple(f"02:00:00:00:00:0{n}" for n in range(3))
NAMES = ("lamp", "plug", "cam")
REASONS = ("quic", "dot", "multicast", "extension-header")
HOME = Home(Registry(devices=[Device(n, n, Kind.LOCAL, m) for n, m in zip(NAMES, MACS, strict=True)], manifests={}))
TODAY = time.time_ns() // facts.DAY + 1
TRIED = st.builds(
    Tried,
    st.sampled_from((*NAMES, *MACS, "stranger")),
    st.sampled_from(REASONS),
    st.integers(0, 99),
    st.just(1),
    st.integers(1, 99),
)
SPENT = st.builds(
    Spending, st.sampled_from((TODAY, TODAY - 1)), st.sampled_from((*NAMES, "gone")), st.sampled_from(("a", "b")),
    st.integers(0, 9), st.integers(0, 99), st.just(0), st.just(0),
)  # fmt: skip


@given(st.lists(TRIED, max_size=20), st.lists(SPENT, max_size=20))
def test_cards_hold_what_a_look_at_every_row_for_every_device_finds(tried: list[Tried], spent: list[Spending]) -> None:
    counts = Counts(0, tuple(tried), tuple(spent), ())
    cards = {card["id"]: card for card in facts.devices(config.Config(), HOME, counts)}
    for device in HOME.registry.devices:
        own = [each for each in tried if each.device in {device.id, device.mac}]
        shown = sorted(own, key=lambda each: each.reason in facts.NOISE)[:2]
        card = cards[device.id]
        assert card["tried"] == [facts.attempt(HOME, each) for each in shown]
        assert card["tried_count"] == sum(each.count for each in own)
        assert sum(row["count"] for row in card["tried"]) + card["tried_others"]["count"] == card["tried_count"]
        assert len(card["tried"]) + card["tried_others"]["rows"] == len(own)
        assert card["spent"] == sum(s.bits for s in spent if s.device == device.id and s.day == max(e.day for e in spent))


@given(st.lists(TRIED, max_size=20), st.integers(0, 20))
def test_a_chart_of_a_list_that_is_cut_is_that_of_the_whole(tried: list[Tried], kept: int) -> None:
    whole = Counts(0, tuple(tried), (), ())
    left = tuple((each.reason, 1, each.count) for each in tried[kept:])
    cut = Counts(0, tuple(tried[:kept]), (), (), left)

    def sums(counts: Counts) -> dict[str, Any]:
        return {row["reason"]: row["count"] for row in charts.shares(facts.by_reason(facts.attempts(HOME, counts), counts))}

    assert sums(cut) == sums(whole)
    assert facts.others(cut) == {"rows": len(tried[kept:]), "count": sum(each.count for each in tried[kept:])}


def test_places_and_rows_that_are_left_out_are_said() -> None:
    parts = render._templates().get_template("parts.html").make_module()
    row = facts.attempt(HOME, Tried("lamp", "quic", 50, 1, 1, (("udp", "192.0.2.1", 443, 9),), 12, 41))
    assert "and 12 others \u00d7 41." in str(parts.attempt(row, False))  # type: ignore[attr-defined]
    assert "3 others, longer ago, 1,200 times together" in str(parts.others({"rows": 3, "count": 1200}))  # type: ignore[attr-defined]
    assert not str(parts.others({"rows": 0, "count": 0})).strip()  # type: ignore[attr-defined]
