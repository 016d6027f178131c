"""What the owner's pages and the steward say to each other about trying a rule before it holds. Types only; see
gateway.ipc.rulebook. A try is a question: nothing is decided by it, and nothing of it goes on record.
"""

from __future__ import annotations

from typing import Literal

from gateway.ipc.messages import Message
from gateway.ipc.rulebook import Wish
from gateway.ipc.steward import Name, Token


class AskTrial(Message, frozen=True, array_like=True):
    """``add`` what is wished for, or switch the rule ``name`` ``on`` or ``off``, over the last ``days``. Answered by a Trial."""

    ref: int
    token: Token
    act: Literal["add", "on", "off"]
    days: Literal[1, 7]
    name: Name = ""
    wish: Wish | None = None


class Difference(Message, frozen=True, array_like=True):
    """At one place of one type. ``pointer``: empty for the message as a whole; ``examples``: (now, then), JSON of fields."""

    device: str
    type: str
    pointer: str
    messages: int
    examples: tuple[tuple[str, str], ...]
    refused: bool  # whether these messages would not leave


class Trial(Message, frozen=True, array_like=True):
    """``since``: ns since the epoch, how far back was looked; ``cut``: less far than was asked, for it took too long;
    ``skipped``: messages that today's manifests do not admit; ``more``: places that found no room; ``error``: why nothing was
    tried, in words."""

    ref: int
    rule: str = ""  # in words
    messages: int = 0
    skipped: int = 0
    since: int = 0
    cut: bool = False
    bits_now: int = 0
    bits_then: int = 0
    differences: tuple[Difference, ...] = ()
    more: int = 0
    error: str = ""
