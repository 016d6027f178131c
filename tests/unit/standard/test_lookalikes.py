"""No two texts that look the same leave the gateway, but for the letters that some language needs, which are charged."""

# ruff: noqa: RUF001  # letters that look alike are what this is about

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.standard.lookalikes import misspelt, unified
from gateway.standard.repertoire import allowed, script
from gateway.standard.textmodel import code_length

CLASSES = json.loads((Path(__file__).parents[2] / "samples" / "confusables.json").read_text())["classes"]

# What is left of Unicode's confusables, and what needs both. Between words of two scripts see test_repertoire.
KEPT = {
    "1Il|": "ASCII", "0O": "ASCII", "'`": "ASCII", "iı": "Turkish", "ÖŐ": "Hungarian", "уү": "Kazakh", "УҮ": "Kazakh",
    "йѝ": "Bulgarian", "ЙЍ": "Bulgarian", "οσ": "Greek", "エ工": "Japanese", "カ力": "Japanese", "タ夕": "Japanese",
    "ト卜": "Japanese", "ニ二": "Japanese", "ハ八": "Japanese", "ロ口": "Japanese", "ー一": "Japanese", "/ノ": "Japanese",
    "値值": "Japanese, Chinese", "晚晩": "Japanese, Chinese", "黑黒": "Japanese, Chinese", "土士": "Chinese",
    "3З": "Russian", "6б": "Russian", "0О": "Russian", "€Є": "Ukrainian", "1І": "Ukrainian", "|І": "Ukrainian",
    "1Ι": "Greek", "|Ι": "Greek", "0Ο": "Greek",
}  # fmt: skip
MORE = ("şș", "ŞȘ", "đð", "ĐÐ")  # alike, and not among the single characters of that list: Turkish, Romanian, Croatian, Icelandic


def kept(one: str, other: str) -> bool:
    return any(one in together and other in together for together in KEPT)


def test_of_what_unicode_calls_confusable_one_is_left_but_for_what_a_language_needs() -> None:
    seen = set()
    for alike in CLASSES:
        left = {c for c in alike if allowed(c) and unified(c) in {c, ""}}
        for one, other in combinations(sorted(left), 2):
            scripts = {script(one), script(other)}
            if len(scripts) == 2 and scripts <= {"Latin", "Greek", "Cyrillic"}:
                continue  # a word has letters of one script
            assert kept(one, other), f"{one} (U+{ord(one):04X}) and {other} (U+{ord(other):04X})"
            seen |= {together for together in KEPT if one in together and other in together}
    assert seen == KEPT.keys(), "no longer needed"


@pytest.mark.parametrize("pair", [*KEPT, *MORE])
def test_a_letter_that_stays_beside_its_twin_costs_more_than_the_choice_of_the_two(pair: str) -> None:
    """Texts that differ in nothing but such letters: their probabilities sum to less than one, so each choice is paid for."""
    for one, other in combinations(pair, 2):
        texts = [a + b + c for a in (one, other) for b in (one, other) for c in (one, other)]
        assert sum(2 ** -code_length(text, 64) for text in texts) < 2**-3


@pytest.mark.parametrize(
    ("written", "leaves"),
    [
        ("  two   words ", "two words"),
        ("   ", ""),
        ("", ""),
        ("Ku\u0308che – „sofort“ …", 'Küche - "sofort" ...'),
        ("it’s 5 µg", "it's 5 μg"),
        ("20 ºC, 3×4", "20 °C, 3x4"),
        ("a‐b‑c−d—e", "a-b-c-d-e"),
        ("状态：开（自动）！", "状态:开(自动)!"),
        ("Temperaţură", "Temperațură"),
        ("テレビ・ラジオ", "テレビ·ラジオ"),
        ("\u212b \u2126", "Å Ω"),
    ],
)
def test_one_spelling_leaves(written: str, leaves: str) -> None:
    assert unified(written) == leaves


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ヘルプ", "へルプ"),
        ("部屋へ", "部屋ヘ"),
        ("センサより", "センサよリ"),
        ("バッテリ", "バッテり"),
        ("リビング", "りビング"),
    ],
)
def test_hiragana_and_katakana_of_one_shape_are_as_the_letters_beside_them(one: str, other: str) -> None:
    assert unified(one) == unified(other) == one


@given(st.text(st.characters() | st.sampled_from(" へヘべりリアあ…´µ-–“  "), max_size=60))
def test_it_is_idempotent_and_bounded(text: str) -> None:
    once = unified(text)
    assert unified(once) == once
    assert misspelt(once) is None
    assert len(once) <= 3 * len(text)
    assert (misspelt(text) is None) == (once == text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Kitchen  2", "one space"),
        (" Kitchen", "one space"),
        ("5 µg", '"μ"'),
        ("a–b", '"-"'),
        ("Ku\u0308che", "NFC"),
        ("へルプ", "hiragana and katakana"),
    ],
)
def test_what_is_spelt_otherwise_is_named_with_a_remedy(text: str, words: str) -> None:
    found = misspelt(text)
    assert found is not None
    assert words in found
    assert ";" in found
