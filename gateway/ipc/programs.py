"""What the pages and the steward say to each other about programs: their tokens, and a monitor's figures. Types only.

A program's token stands where a session's does in every other question; the steward tells them apart by their beginning.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gateway.ipc.messages import Message

PREFIX = "mudroom_"  # of every program's token, so that people and secret scanners know one where they see it
Text = Annotated[str, Meta(max_length=64)]


class Bearer(Message, frozen=True, array_like=True):
    """May this program's token, sent from ``address``, do anything? Answered by a Borne."""

    ref: int
    token: Text
    address: Text


class Borne(Message, frozen=True, array_like=True):
    """``role``: "owner", "household", empty where it is nobody's; ``wait``: seconds until another is heard from that address."""

    ref: int
    role: str
    wait: int


class MakeToken(Message, frozen=True, array_like=True):
    """A token for a program. ``days``: 0: it has no end. Answered by a Made, to the owner's session alone."""

    ref: int
    token: Text
    address: Text
    name: Text
    may: Literal["read", "decide"]
    days: Annotated[int, Meta(ge=0, le=3650)]


class Made(Message, frozen=True, array_like=True):
    """``secret``: the new token, told this once; ``error``: why there is none, in words."""

    ref: int
    secret: str
    error: str


class RevokeToken(Message, frozen=True, array_like=True):
    """It is worth nothing from now on. Answered by a Done, to the owner's session alone."""

    ref: int
    token: Text
    address: Text
    name: Text


class AskTokens(Message, frozen=True, array_like=True):
    """All of them, without what they are. Answered by a TokenList, to the owner's session alone."""

    ref: int
    token: Text


class TokenRow(Message, frozen=True, array_like=True):
    """``may``: "read" or "decide"; ``made``, ``ends``: seconds since the epoch, 0: no end; ``used``: a day, empty: never."""

    name: str
    may: str
    made: int
    ends: int
    used: str


class TokenList(Message, frozen=True, array_like=True):
    """In the order in which they were made."""

    ref: int
    rows: tuple[TokenRow, ...]


class AskFigures(Message, frozen=True, array_like=True):
    """What a monitor reads, each so many seconds. Answered by a Figures."""

    ref: int
    token: Text


class DeviceFigures(Message, frozen=True, array_like=True):
    """Of one admitted device, or of all others together (``device`` is empty). ``drops``: by a reason's label.

    ``messages``, ``refusals``, ``bits``: of the ledger's day; ``waiting``: messages that their vendors have not taken yet.
    """

    device: str
    messages: int = 0
    refusals: int = 0
    waiting: int = 0
    bits: int = 0
    drops: tuple[tuple[str, int], ...] = ()


class Figures(Message, frozen=True, array_like=True):
    """``entries``: ever recorded; ``kept``: of them, those that are still there; ``size``: bytes of the record's files;
    ``oldest``: ns since the epoch; ``ready``: parts that could be asked, and whether they do their work."""

    ref: int
    devices: tuple[DeviceFigures, ...]
    entries: int
    kept: int
    size: int
    oldest: int
    ready: tuple[tuple[str, bool], ...]
