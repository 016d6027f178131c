"""What a person typed to say which records are meant: the words that the command's options and the Record page share.

It must never guess: what it cannot read it refuses, and says how to say it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import datetime

from gateway.ledger import terms
from gateway.ledger.searching import FOREVER, Field, Wanted

NANOSECONDS = 10**9
MOST = 256  # characters of one thing that is said
_AGO = re.compile(r"([0-9]{1,6})([mhdw])")
_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


class AskedError(ValueError):
    """What was typed cannot be read. Says what to type instead."""


def wanted(  # noqa: PLR0917 # one for each thing that may be said
    kind: str,
    device: str | None,
    vendor: str | None,
    host: str | None,
    type_: str | None,
    fields: Iterable[str],
    text: str,
    since: str,
    until: str,
) -> Wanted:
    """What is meant; None and empty: anything. Raises AskedError."""
    fields = tuple(fields)
    for told in (device, vendor, host, type_, text, *fields):
        if told is not None and len(told) > MOST:
            raise AskedError(f"{told[:24]}…: this is longer than {MOST} characters; say less of it")
    if text.strip() and next(terms.words(text), None) is None:
        raise AskedError(f"{text}: there is no word in it; whole words are searched for, signs between them do not count")
    return Wanted(
        kind, device, vendor, host, type_, tuple(_field(told) for told in fields), text,
        moment(since) if since else 0, moment(until) if until else FOREVER,
    )  # fmt: skip


def _field(told: str) -> Field:
    pointer, equals, value = told.partition("=")
    if not pointer.startswith(("/payload", "/claim")):
        raise AskedError(f"{told}: a field is a place in the message, like /payload/power or /payload/power=21.5")
    return Field(pointer, value if equals else None)


def moment(told: str) -> int:
    """A local date and time, or how long ago, in nanoseconds since the epoch. Raises AskedError."""
    if ago := _AGO.fullmatch(told):
        return max(time.time_ns() - int(ago[1]) * _UNITS[ago[2]] * NANOSECONDS, 0)
    try:
        found = max(int(datetime.fromisoformat(told).timestamp()), 0) * NANOSECONDS
    except (ValueError, OverflowError, OSError):
        found = FOREVER
    if found >= FOREVER:
        raise AskedError(f'{told}: say a date ("2026-11-26", "2026-11-26 18:00") or how long ago ("90m", "7d")')
    return found
