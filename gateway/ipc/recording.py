"""What the Record page and the steward say to each other: search, a file in pieces, the chain, erasing. Types only."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gateway.ipc.messages import Message
from gateway.ipc.steward import Address, MessageRow, Name, Token

Typed = Annotated[str, Meta(max_length=256)]
Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]
NEWEST = 2**63 - 1


class Sought(Message, frozen=True, array_like=True):
    """Which records are meant, as a person typed it (gateway/ledger/asked.py); empty: anything."""

    kind: Literal["message", "refusal"] = "message"
    device: Name = ""
    vendor: Typed = ""
    host: Typed = ""
    type: Typed = ""
    field: Typed = ""
    text: Typed = ""
    since: Annotated[str, Meta(max_length=32)] = ""
    until: Annotated[str, Meta(max_length=32)] = ""


class AskFound(Message, frozen=True, array_like=True):
    """The newest records that are meant with a seq below ``before``. Answered by a Found."""

    ref: int
    token: Token
    sought: Sought
    before: Seq = NEWEST


class Found(Message, frozen=True, array_like=True):
    """Newest first. ``older``: below which seq to go on, 0: nothing is left. ``error``: what was typed wrong, in words.

    Few rows, or none, and yet an ``older``: one question looks at a bounded number of records.
    """

    ref: int
    rows: tuple[MessageRow, ...] = ()
    older: int = 0
    error: str = ""


class AskPiece(Message, frozen=True, array_like=True):
    """Some more of a file with all records that are meant, oldest first. The owner's alone. Answered by a Piece.

    ``after``: seq behind which to go on; ``part``: the record of which ``offset`` bytes were told already, 0: of none.
    """

    ref: int
    token: Token
    sought: Sought
    format: Literal["jsonl", "csv"]
    after: Seq = 0
    part: Seq = 0
    offset: Seq = 0


class Piece(Message, frozen=True, array_like=True):
    """``after``, ``part``, ``offset``: of the next question; ``last``: there is none. ``error``: in words."""

    ref: int
    content: bytes = b""
    after: int = 0
    part: int = 0
    offset: int = 0
    last: bool = True
    error: str = ""


class AskChain(Message, frozen=True, array_like=True):
    """How the chain stands. ``check``: begin to walk all of it, which only the owner may. Answered by a Chain."""

    ref: int
    token: Token
    check: bool = False


class Chain(Message, frozen=True, array_like=True):
    """``head``: hex. ``checking``: a walk is under way; what was found counts from ``checked`` on (seconds; 0: never).

    ``broken``: the first record that does not hold, 0 where all do, and ``why``; ``error``: why the walk did not end.
    ``anchor``, ``anchored_at``: the newest head that root keeps, and when it was kept (seconds); ``proved``: the newest that
    was found in its place.
    """

    ref: int
    seq: int
    head: str
    anchor: int = 0
    anchored_at: int = 0
    checking: bool = False
    checked: int = 0
    records: int = 0
    since: int = 0
    removed: int = 0
    erased: int = 0
    proved: int = 0
    broken: int = 0
    why: str = ""
    error: str = ""
    erasing: str = ""  # how the last erasing went, in words


class Erase(Message, frozen=True, array_like=True):
    """What ``device`` said, for good; ``before``: only what is older, as typed. The owner's alone. Answered by an Erasing."""

    ref: int
    token: Token
    address: Address
    device: Name
    before: Annotated[str, Meta(max_length=32)] = ""


class Erasing(Message, frozen=True, array_like=True):
    """``words``: how it went, or that it goes on; ``error``: why it was not done."""

    ref: int
    words: str = ""
    error: str = ""


ToRecord = AskFound | AskPiece | AskChain | Erase
FromRecord = Found | Piece | Chain | Erasing
