"""Texts that people read, and strings that only programs read."""

from __future__ import annotations

import base64
import random
import string
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.standard.reading import opaque, pieces, unreadable


@pytest.mark.parametrize(
    "text",
    [
        "Kitchen window is open",
        "The filter needs to be changed in 12 days",
        "Living room, 21.5 °C",
        "Küche: Fenster gekippt",
        "Température de la salle de bain",
        "Żarówka w kuchni",
        "Sensor de presencia (pasillo)",
        "Дверь на кухне открыта",
        "设备状态",
        "batteryLowWarning",
        "TIMER_RUNNING",
        "on",
        "PM10 and NO2 in µg/m³",
        "PM2.5",
        "heat-pump",
        "ActualRPM",
        "2 of 3 zones dry",
        "100 % at 230 V, 16 A",
        "https://acme.example/privacy/terms",
        "",
    ],
)
def test_what_people_write_can_be_read(text: str) -> None:
    assert opaque(text) == ()


Make = Callable[[random.Random], str]

VARIANTS = {"a": "aàáâãäåāăą", "c": "cçćĉčċ", "e": "eèéêëēėęě", "i": "iìíîïīį", "n": "nñńņň", "o": "oòóôõöōő", "s": "sśŝşš",
            "t": "tťțŧ", "w": "wŵẁẃẅ", "h": "hĥħ", "g": "gğĝġģ", "k": "kķ", "l": "lĺļľł", "d": "dďđ"}  # fmt: skip
ENCODINGS: dict[str, Make] = {
    "hex": lambda dice: dice.randbytes(16).hex(),
    "long hex": lambda dice: dice.randbytes(32).hex().upper(),
    "base64url": lambda dice: base64.urlsafe_b64encode(dice.randbytes(24)).decode(),
    "base64": lambda dice: base64.b64encode(dice.randbytes(24)).decode(),
    "base32": lambda dice: base64.b32encode(dice.randbytes(20)).decode().lower(),
    "uuid": lambda dice: str(uuid.UUID(bytes=dice.randbytes(16), version=4)),
    "hex with colons": lambda dice: dice.randbytes(24).hex(":"),
    "behind words": lambda dice: "device online " + base64.urlsafe_b64encode(dice.randbytes(24)).decode(),
    "in a path": lambda dice: "https://img.example.net/thumb/" + base64.urlsafe_b64encode(dice.randbytes(42)).decode(),
    "letters": lambda dice: "".join(dice.choice(string.ascii_lowercase) for _ in range(32)),
    "percent": lambda dice: "".join(f"%{byte:02X}" for byte in dice.randbytes(24)),
    "c escapes": lambda dice: "".join(f"\\x{byte:02x}" for byte in dice.randbytes(24)),
    "u escapes": lambda dice: "".join(f"\\u{dice.randrange(65536):04x}" for _ in range(12)),
    "han": lambda dice: "".join(chr(0x4E00 + dice.randrange(16384)) for _ in range(12)),
    "braille": lambda dice: "".join(chr(0x2800 + byte) for byte in dice.randbytes(24)),
    "zero width": lambda dice: "door" + "".join(dice.choice("\u200b\u200c\u200d\u2060") for _ in range(80)),
    "digits": lambda dice: "".join(dice.choice("0123456789") for _ in range(45)),
    "pairs of letters": lambda dice: " ".join("".join(dice.choices(string.ascii_lowercase, k=2)) for _ in range(30)),
    "single letters": lambda dice: " ".join(dice.choices(string.ascii_lowercase, k=40)),
    "numbers apart": lambda dice: " ".join(str(dice.randrange(100)) for _ in range(40)),
    "accents": lambda dice: "".join(
        dice.choice(VARIANTS.get(c, c)) for c in "please close the kitchen window when the heating is on"
    ),
    "ascii85": lambda dice: base64.a85encode(dice.randbytes(32)).decode(),
}


@pytest.mark.parametrize("draw", range(20))
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_only_programs_read_is_counted_near_what_it_holds(encoding: str, draw: int) -> None:
    """Each holds 120 to 320 bits; 60 are the least that is found."""
    assert sum(part.bits for part in opaque(ENCODINGS[encoding](random.Random(draw)))) > 60


def test_tones_are_vietnamese_where_each_syllable_has_one_at_most() -> None:
    assert unreadable("Nhiệt độ phòng ngủ đang tăng, cửa sổ mở") is None
    assert unreadable("plẻạsẻ clỏsẽ wĩndọw kịtchẻn hẹạtĩng") is not None


def test_one_strange_character_takes_no_account_from_the_rest() -> None:
    token = "5be1c09f7a2d4460a1c75be1c09f7a2d"
    assert sum(part.bits for part in opaque("door\u200b " + token)) >= sum(part.bits for part in opaque("door " + token)) > 60


@pytest.mark.parametrize("text", ["Gener\u0456\u0441 D\u0435vic\u0435", "re\u0301glage", "door\u200b\u200c", "a\x00b\x01c"])
def test_what_a_person_cannot_see_is_found(text: str) -> None:
    assert opaque(text)


@pytest.mark.parametrize("text", ["Window open in the kitchen", "Sensor BME280 is dirty", "Żarówka", "PM10", "Room 12", "设备"])
def test_a_free_text_may_hold_a_short_name(text: str) -> None:
    assert unreadable(text) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Sensor " + "5be1c09f7a2d4460" + "a1", "hexadecimal digits"),
        ("25138358-0656-4e69-bee3-946e41727af6", "UUID"),
        ("kMqQ2oA9owfcdGNpL5H209hmIdSPkS5c2iAcDbz", "order"),
        ("00:11:32:aa:5e:01", "addresses of devices"),
        ("Küche", "NFC"),
        ("door\u200b", "U+200B"),
    ],
)
def test_what_is_no_free_text_is_named_with_a_remedy(text: str, words: str) -> None:
    why = unreadable(text)
    assert why is not None
    assert words in why
    assert ";" in why


def test_a_text_in_base64_counts_as_the_text_inside() -> None:
    (found,) = opaque(base64.b64encode(b"Door open").decode())
    assert found.bits < 10


def test_undoing_percent_signs_happens_once() -> None:
    assert sum(len(part.part) for part in opaque("%25" * 300 + "41")) < 2000


def test_pieces_are_cut_where_programs_join_words() -> None:
    assert pieces("batteryLowRPM42x") == ["battery", "Low", "RPM", "42", "x"]


@given(st.text(max_size=3000))
def test_no_text_is_too_strange_to_be_judged(text: str) -> None:
    for part in opaque(text):
        assert part.bits >= 0
        assert part.what
    assert opaque(text) == opaque(text)
