"""What a device may hide in a day and when its messages may leave: the settings, and what its owner said of it. Pure.

It must never allow more than the owner said.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config import Leaks
from gateway.registry import Device
from gateway.standard.slots import may_pace, slot_ms


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
