"""What the record says of vendors, as the ledger's counting tells it to the steward, the command and the pages. Types only.

Nothing in it names a device, a place, a value or a moment of a device's; whoever adds a field here keeps it so.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from gateway.ipc.messages import Message


class AskScores(Message, frozen=True, array_like=True):
    """The record, vendor by vendor. Answered by a Scores."""

    ref: int
    token: Annotated[str, Meta(max_length=64)]


class TypeSeen(Message, frozen=True, array_like=True):
    """One message type. Pairs are a member's pointer (``/payload/…``, ``-`` for any item of a list) and in how many messages."""

    type: str
    messages: int
    sent: tuple[tuple[str, int], ...]
    withheld: tuple[tuple[str, int], ...]


class Denied(Message, frozen=True, array_like=True):
    """Refusals of one sort. ``label``: of the standard's list, empty where the vendor said none of it; ``needs``: as above."""

    label: str
    count: int
    needs: tuple[tuple[str, int], ...]


class VendorSeen(Message, frozen=True, array_like=True):
    """One vendor's record.

    ``looked_at``: its newest messages, in which types, hosts, answers and refusals were counted, the oldest of them from day
    ``first``; ``whole``: there are no more of them in these days. ``tried``: (reason's label, count) of its devices, since day
    ``tried_first`` (0: nobody noted when). ``days``: (day, messages, bits) of its devices of today, every message counted.
    Days are days since the epoch.
    """

    name: str
    looked_at: int
    first: int
    whole: bool
    hosts: tuple[str, ...]
    types: tuple[TypeSeen, ...]
    answered: int
    denied: tuple[Denied, ...]
    odd: int
    tried: tuple[tuple[str, int], ...]
    tried_first: int
    days: tuple[tuple[int, int, int], ...]


class Scores(Message, frozen=True, array_like=True):
    """``since``: the first day that counts; ``oldest``: the record's own first day, where that is later.

    ``more``: some of it was beyond the bounds.
    """

    ref: int
    since: int
    oldest: int
    vendors: tuple[VendorSeen, ...]
    more: bool
