"""What the owner's pages and the steward say to each other about rules. Types only; see gateway.ipc.steward.

No message holds a rule's text: a wish names a device's declared field and one of the choices for it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gateway.ipc.messages import Message
from gateway.ipc.steward import Address, Name, Token

Said = Annotated[str, Meta(max_length=512)]


class Wish(Message, frozen=True, array_like=True):
    """``do`` at ``pointer`` in messages of ``type``; ``everywhere``: for all devices of the vendor; ``how``: JSON, or empty."""

    do: Literal["withhold", "coarsen", "replace", "allow"]
    device: Name
    everywhere: bool
    type: Name
    pointer: Said
    how: Said


class DecideRule(Message, frozen=True, array_like=True):
    """``add`` what is wished for; ``remove``, ``off``, ``on``: the rule ``name``. Answered by a Done."""

    ref: int
    token: Token
    address: Address
    act: Literal["add", "remove", "off", "on"]
    name: Name = ""
    wish: Wish | None = None


class AskRules(Message, frozen=True, array_like=True):
    """All rules on disk. Answered by a Rules."""

    ref: int
    token: Token


class RuleRow(Message, frozen=True, array_like=True):
    """``words``: what it does; ``holds``: not switched off; ``ours``: made on pages or by the command; ``doubts`` in words."""

    name: str
    words: str
    file: str
    line: int
    note: str
    holds: bool
    ours: bool
    doubts: tuple[str, ...]


class Rules(Message, frozen=True, array_like=True):
    """In the order in which they are asked. ``wrong``: why what is on disk is not in force, or messages that are refused for it;
    ``more``: how many rules did not find room."""

    ref: int
    rows: tuple[RuleRow, ...]
    wrong: tuple[str, ...]
    more: int


class AskRulings(Message, frozen=True, array_like=True):
    """Which rule decided what in a message on record. Answered by a Rulings."""

    ref: int
    token: Token
    id: Name


class RulingRow(Message, frozen=True, array_like=True):
    """``at``: pointers; none: the message as a whole."""

    rule: str
    do: str
    at: tuple[str, ...]


class Rulings(Message, frozen=True, array_like=True):
    """As the door wrote them down."""

    ref: int
    rows: tuple[RulingRow, ...]


ToRulebook = DecideRule | AskRules | AskRulings
FromRulebook = Rules | Rulings
