"""Documents without a schema: each line gets an answer, and the answer finds what is hidden."""

from __future__ import annotations

import base64
import io
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.cli.command import app
from gateway.cli.judging import lines
from gateway.standard import spelling_out, timestamps
from gateway.standard.document import MAX_LINE, judged, line_judged

DICE = random.Random(7)  # secrets that are the same at each run


def urlsafe(size: int) -> str:
    return base64.urlsafe_b64encode(DICE.randbytes(size)).decode()


PLAIN: dict[str, Any] = {
    "device": {"name": "Kitchen plug", "model": "HWE-P1", "firmware": "3.2.1", "mac": "00:11:32:aa:5e:01", "online": True},
    "measured": "2026-11-22T13:37:42Z",
    "updated": "2026-11-22T13:38:00.250Z",
    "power": 61.4,
    "energy_today": [0.1, 0.4, 1.25, 2.0, 2.75],
    "mode": "heat",
    "message": "The filter needs to be changed",
    "ip": "192.168.1.7",
    "location": {"lat": 52.5163, "lon": 13.3777},
    "firmware_date": "2025-03-01",
}


def judge(document: object) -> dict[str, Any]:
    return line_judged(json.dumps({"id": "x", "payload": document}).encode())


def smuggle(value: object) -> dict[str, Any]:
    return judge(PLAIN | {"note": value})


def test_an_honest_document_can_be_read() -> None:
    answer = judge(PLAIN)
    assert answer["id"] == "x"
    assert answer["readable"] is True
    assert answer["hidden_bits"] < 40
    assert set(answer) == {"id", "hidden_bits", "readable", "worst", "why"}


def instant() -> str:
    """Any microsecond of fifteen years."""
    when = datetime(2010, 1, 1, tzinfo=UTC) + timedelta(microseconds=DICE.randrange(15 * 365 * 86_400 * 10**6))
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.mark.parametrize(
    ("value", "worst"),
    [
        (urlsafe(40), "/note"),
        ([DICE.randbytes(16).hex(), DICE.randbytes(16).hex()], "/note"),
        (["".join(DICE.choice("ABCDEFGHJKMNPQRSTVWXYZ23456789") for _ in range(9)) + "k1" for _ in range(6)], "/note"),
        ([DICE.randrange(2**31 - 2**30) + 3 * 2**30 for _ in range(16)], "/note"),
        ([DICE.randrange(2**53) * 1e90 for _ in range(8)], "/note"),
        ({DICE.randbytes(12).hex(): True for _ in range(3)}, "/note"),
        ([f"{DICE.randrange(30)}.{DICE.randrange(256)}.{100 + DICE.randrange(156)}" for _ in range(14)], "/note"),
        ([DICE.randbytes(6).hex(":") for _ in range(7)], "/note"),
        ([".".join(map(str, DICE.randbytes(4))) for _ in range(16)], "/note"),
        (str(int.from_bytes(DICE.randbytes(32))), "/note"),
        (int.from_bytes(DICE.randbytes(32)), "/note"),
        ("".join(DICE.choice(".-/ ") for _ in range(200)), "/note"),
        ([instant() for _ in range(9)], "/note"),
    ],
)
def test_what_is_hidden_in_it_is_found_and_pointed_at(value: object, worst: str) -> None:
    answer = smuggle(value)
    assert answer["readable"] is False
    assert answer["worst"].startswith(worst)
    assert "declare" in answer["why"]


def test_a_home_names_a_few_addresses() -> None:
    some = [DICE.randbytes(6).hex(":") for _ in range(2)] + ["192.168.1.12", "10.0.0.1", "fe80::1"]
    assert smuggle(some)["readable"] is True


def test_what_is_said_twice_counts_once() -> None:
    token = DICE.randbytes(16).hex()
    assert smuggle([token] * 20)["hidden_bits"] == smuggle([token])["hidden_bits"]


