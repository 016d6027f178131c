"""When messages come, as the model charges it: normalised over all that a day can be, never finer than a slot."""

from __future__ import annotations

import itertools
import math

import pytest

from gateway.standard.slots import may_pace, presence, slot_ms, slot_start


@pytest.mark.parametrize(("slots", "most"), [(1, 40), (3, 8), (5, 4)])
def test_over_all_days_the_model_sums_up_to_one_at_most(slots: int, most: int) -> None:
    weights = []
    for day in itertools.product(range(most + 1), repeat=slots):
        occupied = sum(count > 0 for count in day)
        weights.append(2.0 ** -presence(occupied, sum(day) - occupied, slots))
    assert 0.5 < math.fsum(weights) <= 1 + 1e-9


def test_what_is_always_the_same_costs_next_to_nothing() -> None:
    assert presence(0, 0, 86_400) < 10
    assert presence(1_440, 0, 1_440) < 14
    assert presence(0, 0, 0) == pytest.approx(0)


def test_a_coin_in_each_slot_costs_a_bit_in_each() -> None:
    assert 1_440 < presence(720, 0, 1_440) < 1_460


def test_ten_rings_cost_as_much_as_naming_ten_seconds() -> None:
    assert math.log2(math.comb(86_400, 10)) < presence(10, 0, 86_400) < math.log2(math.comb(86_400, 10)) + 20


@pytest.mark.parametrize(
    ("rate", "most", "slot"),
    [(1, 1.0, 1000), (360, 60.0, 10_000), (360, 5.0, 5000), (7200, 1.0, 500), (36_000, 1.0, 100), (3_600_000, 1.0, 100)],
)
def test_a_slot_holds_one_message_of_the_declared_rate(rate: int, most: float, slot: int) -> None:
    assert slot_ms(rate, most) == slot


def test_types_that_come_too_often_are_not_paced() -> None:
    assert may_pace(36_000)
    assert not may_pace(36_001 * 2)


def test_a_slot_begins_where_the_last_one_ended() -> None:
    assert slot_start(1_234_999_999_999, 1000) == 1_234_000_000_000
    assert slot_start(1_235_000_000_000, 1000) == 1_235_000_000_000
