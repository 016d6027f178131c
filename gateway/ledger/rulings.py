"""What the owner's rules decided in a recorded message, as its door wrote it down. Pure; it must never take that for true.

A door says it, and one that was taken over may say anything.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.ledger.reader import Record


class _Ruling(msgspec.Struct):
    rule: str
    do: str
    at: list[str]
    more: int = 0


_rulings = msgspec.json.Decoder(list[_Ruling]).decode


def rulings(message: Record) -> list[dict[str, Any]]:
    """Each with "rule", "do", "at" (pointers; none: the message as a whole); what is in no such form is one that says so."""
    if not message.detail:
        return []
    try:
        return [msgspec.structs.asdict(ruling) for ruling in _rulings(message.detail)]
    except msgspec.DecodeError:
        return [{"rule": "(unreadable)", "do": "?", "at": []}]
