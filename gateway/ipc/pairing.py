"""What the owner's pages and the steward say to each other about enrolment by the label's code. Types only.

A code travels in a StartPairing and nowhere else: no answer, no record and no log line holds it.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from gateway.ipc.messages import Message

Token = Annotated[str, Meta(max_length=64)]
DeviceName = Annotated[str, Meta(max_length=64)]


class StartPairing(Message, frozen=True, array_like=True):
    """The owner typed the code on an admitted device's label. Answered by a Done, once it is on record; then it waits."""

    ref: int
    token: Token
    address: Annotated[str, Meta(max_length=64)]
    device: DeviceName
    code: Annotated[str, Meta(max_length=128)]
    seconds: Annotated[int, Meta(ge=1, le=86_400)]


class StopPairing(Message, frozen=True, array_like=True):
    """The owner waits no more, and the code is forgotten. Answered by a Done."""

    ref: int
    token: Token
    device: DeviceName


class AskPairings(Message, frozen=True, array_like=True):
    """Which devices are waited for, and how it ended with the others. Answered by a Pairings."""

    ref: int
    token: Token


class PairingRow(Message, frozen=True, array_like=True):
    """``state``: "waiting", "enrolled", "failed" or "stopped"; ``ends``: when the wait does or did, ns since the epoch.

    ``asked``: how often the device asked and did not go on; ``words``: what the signer said of a failure.
    """

    device: str
    state: str
    ends: int
    asked: int
    words: str


class Pairings(Message, frozen=True, array_like=True):
    """The latest first."""

    ref: int
    rows: tuple[PairingRow, ...]
