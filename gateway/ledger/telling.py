"""What the owner did that the record must show before it is done: an export of keys, a capture.

It must never say that something is on record which is not on disk.
"""

from __future__ import annotations

import secrets

from gateway.ipc.channel import Channel
from gateway.ipc.messages import Heard, Told
from gateway.ledger.store import Note
from gateway.reasons import Reason

KIND = "owner"
MOST_AT_ONCE = 8
MOST_WORDS = 512


class Tellings:
    """Those under way, by the id of their record."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Channel, Told]] = {}

    def hear(self, channel: Channel, told: Told) -> Note | None:
        """What to record; None where there are too many, which the owner then has been told."""
        if len(self._waiting) >= MOST_AT_ONCE:
            channel.send(Heard(told.ref, 0, Reason.LEDGER_UNAVAILABLE.code))
            return None
        id = secrets.token_hex(16)
        self._waiting[id] = (channel, told)
        return Note(KIND, id, told.device, "", told.what, detail=told.detail[:MOST_WORDS])

    def recorded(self, note: Note) -> None:
        """``note`` is on disk, or, without a seq, had no room there."""
        self._answer(note.id, note.seq, -1 if note.seq else Reason.RECORD_FULL.code)

    def not_recorded(self, note: Note) -> None:
        """The disk did not take ``note``."""
        self._answer(note.id, 0, Reason.LEDGER_UNAVAILABLE.code)

    def gone(self, channel: Channel) -> None:
        """Who told it has left."""
        self._waiting = {id: waiting for id, waiting in self._waiting.items() if waiting[0] is not channel}

    def _answer(self, id: str, seq: int, reason: int) -> None:
        found = self._waiting.pop(id, None)
        if found is not None:
            channel, told = found
            channel.send(Heard(told.ref, seq, reason))
