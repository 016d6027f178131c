"""What characters a text may have: what a household reads, and nothing that it cannot see."""

# ruff: noqa: RUF001  # letters that look alike are what this is about

from __future__ import annotations

import sys

import pytest

from gateway.standard.repertoire import allowed, flaw


@pytest.mark.parametrize(
    "text",
    [
        "Kitchen 2: 21.5 °C, 40 % (ok)",
        "Tür öffnen – „sofort“",
        "Détecteur de présence",
        "Żarówka włączona",
        "Температура на кухне",
        "Θερμοκρασία κουζίνας",
        "キッチンの温度",
        "设备状态",
        "거실 온도",
        "10 kΩ, 5 µg/m³, NO₂",
        "Kitchen кухня",
    ],
)
def test_what_a_household_reads(text: str) -> None:
    assert flaw(text) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Ku\u0308che", "NFC"),
        ("e\u0301", "NFC"),
        ("Kitchen\u200b", "U+200B"),
        ("Kitchen\u00a0", "U+00A0"),
        ("a\u202eb", "U+202E"),
        ("x\ufe0f", "U+FE0F"),
        ("q\u0301\u0301\u0301", "U+0301"),
        ("\ue000", "U+E000"),
        ("\U000f36c7", "U+F36C7"),
        ("\u2836\u282d", "U+2836"),
        ("\u6953\u7ab6\u7e10", "U+"),
        ("\ud800", "U+D800"),
        ("Kit\tchen", "U+0009"),
        ("\uff21\uff22", "U+FF21"),
        ("K\u0456tchen", "Cyrillic and Latin"),
        ("Gener\u0456\u0441", "Cyrillic and Latin"),
        ("L\u03bfck", "Greek and Latin"),
        ("\u0430 door", "Cyrillic"),
        ("\u0391 door", "Greek"),
    ],
)
def test_what_it_cannot_see_is_named(text: str, word: str) -> None:
    found = flaw(text)
    assert found is not None
    assert word in found


def test_no_mark_no_control_no_other_space_is_in_the_repertoire() -> None:
    admitted = [chr(point) for point in range(sys.maxunicode + 1) if allowed(chr(point))]
    assert all(character.isprintable() for character in admitted)
    assert [character for character in admitted if character.isspace()] == [" "]
    assert 5_000 < len(admitted) < 12_000


def test_a_long_text_is_not_looked_at_for_ever() -> None:
    found = flaw("ä" * 5000)
    assert found is not None
    assert "4096" in found
