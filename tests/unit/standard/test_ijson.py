"""I-JSON: what is read, what is not, and where the finger points."""

from __future__ import annotations

import json
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.reasons import Reason
from gateway.standard.canonical import encode
from gateway.standard.ijson import parse
from gateway.standard.refusal import Refusal
from tests.unit.standard.test_canonical import VALUES

READ = [
    (b"0", 0),
    (b"-0", 0),
    (b' \t\r\n{"a": [1, 2.5, "x", true, false, null]}\n', {"a": [1, 2.5, "x", True, False, None]}),
    (b'"\\u00e9\\ud83d\\ude00\\/"', "é😀/"),
    ('"é😀"'.encode(), "é😀"),
    (b"9007199254740991", 2**53 - 1),
    (b"1e3", 1000.0),
    (b"1E-400", 0.0),
    (b'{"":{"":0}}', {"": {"": 0}}),
    (b"[[[[]]]]", [[[[]]]]),
    (b'"[[[[[[[["', "[[[[[[[["),
]

REFUSED = [
    ("nothing", b"", Reason.JSON_SYNTAX, ()),
    ("white space", b" \n", Reason.JSON_SYNTAX, ()),
    ("two values", b"1 2", Reason.JSON_SYNTAX, ()),
    ("a trailing comma", b"[1,]", Reason.JSON_SYNTAX, ()),
    ("a comment", b"[1] // one", Reason.JSON_SYNTAX, ()),
    ("single quotes", b"{'a': 1}", Reason.JSON_SYNTAX, ()),
    ("an open string", b'"a', Reason.JSON_SYNTAX, ()),
    ("an open object", b'{"a": 1', Reason.JSON_SYNTAX, ()),
    ("a raw newline in a string", b'"a\nb"', Reason.JSON_SYNTAX, ()),
    ("a NUL in a string", b'"a\0b"', Reason.JSON_SYNTAX, ()),
    ("a NUL after the value", b"1\0", Reason.JSON_SYNTAX, ()),
    ("a form feed", b"\x0c1", Reason.JSON_SYNTAX, ()),
    ("a no-break space", "\u00a01".encode(), Reason.JSON_SYNTAX, ()),
    ("an unknown escape", b'"\\x41"', Reason.JSON_SYNTAX, ()),
    ("a short escape", b'"\\u12"', Reason.JSON_SYNTAX, ()),
    ("a signed escape", b'"\\u+123"', Reason.JSON_SYNTAX, ()),
    ("NaN", b'{"a": NaN}', Reason.JSON_SYNTAX, ()),
    ("Infinity", b"[-Infinity]", Reason.JSON_SYNTAX, ()),
    ("a leading zero", b"01", Reason.JSON_SYNTAX, ()),
    ("a leading plus", b"+1", Reason.JSON_SYNTAX, ()),
    ("hexadecimal", b"0x10", Reason.JSON_SYNTAX, ()),
    ("no digit after the point", b"1.", Reason.JSON_SYNTAX, ()),
    ("Arabic digits", "\u0661".encode(), Reason.JSON_SYNTAX, ()),
    ("a byte order mark", b"\xef\xbb\xbf1", Reason.JSON_SYNTAX, ()),
    ("UTF-16", '"a"'.encode("utf-16"), Reason.JSON_SYNTAX, ()),
    ("Latin-1", b'"\xe9"', Reason.JSON_SYNTAX, ()),
    ("an overlong form", b'"\xc0\xaf"', Reason.JSON_SYNTAX, ()),
    ("a surrogate in UTF-8", b'"\xed\xa0\x80"', Reason.JSON_SYNTAX, ()),
    ("a name twice", b'{"a": 1, "b": 2, "a": 1}', Reason.NOT_I_JSON, ("/a",)),
    ("a name twice, escaped", b'{"a": 1, "\\u0061": 1}', Reason.NOT_I_JSON, ("/a",)),
    ("a name twice, deep", b'[0, {"x/y": {"~": 1, "~": 1}}]', Reason.NOT_I_JSON, ("/1/x~1y/~0",)),
    ("an empty name twice", b'{"": 1, "": 1}', Reason.NOT_I_JSON, ("/",)),
    ("2^53", b'{"a": [9007199254740992]}', Reason.NOT_I_JSON, ("/a/0",)),
    ("-2^53", b"-9007199254740992", Reason.NOT_I_JSON, ("",)),
    ("an integer of 5000 digits", b'{"a": ' + b"9" * 5000 + b"}", Reason.NOT_I_JSON, ("/a",)),
    ("a number beyond a double", b'{"a": 1e999}', Reason.NOT_I_JSON, ("/a",)),
    ("a flaw before a syntax error", b'{"a": 1e999, }', Reason.NOT_I_JSON, ()),
    ("a lone surrogate", b'{"a": ["\\ud800"]}', Reason.NOT_I_JSON, ("/a/0",)),
    ("surrogates the wrong way round", b'["\\ude00\\ud83d"]', Reason.NOT_I_JSON, ("/0",)),
    ("a noncharacter", b'["\\ufffe"]', Reason.NOT_I_JSON, ("/0",)),
    ("a noncharacter in UTF-8", '["\ufdd0"]'.encode(), Reason.NOT_I_JSON, ("/0",)),
    ("a noncharacter of plane 1", '["\U0001ffff"]'.encode(), Reason.NOT_I_JSON, ("/0",)),
    ("a noncharacter as name", '{"\U0010ffff": 1}'.encode(), Reason.NOT_I_JSON, ("/\U0010ffff",)),
    ("a lone surrogate as name", b'{"\\ud800": 1}', Reason.NOT_I_JSON, ("/?",)),
    ("a lone surrogate as name, twice", b'{"\\ud800": 1, "\\ud800": 1}', Reason.NOT_I_JSON, ("/?",)),
    ("one level too many", b'{"a": {"b": {"c": [[]]}}}', Reason.TOO_DEEP, ("/a/b/c/0",)),
    ("a thousand levels", b"[" * 1000 + b"]" * 1000, Reason.TOO_DEEP, ("/0/0/0/0",)),
    ("60,000 levels", b"[" * 60_000 + b"]" * 60_000, Reason.TOO_DEEP, ()),
    ("60,000 levels of objects", b'{"":' * 60_000, Reason.TOO_DEEP, ()),
]


