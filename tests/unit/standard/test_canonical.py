"""Canonical JSON, held against the rfc8785 package."""

from __future__ import annotations

import json
import struct
from enum import StrEnum

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.standard.canonical import encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
BITS = st.binary(min_size=8, max_size=8).map(lambda raw: struct.unpack("d", raw)[0]).filter(lambda x: x - x == 0)
DECIMALS = st.builds(lambda n, k: float(f"{n}e{k}"), st.integers(-(10**6), 10**6), st.integers(-30, 30))
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | FLOATS | BITS | DECIMALS | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=6), max_leaves=12
)


@settings(max_examples=2000, deadline=None)
@given(VALUES)
@example({"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3, "\r": 4, "1": 5, "\u0080": 6, "\u00f6": 7})  # RFC 8785 section 3.2.3
@example(
    [333333333.33333329, 1e30, 4.50, 2e-3, 1e-27, -0.0, 1e-5, 9.999e-6, 1e-6, 1e21, 1e20, 2.0**53, 9.5e15, 123456789012345680.0]
)
def test_equal_to_the_reference(value: object) -> None:
    assert encode(value) == rfc8785.dumps(value)


@settings(max_examples=500, deadline=None)
@given(VALUES)
def test_written_again_it_is_the_same(value: object) -> None:
    once = encode(value)
    assert encode(json.loads(once, parse_int=float)) == once


def test_tuples_are_arrays() -> None:
    assert encode({"b": (1, "a"), "a": ()}) == b'{"a":[],"b":[1,"a"]}'


class Word(StrEnum):
    A = "a"


@pytest.mark.parametrize(
    "value",
    [2**53, -(2**53), float("nan"), float("inf"), "\ud800", {"\udc00": 1}, {1: 2}, {None: 1}, b"x", {1, 2}, object(), 1j, Word.A],
)
def test_what_is_not_json_raises(value: object) -> None:
    for wrapped in (value, [value], {"a": value}):
        with pytest.raises(ValueError, match=r"."):
            encode(wrapped)


def test_endless_nesting_raises() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested"):
        encode(value)
