"""What a declared field lets through, and as what it leaves."""

from __future__ import annotations

from fractions import Fraction
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.reasons import Reason
from gateway.standard.canonical import encode
from gateway.standard.declaration import ManifestError
from gateway.standard.schema import exact, parse_schema
from gateway.standard.validator import Mismatch


def rebuild(field: dict[str, Any], value: Any) -> Any:
    """``value`` as it leaves under the declaration ``field``."""
    schema = parse_schema({"type": "object", "properties": {"f": {"title": "F", **field}}, "required": ["f"]})
    return schema.rebuild({"f": value})["f"]


INTEGER = {"type": "integer", "minimum": -10, "maximum": 100}
FIVES = {"type": "integer", "minimum": -10, "maximum": 100, "multipleOf": 5}
TENTHS = {"type": "number", "minimum": -1, "maximum": 100, "multipleOf": 0.1}
QUARTERS = {"type": "number", "minimum": 0, "maximum": 10, "multipleOf": 0.25}
TEXT = {"type": "string", "maxLength": 5}
WORD = {"type": "string", "enum": ["on", "off", ""]}
CODE = {"type": "integer", "enum": [1, 404]}
MINUTE = {"type": "time", "grain": 60}
SECOND = {"type": "time", "grain": 1}
DAY = {"type": "time", "grain": 86_400}
LIST = {"type": "array", "maxItems": 2, "items": INTEGER}

LEAVES = [
    (INTEGER, 7, "7"),
    (INTEGER, -10, "-10"),
    (INTEGER, 7.0, "7"),
    (INTEGER, -0.0, "0"),
    (FIVES, 7, "5"),
    (FIVES, 8, "10"),
    (FIVES, -10, "-10"),
    (FIVES, 100.0, "100"),
    (TENTHS, 21.34, "21.3"),
    (TENTHS, 21.3499999999, "21.3"),
    (TENTHS, 21.36, "21.4"),
    (TENTHS, 0.1 + 0.2, "0.3"),
    (TENTHS, -0.04, "0"),
    (TENTHS, 100, "100"),
    (TENTHS, 99.99, "100"),
    (QUARTERS, 0.3, "0.25"),
    (QUARTERS, 0.75, "0.75"),
    (TEXT, "hello", '"hello"'),
    (TEXT, "éø", '"éø"'),
    (TEXT, "Ku\u0308che", '"Küche"'),
    (TEXT, "", '""'),
    (TEXT, "  a   b ", '"a b"'),
    (TEXT, "    ", '""'),
    (TEXT, "a\u2013\u00b5", '"a-μ"'),
    (TEXT, 'a"\\', '"a\\"\\\\"'),
    (WORD, "off", '"off"'),
    (WORD, "", '""'),
    (CODE, 404, "404"),
    (MINUTE, "2026-11-22T13:37:42Z", '"2026-11-22T13:37:00Z"'),
    (SECOND, "2026-11-22T13:37:42.987654321Z", '"2026-11-22T13:37:42Z"'),
    (DAY, "2024-02-29T23:59:59Z", '"2024-02-29T00:00:00Z"'),
    (LIST, [], "[]"),
    (LIST, [1.0, 2], "[1,2]"),
    ({**TEXT, "type": ["string", "null"]}, None, "null"),
    ({**LIST, "type": ["array", "null"]}, None, "null"),
    ({"type": "boolean"}, False, "false"),
]

STAYS = [
    (INTEGER, [101, -11, 7.5, "7", True, None, [], {}, 1e300]),
    (FIVES, [101, 102.0, -12]),
    (TENTHS, [100.01, -1.04, "1", False, None]),
    (
        TEXT,
        [
            "hello!",
            5,
            None,
            True,
            "a\nb",
            "a\0",
            "\u200b",
            "\u202e",
            "\u00a0",
            "\ue000",
            "\U000e0041",
            "\x7f",
            "\u2028",
            "\ufeff",
        ],
    ),
    (WORD, ["ON", "on ", None, 1, ["on"]]),
    (CODE, [2, "404", 404.0, True, None]),
    (
        MINUTE,
        [
            *("2026-11-22", "2026-11-22T13:37Z", "2026-11-22T13:37:42", "2026-11-22T13:37:42+00:00", "2026-11-22t13:37:42z"),
            *(
                "2026-11-22 13:37:42Z",
                "2026-02-30T13:37:42Z",
                "2026-11-22T24:00:00Z",
                "2026-11-22T13:37:60Z",
                "20261122T133742ZZZZZ",
            ),
            *(
                "2026-W47-7T13:37:42Z",
                "1999-12-31T23:59:59Z",
                "2100-01-01T00:00:00Z",
                "2026-11-22T13:37:42.Z",
                "2026-11-22T13:37:42,5Z",
            ),
            *("2026-11-22T13:37:42.1234567890Z", "2026-11-22T1３:37:42Z", 1763818662, None, "", "2026-11-22T13:37:4²Z"),  # noqa: RUF001
        ],
    ),
    (LIST, [[1, 2, 3], {}, None, "12"]),
    ({"type": "boolean"}, [0, 1, "true", None]),
]


@pytest.mark.parametrize(("field", "value", "leaves"), LEAVES)
def test_what_leaves(field: dict[str, Any], value: Any, leaves: str) -> None:
    assert encode(rebuild(field, value)).decode() == leaves


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in STAYS for value in values])
def test_what_stays(field: dict[str, Any], value: Any) -> None:
    with pytest.raises(Mismatch) as caught:
        rebuild(field, value)
    assert caught.value.reason is Reason.NOT_IN_SCHEMA
    assert caught.value.pointer == "/f"
    assert "F: " in caught.value.detail


