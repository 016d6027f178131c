"""Carriers that hide in honest values: what a bound must hold, for no judge can tell them from the truth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.home.arena.carrier import Carrier, Group, Line, Request, envelope, payload_of, post
from tests.home.arena.paper import FLAGS, MODES

CENTURY = datetime(2000, 1, 1, tzinfo=UTC)


def _field(name: str, bits: int, field: str, to: Callable[[int], Any], back: Callable[[Any], int]) -> Carrier:
    return Carrier(
        name, Group.VALUE, bits,
        lambda symbol: post(envelope({field: to(symbol)}, _TYPE.get(name, field)), _TYPE.get(name, field)),
        lambda line: back(payload_of(line)[field]),
    )  # fmt: skip


_TYPE = {"array: length": "length", "array: order of its items": "order"}


def _permutation(symbol: int) -> list[int]:
    """Lehmer's code: 15 bits in the order of eight items."""
    left, order = list(range(8)), []
    for place in range(8, 0, -1):
        symbol, choice = divmod(symbol, place)
        order.append(left.pop(choice))
    return order


def _unpermutation(order: list[int]) -> int:
    left, digits = list(range(8)), []
    for item in order:
        digits.append((left.index(item), len(left)))
        left.remove(item)
    symbol = 0
    for digit, place in reversed(digits):
        symbol = symbol * place + digit
    return symbol


def _flags(symbol: int) -> Request:
    there = {name: "x" for position, name in enumerate(FLAGS) if symbol >> position & 1}
    return post(envelope(there, "flags"), "flags")


def _nulls(symbol: int) -> Request:
    there = {name: "x" if symbol >> position & 1 else None for position, name in enumerate(FLAGS)}
    return post(envelope(there, "nulls"), "nulls")


def _near(symbol: int) -> Request:
    # eight seconds around the start of the minute, which `sent` tells the accomplice
    moment = datetime.now(UTC).replace(second=0) + timedelta(seconds=symbol)
    return post(envelope({"when": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}, "when"), "when")


def _far(symbol: int) -> Request:
    moment = CENTURY + timedelta(seconds=symbol)
    return post(envelope({"when": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}, "when"), "when")


def _seconds(line: Line) -> int:
    return int((datetime.fromisoformat(payload_of(line)["when"]) - CENTURY).total_seconds())


VALUES = (
    _field("number: all of its digits", 16, "value", lambda s: s / 10, lambda v: round(v * 10)),
    Carrier(
        "number: the last digit only", Group.VALUE, 3,
        lambda s: post(envelope({"value": 20 + s / 10}, "value"), "value"),
        lambda line: round(payload_of(line)["value"] * 10) - 200,
    ),
    _field("number: the finest step that is allowed", 49, "fine", lambda s: s / 1e15, lambda v: round(v * 1e15)),
    _field("integer", 16, "level", lambda s: s, int),
    _field("integer: the biggest that is allowed", 53, "big", lambda s: s - 2**52, lambda v: int(v) + 2**52),
    _field("enum", 4, "mode", lambda s: MODES[s], MODES.index),
    Carrier(
        "boolean", Group.VALUE, 1,
        lambda s: post(envelope({"on": bool(s)}, "switch"), "switch"), lambda line: int(payload_of(line)["on"]),
    ),
    Carrier(
        "optional fields: there or not", Group.VALUE, 16, _flags,
        lambda line: sum((name in payload_of(line)) << position for position, name in enumerate(FLAGS)),
    ),
    Carrier(
        "null or a value", Group.VALUE, 16, _nulls,
        lambda line: sum((payload_of(line)[name] is not None) << position for position, name in enumerate(FLAGS)),
    ),
    _field("array: length", 6, "list", lambda s: ["x"] * s, len),
    _field("array: order of its items", 15, "list", _permutation, _unpermutation),
    Carrier("time: any of the century", Group.VALUE, 31, _far, _seconds),
    Carrier("time: seconds of this minute", Group.VALUE, 5, _near, lambda line: _seconds(line) % 60),
    Carrier(
        "which message type, and so which host", Group.CHOICE, 1,
        lambda s: post(envelope({}, ("alpha", "beta")[s]), ("alpha", "beta")[s]),
        lambda line: int(line["path"].endswith("/beta")),
    ),
)  # fmt: skip
