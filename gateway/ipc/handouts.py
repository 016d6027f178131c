"""What door and ledger say to each other of software that a device takes. Types only, as in ``messages``."""

from __future__ import annotations

from gateway.ipc.messages import Message


class Handout(Message, frozen=True, array_like=True):
    """A device takes the software that its owner offers it, to be recorded before its first byte. Answered by one Outcome:
    "accepted" once it is on disk, or "refused"."""

    ref: int
    id: str
    device: str
    host: str  # by whose name the device asked
    notice: bytes  # what is handed out: version, size, digest and title (JSON)
    wait_ms: int  # how long the door waits for the record; the same for all that it sends


class HandedOut(Message, frozen=True, array_like=True):
    """The end of a Handout with this ``id``; no answer. ``sent``: bytes; ``whole``: whether all of it left for the device."""

    id: str
    sent: int
    whole: bool
