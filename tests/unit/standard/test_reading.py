"""Texts that people read, and strings that only programs read."""

from __future__ import annotations

import base64
import secrets
import string
import uuid

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


def _ascii85() -> str:
    return base64.a85encode(secrets.token_bytes(32)).decode()


@pytest.mark.parametrize("draw", range(20))
@pytest.mark.parametrize(
    "make",
    [
        lambda: secrets.token_hex(16),
        lambda: secrets.token_hex(32).upper(),
        lambda: secrets.token_urlsafe(24),
        lambda: base64.b64encode(secrets.token_bytes(24)).decode(),
        lambda: base64.b32encode(secrets.token_bytes(20)).decode().lower(),
        lambda: str(uuid.uuid4()),
        lambda: secrets.token_bytes(24).hex(":"),
        lambda: "device online " + secrets.token_urlsafe(24),
        lambda: "https://img.example.net/thumb/" + secrets.token_urlsafe(40),
        lambda: "".join(secrets.choice(string.ascii_lowercase) for _ in range(32)),
        lambda: "".join(f"%{byte:02X}" for byte in secrets.token_bytes(24)),
        lambda: "".join(f"\\x{byte:02x}" for byte in secrets.token_bytes(24)),
        lambda: "".join(f"\\u{secrets.randbelow(65536):04x}" for _ in range(12)),
        lambda: "".join(chr(0x4E00 + secrets.randbelow(16384)) for _ in range(12)),
        lambda: "".join(chr(0x2800 + byte) for byte in secrets.token_bytes(24)),
        lambda: "door" + "".join(secrets.choice("\u200b\u200c\u200d\u2060") for _ in range(80)),
        lambda: "".join(secrets.choice("0123456789") for _ in range(45)),
        _ascii85,
    ],
)
def test_what_only_programs_read_is_counted_near_what_it_holds(make, draw: int) -> None:
    """Each holds 160 bits or about so many and at most 320; a third of what it holds is the least that is found."""
    assert sum(part.bits for part in opaque(make())) > 60


@pytest.mark.parametrize("text", ["Gener\u0456\u0441 D\u0435vic\u0435", "re\u0301glage", "door\u200b\u200c", "a\x00b\x01c"])
def test_what_a_person_cannot_see_is_found(text: str) -> None:
    assert opaque(text)


@pytest.mark.parametrize("text", ["Window open in the kitchen", "Sensor BME280 is dirty", "Żarówka", "PM10", "Room 12", "设备"])
def test_a_free_text_may_hold_a_short_name(text: str) -> None:
    assert unreadable(text) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Sensor " + secrets.token_hex(8) + "a1", "hexadecimal digits"),
        (str(uuid.uuid4()), "UUID"),
        (secrets.token_urlsafe(30), "order"),
        ("00:11:32:aa:5e:01", "hardware address"),
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
