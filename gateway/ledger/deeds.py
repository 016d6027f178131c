"""What the owner decides or takes out (keys, a capture): on record before it is done.

It must never say "noted" of what is not on disk.
"""

from __future__ import annotations

import secrets

from gateway.ipc.channel import Channel
from gateway.ipc.messages import Deed, DeedNoted
from gateway.ledger.batch import Note
from gateway.reasons import Reason

KIND = "deed"
MOST_AT_ONCE = 32
MOST_DETAIL = 1024  # characters on record


class Deeds:
    """Those that wait for the disk, by id."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Channel, int]] = {}

    def ask(self, channel: Channel, deed: Deed) -> Note | None:
        """What to record; None where too many wait, which the asker then has been told."""
        if len(self._waiting) >= MOST_AT_ONCE:
            channel.send(DeedNoted(deed.ref, 0, Reason.LEDGER_UNAVAILABLE.code))
            return None
        id = secrets.token_hex(16)
        self._waiting[id] = (channel, deed.ref)
        return Note(KIND, id, deed.device[:64], deed.by[:128], deed.what[:64], detail=deed.detail[:MOST_DETAIL])

    def recorded(self, note: Note) -> None:
        """``note`` is on disk, or, without a seq, had no room there."""
        self._tell(note, -1 if note.seq else Reason.RECORD_FULL.code)

    def not_recorded(self, note: Note) -> None:
        """The disk did not take it."""
        self._tell(note, Reason.LEDGER_UNAVAILABLE.code)

    def gone(self, channel: Channel) -> None:
        """Who asked has left."""
        self._waiting = {id: waiting for id, waiting in self._waiting.items() if waiting[0] is not channel}

    def _tell(self, note: Note, reason: int) -> None:
        channel, ref = self._waiting.pop(note.id, (None, 0))
        if channel is not None:
            channel.send(DeedNoted(ref, note.seq, reason))
