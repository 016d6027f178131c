"""What the owner's pages and the steward say to each other about notices. Types only."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from gateway.ipc.messages import Message

MOST_IDS = 256
Token = Annotated[str, Meta(max_length=64)]
NoticeId = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]


class AskNotices(Message, frozen=True, array_like=True):
    """The few things that matter, newest first. ``unseen``: only what the owner has not seen. Answered by a NoticeList."""

    ref: int
    token: Token
    limit: Annotated[int, Meta(ge=1, le=MOST_IDS)]
    unseen: bool = False


class NoticeRow(Message, frozen=True, array_like=True):
    """``id`` stays while the matter is the same; ``at``: seconds since the epoch; ``remedy``: in words for a terminal."""

    id: str
    kind: str
    device: str
    at: int
    words: str
    remedy: str
    seen: bool


class NoticeList(Message, frozen=True, array_like=True):
    """``more``: how many are beyond the limit; ``unseen``: how many of all the owner has not seen."""

    ref: int
    rows: tuple[NoticeRow, ...]
    more: int
    unseen: int


class SeeNotices(Message, frozen=True, array_like=True):
    """The owner has seen these. Answered by a Done, once it is on record."""

    ref: int
    token: Token
    address: Annotated[str, Meta(max_length=64)]
    ids: Annotated[tuple[NoticeId, ...], Meta(min_length=1, max_length=MOST_IDS)]
