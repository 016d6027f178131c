"""Software that devices take, on record before its first byte and again at its end.

It must never say "accepted" of a handout that is not on disk, nor let one device or one broken door fill the record with them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from gateway.ipc.channel import Channel
from gateway.ipc.handouts import HandedOut, Handout
from gateway.ipc.messages import Outcome
from gateway.ledger.batch import Note
from gateway.reasons import Reason

BEGUN, ENDED = "handout", "handed"
TYPE = "firmware"
MOST_OPEN = 64  # of one door
MOST_PER_HOUR = 1024  # of all devices together: an intruder in a door, who can make up devices, fills nothing
MOST_PER_DEVICE = 16  # in an hour: one that breaks off and begins again is no more than that
HOUR = 3600.0
MOST_NOTICE = 1024  # bytes


@dataclass(slots=True)
class _Open:
    channel: Channel
    handout: Handout
    recorded: bool = False


class Handouts:
    """Those under way, by id. Its methods return what to record, or send."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._open: dict[str, _Open] = {}
        self._clock = clock
        self._since = clock()
        self._begun: Counter[str] = Counter()

    def begin(self, channel: Channel, handout: Handout) -> Note | None:
        """One to be recorded; None where it is not taken, which its door then has been told."""
        now = self._clock()
        if now - self._since >= HOUR:
            self._since, self._begun = now, Counter()
        device = handout.device[:64]
        fits = 0 < len(handout.id) <= 64 and len(handout.notice) <= MOST_NOTICE and handout.id not in self._open
        many = self._begun[device] >= MOST_PER_DEVICE or self._begun.total() >= MOST_PER_HOUR
        full = sum(open.channel is channel for open in self._open.values()) >= MOST_OPEN
        if not fits or many or full:
            _tell(channel, handout.ref, "refused", Reason.FIRMWARE_RATE if fits else Reason.LEDGER_UNAVAILABLE)
            return None
        self._begun[device] += 1
        self._open[handout.id] = _Open(channel, handout)
        return Note(BEGUN, handout.id, device, handout.host[:256], TYPE, outgoing=handout.notice)

    def end(self, channel: Channel, ended: HandedOut) -> Note | None:
        """The end of one, to be recorded; None for one that this door did not begin."""
        open = self._open.get(ended.id)
        if open is None or open.channel is not channel or not open.recorded:
            return None
        del self._open[ended.id]
        told = msgspec.json.encode({"sent": ended.sent, "whole": ended.whole})
        device, host = open.handout.device[:64], open.handout.host[:256]
        return Note(ENDED, ended.id, device, host, TYPE, original=told, status=200 if ended.whole else 0)

    def recorded(self, note: Note) -> None:
        """``note`` is on disk (or, without a seq, had no room there): its door may go on."""
        open = self._open.get(note.id) if note.kind == BEGUN else None
        if open is None:
            return
        if note.seq:
            open.recorded = True
            _tell(open.channel, open.handout.ref, "accepted")
        else:
            self._refuse(note.id, Reason.RECORD_FULL)

    def not_recorded(self, note: Note) -> None:
        """The disk did not take ``note``."""
        if note.kind == BEGUN and note.id in self._open:
            self._refuse(note.id, Reason.LEDGER_UNAVAILABLE)

    def gone(self, channel: Channel) -> None:
        """A door has left: nobody will tell how its handouts ended."""
        self._open = {id: open for id, open in self._open.items() if open.channel is not channel}

    def _refuse(self, id: str, reason: Reason) -> None:
        open = self._open.pop(id)
        _tell(open.channel, open.handout.ref, "refused", reason)


def _tell(channel: Channel, ref: int, kind: str, reason: Reason | None = None) -> None:
    channel.send(Outcome(ref, kind, 0, b"", "", -1 if reason is None else reason.code))
