"""What the owner's pages and the steward say to each other about looks at vendors' manifests. Types only; see
gateway.ipc.steward. No question says where to look: it repeats the address that the owner was shown, so that another that the
device names meanwhile is not asked.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gateway.ipc.messages import Message
from gateway.ipc.steward import Address, Name, Token

State = Literal["", "looking", "failed", "waits", "applied", "same", "local-only"]


class StartLook(Message, frozen=True, array_like=True):
    """Look once for ``device``'s manifest at ``url``, which the owner has seen. Answered by a Done once that is on record."""

    ref: int
    token: Token
    address: Address
    device: Name
    url: Annotated[str, Meta(max_length=512)]


class AskLooks(Message, frozen=True, array_like=True):
    """Where manifests can be looked for, and what came of the looks. ``device``: empty for all. Answered by a Looks."""

    ref: int
    token: Token
    device: Name = ""


class LookRow(Message, frozen=True, array_like=True):
    """One device. ``url``: the address as it stands, ``host``: its host; both empty where nobody names one.

    ``announced``: the device chose it; ``unfit``: why nothing is fetched there, in words, or empty. ``state`` of the last look of
    these pages, ``at``: when that ended or began, ns since the epoch; ``words``: what came, ``note``: what to know besides.
    """

    device: str
    url: str
    host: str
    announced: bool
    unfit: str
    state: State
    at: int
    words: str
    note: str


class Looks(Message, frozen=True, array_like=True):
    """In the registry's order. ``more``: devices that found no room."""

    ref: int
    rows: tuple[LookRow, ...]
    more: int = 0


ToLooking = StartLook | AskLooks