NESTED = {
    "type": "object",
    "properties": {
        "a/b": {
            "type": "array",
            "title": "L",
            "maxItems": 3,
            "items": {"type": "object", "properties": {"~": {**INTEGER, "title": "I"}}, "required": ["~"]},
        },
        "Z": {"type": "boolean", "title": "B"},
        "b": {"type": "boolean", "title": "B"},
    },
    "required": ["b"],
}


@pytest.mark.parametrize(
    ("value", "reason", "pointer"),
    [
        ({"b": True, "a/b": [{"~": 1}, {"~": 101}]}, Reason.NOT_IN_SCHEMA, "/a~1b/1/~0"),
        ({"b": True, "a/b": [{"~": 1}, {}]}, Reason.REQUIRED_MISSING, "/a~1b/1/~0"),
        ({"b": True, "a/b": [{"~": 1, "x/": 0}]}, Reason.NOT_DECLARED, "/a~1b/0/x~1"),
        ({"b": True, "a/b": [1]}, Reason.NOT_IN_SCHEMA, "/a~1b/0"),
        ({}, Reason.REQUIRED_MISSING, "/b"),
        ({"b": True, "B": True}, Reason.NOT_DECLARED, "/B"),
        ({"b": True, "": True}, Reason.NOT_DECLARED, "/"),
        ([], Reason.NOT_IN_SCHEMA, ""),
        (None, Reason.NOT_IN_SCHEMA, ""),
    ],
)
def test_the_finger_points_at_the_place(value: Any, reason: Reason, pointer: str) -> None:
    with pytest.raises(Mismatch) as caught:
        parse_schema(NESTED).rebuild(value)
    assert (caught.value.reason, caught.value.pointer) == (reason, pointer)


def test_members_come_in_canonical_order_and_nothing_given_is_kept() -> None:
    given_value = {"b": True, "a/b": [{"~": 1}], "Z": False}
    built = parse_schema(NESTED).rebuild(given_value)
    assert list(built) == ["Z", "a/b", "b"]
    assert built == given_value
    assert built["a/b"] is not given_value["a/b"]
    assert built["a/b"][0] is not given_value["a/b"][0]


STEPS = st.sampled_from([1, 2, 5, 0.1, 0.01, 0.001, 0.25, 0.5, 0.3, 1.5, 7, 1e-6, 1e-9, 1000])


@settings(max_examples=1500, deadline=None)
@given(STEPS, st.integers(-(10**6), 10**6), st.integers(0, 10**6), st.data())
def test_one_value_leaves_for_each_step_and_stays_within_bounds(step: float, first: int, count: int, data: st.DataObject) -> None:
    size = exact(step)
    least, most = float(first * size), float((first + count) * size)
    field = {"type": "number", "minimum": least, "maximum": most, "multipleOf": step}
    try:
        value = data.draw(st.floats(least, most) | st.integers(0, count).map(lambda n: float((first + n) * size)))
        once = rebuild(field, value)
    except ManifestError:  # a bound that no decimal of this step spells: 17 digits
        return
    assert least <= once <= most
    assert rebuild(field, once) == once
    steps = exact(once) / size
    assert abs(steps - round(steps)) < Fraction(1, 1000)
    assert abs(exact(value) - exact(once)) <= size * Fraction(501, 1000)


@settings(max_examples=600, deadline=None)
@given(st.integers(-(10**6), 10**6), st.integers(1, 1000), st.integers(0, 1000), st.data())
def test_integers_round_to_the_nearest_step(first: int, step: int, count: int, data: st.DataObject) -> None:
    field = {"type": "integer", "minimum": first * step, "maximum": (first + count) * step, "multipleOf": step}
    value = data.draw(st.integers(first * step, (first + count) * step))
    once = rebuild(field, value)
    assert once % step == 0
    assert abs(once - value) * 2 <= step
    assert first * step <= once <= (first + count) * step


def wide(number: int, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object with so many declared members, "p000" and so on."""
    properties = {f"p{n:03}": {"type": "boolean", "title": "On"} for n in range(number)}
    return {"type": "object", "properties": properties, "required": list(required)}


def test_few_members_of_many_are_judged_like_all_of_them() -> None:
    schema = parse_schema(wide(256, ("p100",)))
    built = schema.rebuild({"p200": True, "p100": False, "p003": True})
    assert encode(built) == b'{"p003":true,"p100":false,"p200":true}'
    assert list(built) == ["p003", "p100", "p200"]
    for value, reason, pointer in (
        ({}, Reason.REQUIRED_MISSING, "/p100"),
        ({"p200": True, "p003": True}, Reason.REQUIRED_MISSING, "/p100"),
        ({"p100": True, "p999": True}, Reason.NOT_DECLARED, "/p999"),
        ({"p100": 1}, Reason.NOT_IN_SCHEMA, "/p100"),
    ):
        with pytest.raises(Mismatch) as caught:
            schema.rebuild(value)
        assert (caught.value.reason, caught.value.pointer) == (reason, pointer)


def test_many_nearly_empty_objects_cost_their_size_and_not_their_declarations() -> None:
    """In 64 KB there is room for 20,000 empty objects; looking for 256 members in each took an eighth of a second."""

    def cost(members: int) -> float:
        rows = {"type": "array", "title": "Rows", "maxItems": 1024, "items": wide(members)}
        schema = parse_schema({"type": "object", "properties": {"a": {**rows, "items": {**rows, "title": "Row"}}}})
        value = {"a": [[{} for _ in range(1000)] for _ in range(20)]}
        schema.rebuild(value)
        began = process_time()
        schema.rebuild(value)
        return process_time() - began

    assert cost(256) < 16 * cost(2)
