"""What the owner's pages and the steward say to each other. Types only.

Everything but ``Standing``, ``Enter`` and ``Begin`` carries a session's token, and the steward answers nothing without a
good one. No message names a file, a command or an SQL statement. ``ref`` numbers a question; its answer repeats it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gateway.ipc.messages import Message
from gateway.ipc.noticing import AskNotices, NoticeList, SeeNotices
from gateway.ipc.pairing import AskPairings, Pairings, StartPairing, StopPairing
from gateway.ipc.programs import AskFigures, AskTokens, Bearer, Borne, Figures, Made, MakeToken, RevokeToken, TokenList
from gateway.ipc.scores import AskScores, Scores

Token = Annotated[str, Meta(max_length=64)]
Name = Annotated[str, Meta(max_length=64)]  # of a device: an id, or the hardware address of a stranger
Said = Annotated[str, Meta(max_length=512)]  # a password or a code
Address = Annotated[str, Meta(max_length=64)]
Limit = Annotated[int, Meta(ge=1, le=100)]


# --- who is it? -----------------------------------------------------------------------------------------------------


class Standing(Message, frozen=True, array_like=True):
    """Who holds this token? Answered by a Stands."""

    ref: int
    token: Token


class Stands(Message, frozen=True, array_like=True):
    """``role``: "owner", "household", or empty where the token is nobody's; ``begun``: whether there is an owner's password."""

    ref: int
    role: str
    begun: bool
    unseen: int = 0  # notices that the owner has not seen, as far as they were counted lately


class Begin(Message, frozen=True, array_like=True):
    """First start: the code on the console, and the owner's password from now on. Answered by an Entered."""

    ref: int
    code: Said
    password: Said
    address: Address


class Enter(Message, frozen=True, array_like=True):
    """A password, from ``address``. Answered by an Entered."""

    ref: int
    password: Said
    address: Address


class Entered(Message, frozen=True, array_like=True):
    """``token``: of a fresh session, empty where refused; ``wait``: seconds until another try is heard; ``error`` in words."""

    ref: int
    token: str
    role: str
    wait: int
    error: str


class Leave(Message, frozen=True, array_like=True):
    """The session ends. Answered by a Done."""

    ref: int
    token: Token


# --- what the owner decides -----------------------------------------------------------------------------------------


class Decide(Message, frozen=True, array_like=True):
    """One decision of the owner's. Answered by a Done, when it is on record and carried out.

    ``kind``: ``device`` is of the kind ``value`` from now on; ``approve``: the manifest that waits, whose key is ``value``,
    and ``name`` holds "unsigned" where nobody signed it, "new-signer" where another did than until now;
    ``decline``: the same, not wanted; ``admit``: the stranger with the hardware address ``value`` becomes ``device``, called
    ``name``; ``forget``; ``budget``: ``value`` bits a day or "default"; ``pace``: ``value`` seconds, "off" or "default";
    ``household``: ``value`` is the household's password, empty: it has none; ``password``: ``value`` is the owner's new one,
    ``name`` the one until now.
    """

    ref: int
    token: Token
    address: Address
    what: Literal["kind", "approve", "decline", "admit", "forget", "budget", "pace", "household", "password"]
    device: Name = ""
    value: Said = ""
    name: Annotated[str, Meta(max_length=512)] = ""


class Done(Message, frozen=True, array_like=True):
    """``error``: why it was not done, in words; empty where it was.

    ``unrecorded``: why it is not on record though it was done (it takes from devices only); empty where it is.
    """

    ref: int
    error: str
    unrecorded: str = ""


# --- what the record holds ------------------------------------------------------------------------------------------


class AskNews(Message, frozen=True, array_like=True):
    """Has anything been recorded? Answered by a News."""

    ref: int
    token: Token


class News(Message, frozen=True, array_like=True):
    """``version`` differs whenever something was recorded since the last time."""

    ref: int
    version: str


