"""Bytes to values, for I-JSON only (RFC 8259, RFC 7493). It must never guess what a sender may have meant.

CPython's C scanner does the reading; its hooks refuse what RFC 7493 adds. They do not know where they are, so a document
that they refuse is read once more with hooks that leave a mark, and the mark is looked for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from gateway.reasons import Reason
from gateway.standard.canonical import MAX_INTEGER
from gateway.standard.refusal import Refusal, token

_MAX_DIGITS = len(str(MAX_INTEGER)) + 1  # with a sign
# Surrogates (RFC 7493 section 2.1) and the 66 noncharacters (Unicode 23.7).
_FORBIDDEN = re.compile(
    "[\ud800-\udfff\ufdd0-\ufdef" + "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF)) + "]"
)

_DUPLICATE = "each member name may occur once in an object (RFC 7493 section 2.3); send it once"
_INTEGER = "integers must lie within ±(2^53-1) (RFC 7493 section 2.2); send a smaller number or a text"
_FINITE = "numbers must be finite IEEE doubles (RFC 7493 section 2.2); send null or leave the member out"
_CHARACTER = "lone surrogates and noncharacters are not text (RFC 7493 section 2.1); leave them out"


@dataclass(frozen=True, slots=True)
class _Flaw:
    """A mark in a re-read tree: what is wrong here. ``name``: the member meant, where it is one."""

    words: str
    name: str | None = None


class _Found(Exception):
    def __init__(self, flaw: _Flaw) -> None:
        self.flaw = flaw


def _decoder(report: Callable[[_Flaw], Any]) -> json.JSONDecoder:
    """A decoder whose hooks hand what RFC 7493 forbids to ``report``; what that returns takes the value's place."""

    def members(pairs: list[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        if len(found) != len(pairs):
            return report(_Flaw(_DUPLICATE, _repeated(pairs)))
        return found

    def integer(text: str) -> Any:
        if len(text) <= _MAX_DIGITS:
            value = int(text)
            if -MAX_INTEGER <= value <= MAX_INTEGER:
                return value
        return report(_Flaw(_INTEGER))

    def number(text: str) -> Any:
        value = float(text)
        return value if math.isfinite(value) else report(_Flaw(_FINITE))

    def constant(text: str) -> NoReturn:
        raise json.JSONDecodeError(f"{text} is not JSON", "", 0)

    return json.JSONDecoder(object_pairs_hook=members, parse_int=integer, parse_float=number, parse_constant=constant)


def _repeated(pairs: list[tuple[str, Any]]) -> str | None:
    """The first name that occurs again. In one pass: counting each name would cost a hostile message a second."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    return None


def _raise(flaw: _Flaw) -> NoReturn:
    raise _Found(flaw)


_strict = _decoder(_raise)
_marking = _decoder(lambda flaw: flaw)


def parse(body: bytes, *, max_depth: int) -> object:
    """The value that ``body`` holds: dict, list, str, int, float, bool or None.

    ``max_depth``: how many arrays and objects may enclose each other. Raises Refusal: JSON_SYNTAX, NOT_I_JSON or TOO_DEEP,
    with a pointer where there is a place to point at.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(Reason.JSON_SYNTAX, f"byte {error.start} is not UTF-8; send JSON in UTF-8") from None
    if text.startswith("\ufeff"):
        raise Refusal(Reason.JSON_SYNTAX, "JSON starts without a byte order mark (RFC 8259 section 8.1); leave it out")
    try:
        value = _strict.decode(text)
    except _Found as found:
        raise _located(text, found.flaw) from None
    except json.JSONDecodeError as error:
        raise Refusal(Reason.JSON_SYNTAX, f"{error.msg} (character {error.pos}); send one JSON value") from None
    except RecursionError:
        raise _too_deep(max_depth, ()) from None
    if text.count("[") + text.count("{") > max_depth:
        _check_depth(value, max_depth, max_depth, ())
    if "\\u" in text or (not text.isascii() and _FORBIDDEN.search(text)):
        _check_text(value, ())
    return value


def _pointer(path: tuple[str | int, ...]) -> str:
    return "".join("/" + token(str(step)) for step in path)


def _too_deep(max_depth: int, path: tuple[str | int, ...]) -> Refusal:
    pointers = (_pointer(path),) if path else ()
    return Refusal(Reason.TOO_DEEP, f"at most {max_depth} objects and arrays inside each other; send it flatter", pointers)


def _check_depth(value: object, left: int, most: int, path: tuple[str | int, ...]) -> None:
    if isinstance(value, dict):
        inner: Any = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    else:
        return
    if not left:
        raise _too_deep(most, path)
    for step, item in inner:
        if isinstance(item, dict | list):
            _check_depth(item, left - 1, most, (*path, step))


def _check_text(value: object, path: tuple[str | int, ...]) -> None:
    if isinstance(value, str):
        if _FORBIDDEN.search(value):
            raise Refusal(Reason.NOT_I_JSON, _CHARACTER, (_pointer(path),))
    elif isinstance(value, dict):
        for name, item in value.items():
            if _FORBIDDEN.search(name):
                raise Refusal(Reason.NOT_I_JSON, _CHARACTER, (_pointer((*path, name)),))
            _check_text(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_text(item, (*path, index))


def _located(text: str, flaw: _Flaw) -> Refusal:
    """The refusal for a flaw, with its place where the rest of the document is JSON enough to find it."""
    try:
        found = _find(_marking.decode(text), ())
    except (json.JSONDecodeError, RecursionError):
        found = None
    if found is None:
        return Refusal(Reason.NOT_I_JSON, flaw.words)
    path, flaw = found
    return Refusal(Reason.NOT_I_JSON, flaw.words, (_pointer(path if flaw.name is None else (*path, flaw.name)),))


def _find(value: object, path: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], _Flaw] | None:
    if isinstance(value, _Flaw):
        return path, value
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in inner:
        found = _find(item, (*path, step))
        if found is not None:
            return found
    return None
