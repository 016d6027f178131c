"""What the owner's pages and the steward say to each other about who at home may reach a device.

Types only; see gateway.ipc.steward.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from gateway.ipc.messages import Message
from gateway.ipc.steward import Address, Name, Token
from gateway.registry import LanHost


class AskLan(Message, frozen=True, array_like=True):
    """Who at home may reach ``device``, and who could be let in? The owner's to ask. Answered by a Lan."""

    ref: int
    token: Token
    device: Name


class LanRow(Message, frozen=True, array_like=True):
    """A machine at home, by its hardware address, or "anyone". ``name``, ``address``: of its lease, or empty."""

    host: str
    name: str
    address: str
    allowed: bool


class Lan(Message, frozen=True, array_like=True):
    """ "anyone" first; ``shut``: the settings let nobody at home reach any device."""

    ref: int
    rows: tuple[LanRow, ...]
    shut: bool


class DecideLan(Message, frozen=True, array_like=True):
    """The machine ``host`` may open connections to ``device``, or may not any more. Answered by a LanDone."""

    ref: int
    token: Token
    address: Address
    device: Name
    host: Annotated[LanHost, Meta(max_length=17)]
    allow: bool


class LanDone(Message, frozen=True, array_like=True):
    """``error``: why it was not done, in words, or empty; ``unrecorded``, ``remark``: see ``gateway.lanaccess.Done``."""

    ref: int
    error: str
    unrecorded: str = ""
    remark: str = ""


ToLan = AskLan | DecideLan
FromLan = Lan | LanDone