class AskMessages(Message, frozen=True, array_like=True):
    """The newest messages, or refused ones. ``device``: empty for all. Answered by a Messages."""

    ref: int
    token: Token
    device: Name
    limit: Limit
    refused: bool = False


class MessageRow(Message, frozen=True, array_like=True):
    """A message on record. Times: ns since the epoch. ``outgoing`` (``original`` of a refused one): empty where it is long."""

    id: str
    at: int
    device: str
    vendor: str
    host: str
    type: str
    state: str  # "waiting", "delivered", a reason's label
    body: bytes
    detail: str = ""
    pointers: tuple[str, ...] = ()


class Messages(Message, frozen=True, array_like=True):
    """Newest first."""

    ref: int
    rows: tuple[MessageRow, ...]


class AskMessage(Message, frozen=True, array_like=True):
    """One message whole. Answered by a Whole."""

    ref: int
    token: Token
    id: Annotated[str, Meta(max_length=64)]


class Whole(Message, frozen=True, array_like=True):
    """``row``: None where there is none; ``cut``: whether a text was too long to be shown whole. ``status``: the vendor's."""

    ref: int
    row: MessageRow | None
    received: int = 0
    original: bytes = b""
    status: int = 0
    answered: int = 0
    answer: bytes = b""
    tries: int = 0
    failure: str = ""
    cut: bool = False


class AskCounts(Message, frozen=True, array_like=True):
    """What was tried and could not, what leaks spent, and each device's newest message. Answered by a Counts."""

    ref: int
    token: Token
    device: Name = ""


class Tried(Message, frozen=True, array_like=True):
    """What one device tried, for one reason. ``places``: (protocol, destination, port, how often), the most frequent first."""

    device: str
    reason: str
    count: int
    first: int
    last: int
    places: tuple[tuple[str, str, int, int], ...] = ()
    more_places: int = 0  # that are not in ``places``
    more_count: int = 0  # how often those were noted


class Spending(Message, frozen=True, array_like=True):
    """Bits that one device's message type spent in one day (days since the epoch)."""

    day: int
    device: str
    type: str
    messages: int
    bits: int
    timing: int
    answer_bits: int


class Counts(Message, frozen=True, array_like=True):
    """``newest``: of each device, at most one."""

    ref: int
    tried: tuple[Tried, ...]
    spent: tuple[Spending, ...]
    newest: tuple[MessageRow, ...]
    left: tuple[tuple[str, int, int], ...] = ()  # of what is not in ``tried``, by reason: rows, how often
    unspent: tuple[int, int] = (0, 0)  # of what is not in ``spent``: rows, bits


class AskDeeds(Message, frozen=True, array_like=True):
    """What the owner decided, newest first. Answered by a Deeds."""

    ref: int
    token: Token
    limit: Limit


class DeedRow(Message, frozen=True, array_like=True):
    """One decision on record. ``at``: ns since the epoch; ``by``: role and address."""

    at: int
    device: str
    what: str
    by: str
    detail: str


class Deeds(Message, frozen=True, array_like=True):
    """Newest first."""

    ref: int
    rows: tuple[DeedRow, ...]


class Refusal(Message, frozen=True, array_like=True):
    """No answer. ``why``: "session" (the token is nobody's), "role" (not the owner's), "token" (no program's to decide) or what
    failed, in words."""

    ref: int
    why: str


ToSteward = (
    Standing | Begin | Enter | Leave | Decide | AskNews | AskMessages | AskMessage | AskCounts | AskDeeds
    | AskScores
    | Bearer | MakeToken | RevokeToken | AskTokens | AskFigures
    | StartPairing | StopPairing | AskPairings
    | AskNotices | SeeNotices
)  # fmt: skip
FromSteward = (
    Stands | Entered | Done | News | Messages | Whole | Counts | Deeds | Refusal
    | Borne | Made | TokenList | Figures
    | Scores
    | Pairings
    | NoticeList
)  # fmt: skip
