"""What a record can be found by: pure, the same for the index (index.py), for the search (searching.py) and for the last word
on whether a record is meant. This module must never take more time than a body's length asks for.

A term is a text: a letter for its sort and what it says. Bodies are looked at below "payload" and "claim": each place as a JSON
Pointer (RFC 6901), each value with its place, each word of each text (case does not count). Of a long pointer the beginning
counts alone: a device chooses names, and one of half a body with ten thousand values below it would count ten thousand times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

KINDS = ("message", "refusal")  # what is in the index
LOOKED_AT = ("payload", "claim")
WORD = 64  # characters of a word that count
PLACE = 256  # characters of a pointer that count
_WORDS = re.compile(r"\w+")
_NAMES = {True: "true", False: "false", None: "null"}
_decode = msgspec.json.Decoder().decode


class Searched(NamedTuple):
    """The fields of a record that terms come from, in the order of ``COLUMNS``."""

    kind: str
    device: str
    vendor: str
    host: str
    type: str
    original: bytes
    outgoing: bytes
    detail: str
    pointers: str


COLUMNS = ", ".join(Searched._fields)


def kind(name: str) -> str:
    return "k" + name


def device(name: str) -> str:
    return "d" + name


def vendor(name: str) -> str:
    return "n" + name.casefold()


def host(name: str) -> str:
    return "h" + name


def type_(name: str) -> str:
    return "t" + name


def place(pointer: str) -> str:
    return "p" + pointer[:PLACE]


def value(pointer: str, found: object) -> str:
    return f"v{pointer[:PLACE]}={literal(found)}"


def words(text: str) -> Iterator[str]:
    """The words of a text."""
    return ("w" + found[:WORD] for found in _WORDS.findall(text.casefold()))


def literal(found: object) -> str:
    """A scalar as text: 21 and 21.0 are the same, 21 and "21" are not."""
    if isinstance(found, str):
        return '"' + found
    if found is True or found is False or found is None:
        return _NAMES[found]
    if isinstance(found, float) and found.is_integer() and abs(found) < 2**53:
        return str(int(found))
    return repr(found)


def head(record: Searched) -> tuple[str, ...]:
    """The terms of what is beside the bodies."""
    return kind(record.kind), device(record.device), vendor(record.vendor), host(record.host), type_(record.type)


def body(record: Searched) -> Iterator[str]:
    """The terms of the bodies: of what left, and of what the device sent where something else left, or nothing."""
    if record.outgoing:
        yield from _document(record.outgoing)
    if not record.outgoing or record.detail or record.pointers:
        yield from _document(record.original)


def _document(text: bytes) -> Iterator[str]:
    try:
        document = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # a refused message may be anything; it is found by what is beside it
    if not isinstance(document, dict):
        return
    for name in LOOKED_AT:
        if name in document:
            yield from _below("/" + name, document[name])


def _below(pointer: str, found: Any) -> Iterator[str]:
    """One member after the other: what waits takes a step for each level, and never one for each member."""
    waiting: list[Iterator[tuple[str, Any]]] = [iter([(pointer, found)])]
    while waiting:
        step = next(waiting[-1], None)
        if step is None:
            waiting.pop()
            continue
        pointer, found = step
        yield "p" + pointer
        if isinstance(found, dict | list):
            waiting.append(_members(pointer, found))
        else:
            yield f"v{pointer}={literal(found)}"
            if isinstance(found, str):
                yield from words(found)


def _members(pointer: str, found: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(found, dict):
        return ((f"{pointer}/{_escaped(key)}"[:PLACE], below) for key, below in found.items())
    return ((f"{pointer}/{number}"[:PLACE], below) for number, below in enumerate(found))


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key
