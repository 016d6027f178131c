"""What the settings and the owner say of a device, and what its type's rate leaves of it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.allowance import Allowance, allowance
from gateway.config import Leaks
from gateway.registry import Device, Kind


@pytest.mark.parametrize(
    ("said", "rate", "allowed"),
    [
        ({}, 360, Allowance(262_144, 1000, True)),
        ({}, 7200, Allowance(262_144, 500, True)),
        ({}, 3_600_000, Allowance(262_144, 100, False)),
        ({"bits_per_day": 0}, 360, Allowance(0, 1000, True)),
        ({"bits_per_day": 5000, "slot_seconds": 2.5}, 360, Allowance(5000, 2500, True)),
        ({"slot_seconds": 60.0}, 360, Allowance(262_144, 10_000, True)),
        ({"slot_seconds": 0.0}, 360, Allowance(262_144, 1000, False)),
    ],
)
def test_the_owner_s_word_goes_before_the_settings(said: dict[str, Any], rate: int, allowed: Allowance) -> None:
    device = Device(id="plug", name="Plug", kind=Kind.STANDARD, mac="02:00:00:00:00:01", **said)
    assert allowance(Leaks(), device, rate) == allowed


def test_pacing_can_be_off_for_all_and_on_for_one() -> None:
    settings = Leaks(pacing=False, slot_seconds=5)
    plain = Device(id="plug", name="Plug", kind=Kind.STANDARD, mac="02:00:00:00:00:01")
    assert allowance(settings, plain, 360) == Allowance(262_144, 5000, False)
    chosen = Device(id="bell", name="Bell", kind=Kind.STANDARD, mac="02:00:00:00:00:02", slot_seconds=1.0)
    assert allowance(settings, chosen, 360) == Allowance(262_144, 1000, True)