@pytest.mark.parametrize(("body", "value"), READ, ids=[repr(body) for body, _ in READ])
def test_read(body: bytes, value: object) -> None:
    assert parse(body, max_depth=4) == value


@pytest.mark.parametrize(("body", "reason", "pointers"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(body: bytes, reason: Reason, pointers: tuple[str, ...]) -> None:
    with pytest.raises(Refusal) as caught:
        parse(body, max_depth=4)
    assert (caught.value.reason, caught.value.pointers) == (reason, pointers)
    assert caught.value.detail
    str(caught.value).encode()


@settings(max_examples=800, deadline=None)
@given(VALUES)
def test_what_we_write_we_read(value: object) -> None:
    assert encode(parse(encode(value), max_depth=20)) == encode(value) if _tame(value) else True


def _tame(value: object) -> bool:
    """Without what JSON can write and I-JSON does not carry: noncharacters and integers beyond 2^53 in canonical form."""
    try:
        parse(encode(value), max_depth=20)
    except Refusal as refusal:
        return refusal.reason is not Reason.NOT_I_JSON
    return True


@settings(max_examples=2000, deadline=None)
@given(st.binary(max_size=40) | st.text('{}[]":,\\ud80019eE.-+ntfalsruNI \ufffe', max_size=30).map(str.encode))
def test_any_bytes_are_a_value_or_a_refusal(body: bytes) -> None:
    try:
        value = parse(body, max_depth=6)
    except Refusal as refusal:
        assert refusal.reason in {Reason.JSON_SYNTAX, Reason.NOT_I_JSON, Reason.TOO_DEEP}
    else:
        assert value == json.loads(body)


def test_a_flaw_costs_no_more_than_its_document() -> None:
    """Eight thousand names and one of them twice: looking each up among all others took a second of the door's time."""
    names = [f"{number:x}" for number in range(8_000)]
    body = ("{" + ",".join(f'"{name}":1' for name in [*names, names[-1]]) + "}").encode()
    began = process_time()
    with pytest.raises(Refusal) as caught:
        parse(body, max_depth=4)
    assert process_time() - began < 0.2
    assert caught.value.pointers == (f"/{names[-1]}",)
