"""What a device may hide in a day and when its messages may leave: the settings, and what its owner said of it. Pure.

It must never allow more than the owner said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.config import Leaks
from gateway.registry import Device
from gateway.standard.manifest import Direction, Manifest, MessageType
from gateway.standard.slots import a_day, may_pace, slot_ms


@dataclass(frozen=True, slots=True)
class Allowance:
    """``budget``: bits a day; ``slot_ms``: in which time is charged; ``paced``: whether messages leave at its end only."""

    budget: int
    slot_ms: int
    paced: bool


def allowance(settings: Leaks, device: Device, rate: int) -> Allowance:
    """For a message type of ``rate`` messages an hour."""
    seconds, paced = settings.slot_seconds, settings.pacing
    if device.slot_seconds is not None:
        paced = device.slot_seconds > 0
        seconds = device.slot_seconds or seconds
    budget = settings.bits_per_day if device.bits_per_day is None else device.bits_per_day
    return Allowance(budget, slot_ms(rate, seconds), paced and may_pace(rate))


def sending(manifest: Manifest) -> Iterator[MessageType]:
    """The message types that a device may send."""
    return (declared for declared in manifest.messages.values() if declared.direction is Direction.FROM_DEVICE)


def most_of(declared: MessageType, allowed: Allowance) -> float:
    """Bits that one message type could hide in a day, sent as often as declared and as much as possible each time."""
    from gateway.standard.explain import fields  # here: a door has no use for it

    return sum(field.most for field in fields(declared.schema)) * declared.rate * 24 + a_day(declared.rate, allowed.slot_ms)


def most_a_day(leaks: Leaks, device: Device, manifest: Manifest) -> int:
    """The same of all that a device may send."""
    return round(sum(most_of(declared, allowance(leaks, device, declared.rate)) for declared in sending(manifest)))
