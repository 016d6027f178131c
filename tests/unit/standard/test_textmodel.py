"""The text model: a code length that no choice of texts can undercut."""

from __future__ import annotations

import base64
import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.standard import repertoire, textmodel
from gateway.standard.textmodel import SYMBOLS, code_length


def test_after_any_two_characters_the_probabilities_sum_to_one_at_most() -> None:
    costs = textmodel._costs()
    assert len(costs) == SYMBOLS**3
    for context in range(0, SYMBOLS**3, SYMBOLS):
        assert sum(2 ** (-cost / 16) for cost in costs[context : context + SYMBOLS]) <= 1


def test_no_two_characters_share_a_symbol() -> None:
    symbols = textmodel._SYMBOL.values()
    assert len(set(symbols)) == len(symbols)
    assert {textmodel.END, textmodel.ESCAPE}.isdisjoint(symbols)
    assert max(symbols) < SYMBOLS


def test_characters_behind_the_escape_sum_to_one_at_most_and_none_is_forgotten() -> None:
    whole = 0.0
    for point in range(0x110000):
        character = chr(point)
        if character not in textmodel._SYMBOL:
            whole += 2 ** -textmodel.cost_of_other(character)
    assert whole <= 1


@given(st.text(max_size=40))
def test_every_string_has_a_length_and_a_longer_one_costs_more(text: str) -> None:
    assert 0 < code_length(text, 512) < code_length(text + text + "ab", 512)


def test_what_people_write_is_cheaper_than_noise() -> None:
    dice = random.Random(7)
    for written in ("The filter needs to be changed", "Die Tür zum Garten ist offen", "Température de la cuisine", "battery low"):
        assert code_length(written, 64) < 5 * len(written)
        noise = [base64.urlsafe_b64encode(dice.randbytes(len(written)))[: len(written)].decode() for _ in range(50)]
        assert sum(code_length(text, 64) for text in noise) / 50 > 1.5 * code_length(written, 64)


def test_random_texts_are_charged_what_they_carry() -> None:
    """Drawn from any set of equally likely texts, the mean charge is at least the bits of the choice."""
    dice = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    for alphabet, bits in ((letters, 4.7), ("0123456789abcdef", 4.0), ("ea", 1.0), ("абвгдежзийклмноп", 4.0)):
        texts = ["".join(dice.choice(alphabet) for _ in range(32)) for _ in range(50)]
        assert sum(code_length(text, 32) for text in texts) / 50 >= bits * 32
    assert repertoire.flaw("абвгд") is None