def test_a_documents_own_text_is_judged_where_there_is_one() -> None:
    plain = "{" + ", ".join(f'"{name}": {n}' for n, name in enumerate(("on", "power", "time", "mode") * 40)) + "}"
    assert judged(plain).hidden_bits > 100  # names that occur twice
    spaces = [DICE.choice(["", " ", "\t", "  "]) for _ in range(300)]
    varied = "[" + ",".join(f"{space}{n % 3}" for n, space in enumerate(spaces)) + "]"
    even = "[" + ", ".join(str(n % 3) for n in range(300)) + "]"
    assert judged(varied).hidden_bits > 300
    assert judged(even).hidden_bits == 0
    answer = line_judged(json.dumps({"id": "x", "raw": varied, "payload": json.loads(varied)}).encode())
    assert answer["hidden_bits"] > 300
    assert "white space" in answer["why"]


def test_number_formats_that_nobody_needs_are_counted() -> None:
    varied = "[" + ",".join(f"{n}.5" + DICE.choice(["", "e0", "E0", "e+0"]) for n in range(200)) + "]"
    assert "formats" in judged(varied).why
    assert judged("[" + ",".join(f"{n}.50" for n in range(200)) + "]").hidden_bits == 0


def test_escapes_that_nobody_needs_are_counted() -> None:
    assert any(bits > 10 for bits, what in spelling_out.choices('["' + "a\\u0062" * 30 + '"]') if "escapes" in what)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"5",
        b'{"id": 5, "payload": [NaN, -Infinity, 1e999, 1e-400]}',
        b'{"id": "x", "raw": 5}',
        b'{"id": "x", "raw": "{"}',
        b'{"id": "x", "raw": "{}", "raw": "{}"}',
        b'{"id": "x", "payload": "\\ud800 \\udfff"}',
        b'{"id": "x", "payload": ' + b"[" * 100_000,
        b'{"id": "x", "payload": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"id": "x", "payload": ' + b"9" * 6000 + b"}",
        b'{"id": "x", "payload": "' + b"%25" * 9000 + b'"}',
        b'{"id": "x", "payload": "' + b"aA1" * 90_000 + b'"}',
        b'{"id": "' + b"x" * 9000 + b'", "payload": "\\u0000\\u2028"}',
        b'{"payload": {"a\\ud800": "\\u200b"}}',
    ],
)
def test_any_line_gets_an_answer(line: bytes) -> None:
    answer = line_judged(line)
    assert set(answer) == {"id", "hidden_bits", "readable", "worst", "why"}
    assert len(answer["worst"]) <= 256
    json.loads(json.dumps(answer))
    assert "judged (" not in answer["why"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_any_value_gets_an_answer(value: object) -> None:
    assert "judged (" not in judge(value)["why"]


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(line: bytes) -> None:
    assert "judged (" not in line_judged(line)["why"]


def test_a_line_that_is_too_long_is_answered_and_passed_over() -> None:
    found = list(lines(io.BytesIO(b"a" * 200_000 + b"\nb\rc\n\nd"), 100))
    assert [len(found[0]), *found[1:]] == [101, b"b\rc", b"", b"d"]
    assert line_judged(b"x" * (MAX_LINE + 1))["readable"] is False


def test_the_command_answers_each_line() -> None:
    text = (
        json.dumps({"id": "a", "payload": PLAIN})
        + "\nnonsense\n"
        + json.dumps({"id": "b", "payload": DICE.randbytes(32).hex()})
        + "\n"
    )
    done = CliRunner().invoke(app, ["judge", "readability"], input=text)
    assert done.exit_code == 0
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(answer["id"], answer["readable"]) for answer in answers] == [("a", True), (None, False), ("b", False)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T00:01:00Z", 60),
        ("1970-01-01 00:01:00.25", 60),
        ("1970-01-01T00:01:00+02:00", 60),
        ("20260131120000", 1769860800),
    ],
)
def test_times_as_devices_write_them(text: str, seconds: int) -> None:
    when = timestamps.read(text)
    assert when is not None
    assert when.seconds == seconds


@pytest.mark.parametrize(
    "text",
    ["2026-13-01", "2026-02-30T00:00:00Z", "99999999", "1.2.3.4.5.6", "2026-01-01Tnonsense", "2026-01-01T00:00:00.1234567890Z"],
)
def test_what_is_no_time(text: str) -> None:
    assert timestamps.read(text) is None
