"""Looks at vendors' manifests, at the owner's word: on record before the courier is told, and again when it has answered.

It must never hand a look to the courier that is not on disk, nor try one again by itself: each is the owner's one click.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.ipc.channel import Channel
from gateway.ipc.messages import AskFetch, Fetch, FetchAnswer, Fetched
from gateway.ledger.batch import Note
from gateway.reasons import Reason

MOST_AT_ONCE = 8
MOST_URL = 1024  # characters on record; what is longer is refused by the courier, and by the command before
ASKED, CAME = "fetch", "fetched"


@dataclass(slots=True)
class _Look:
    channel: Channel
    asked: AskFetch
    host: str
    sent: bool = False
    answered: bool = False


class Fetches:
    """The looks under way, by id. Its methods return what to record, or send."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}

    def ask(self, channel: Channel, asked: AskFetch) -> Note | None:
        """The owner's wish, to be recorded; None where there are too many, which he then has been told."""
        if len(self._looks) >= MOST_AT_ONCE:
            _tell(channel, asked.ref, Reason.LEDGER_UNAVAILABLE, "too many looks at once; wait for the others")
            return None
        id = secrets.token_hex(16)
        try:
            host = urlsplit(asked.url).hostname or ""
        except ValueError:
            host = ""
        self._looks[id] = _Look(channel, asked, host[:256])
        return Note(ASKED, id, asked.device, host[:256], asked.kind, outgoing=asked.url[:MOST_URL].encode())

    def came(self, fetched: Fetched) -> Note | None:
        """The courier's answer, to be recorded before the owner gets it; None for one that nobody waits for."""
        look = self._looks.get(fetched.id)
        if look is None or look.answered:
            return None
        look.answered = True
        return Note(
            CAME, fetched.id, look.asked.device, look.host, look.asked.kind,
            original=fetched.body, status=fetched.status, reason=fetched.reason, detail=fetched.detail,
        )  # fmt: skip

    def recorded(self, note: Note, courier: Channel | None) -> None:
        """``note`` is on disk (or, without a seq, had no room there): go on with its look."""
        look = self._looks.get(note.id)
        if look is None:
            return
        if not note.seq:
            self._end(note.id, Reason.RECORD_FULL, Reason.RECORD_FULL.words)
        elif note.kind == CAME:
            del self._looks[note.id]
            look.channel.send(FetchAnswer(look.asked.ref, note.status, note.reason, note.detail, note.original))
        elif courier is None:
            self._end(note.id, Reason.VENDOR_UNREACHABLE, "the courier is not running; nothing was fetched")
        else:
            look.sent = True
            courier.send(Fetch(note.id, look.asked.device, look.asked.url, look.asked.kind))

    def not_recorded(self, note: Note) -> None:
        """The disk did not take ``note``."""
        self._end(note.id, Reason.LEDGER_UNAVAILABLE, Reason.LEDGER_UNAVAILABLE.words)

    def courier_lost(self) -> None:
        """What was under way has no answer any more."""
        for id in list(self._looks):
            self._end(id, Reason.VENDOR_UNREACHABLE, "the courier ended before it had an answer; fetch again")

    def gone(self, channel: Channel) -> None:
        """Who asked has left: what has not left goes nowhere, and what has is still recorded when it comes."""
        self._looks = {id: look for id, look in self._looks.items() if look.channel is not channel or look.sent}

    def _end(self, id: str, reason: Reason, detail: str) -> None:
        look = self._looks.pop(id, None)
        if look is not None:
            _tell(look.channel, look.asked.ref, reason, detail)


def _tell(channel: Channel, ref: int, reason: Reason, detail: str) -> None:
    channel.send(FetchAnswer(ref, 0, reason.code, detail, b""))
