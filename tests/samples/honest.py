"""An honest day of three realistic devices, message by message, and what it is charged: the figures of docs/benchmarks.md.

python3 -m tests.samples.honest
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.allowance import allowance
from gateway.config import Leaks
from gateway.ipc.messages import Submit
from gateway.ledger.leaks import Account, charge, total
from gateway.registry import Device, Kind
from gateway.standard.envelope import Message
from gateway.standard.judge import Judge
from gateway.standard.manifest import parse_manifest
from gateway.standard.slots import slot_start

FOLDER = Path(__file__).parent / "bits"
MIDNIGHT = 1_795_046_400  # 2026-11-19
DAY = 86_400
Sent = tuple[float, str, dict[str, Any]]  # seconds since midnight, type, payload


def at(second: float) -> str:
    return datetime.fromtimestamp(MIDNIGHT + int(second), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def thermostat(dice: random.Random) -> Iterator[Sent]:
    """A report every five minutes by its own quartz, a fault now and then."""
    for number in range(288):
        when = number * 300 + 17 + dice.random()
        yield when, "climate", {
            "measured": at(when - 1), "temperature": round(dice.gauss(20.5, 1), 1), "target": 21.0,
            "humidity": dice.randint(40, 55), "valve": 5 * dice.randint(0, 20), "mode": "comfort", "window": False,
        }  # fmt: skip
    yield 70_000.0, "fault", {"raised": at(70_000), "kind": "battery", "battery": 10}


def air_sensor(dice: random.Random) -> Iterator[Sent]:
    """A reading every minute."""
    for number in range(1440):
        when = number * 60 + 5 + dice.random()
        yield when, "air", {
            "measured": at(when), "co2": dice.randint(420, 1800), "pm25": dice.uniform(1, 30), "pm10": dice.uniform(2, 50),
            "voc": dice.randint(20, 200), "temperature": dice.gauss(21, 1), "humidity": dice.uniform(35, 60),
            "pressure": dice.uniform(100_000, 102_000),
        }  # fmt: skip


def doorbell(dice: random.Random) -> Iterator[Sent]:
    """Twelve rings, forty people who pass by, its state every hour."""
    events = [(dice.uniform(25_000, 80_000), "button") for _ in range(12)]
    events += [(dice.uniform(20_000, 84_000), "motion") for _ in range(40)]
    for when, kind in events:
        yield when, "event", {"happened": at(when), "kind": kind, "seconds": dice.randint(1, 40)}
    for hour in range(24):
        when = hour * 3600 + 30.0
        yield when, "state", {"measured": at(when), "battery": 80, "signal": -65, "muted": False}


DEVICES = {"thermostat": thermostat, "air-sensor": air_sensor, "doorbell": doorbell}


@dataclass(frozen=True)
class Charged:
    """An honest day: ``values`` and ``timing`` in bits, ``refused`` messages."""

    messages: int
    values: int
    timing: float
    refused: int

    @property
    def bits(self) -> float:
        return self.values + self.timing


def a_day(name: str, settings: Leaks, seed: int = 7) -> Charged:
    """Judged and charged as the door and the ledger do it."""
    manifest = parse_manifest((FOLDER / f"{name}.mud.json").read_bytes())
    judge = Judge(manifest)
    device = Device(id="one", name="One", kind=Kind.STANDARD, mac="02:00:00:00:00:01")
    vendor = {"name": manifest.vendor.name, "hosts": list(manifest.hosts)}
    account: Account = {}
    refused = number = 0
    for second, type_, payload in sorted(DEVICES[name](random.Random(seed)), key=lambda sent: sent[0]):
        number += 1
        declared = manifest.messages[type_]
        allowed = allowance(settings, device, declared.rate)
        body = json.dumps({"ce": 1, "type": type_, "vendor": vendor, "payload": payload}).encode()
        message: Message = judge.from_device(declared.host, type_, body)
        received = int((MIDNIGHT + second) * 10**9)
        bits = judge.bits(message, slot_start(received, allowed.slot_ms) // 10**9, paced=allowed.paced)
        submit = Submit(
            number, str(number), device.id, "", declared.host, type_, received, body, b"", 0,
            bits, allowed.budget, allowed.slot_ms, allowed.paced,
        )  # fmt: skip
        refused += not charge(account, submit)
    values = sum(spent.bits for spent in account.values())
    charged = Charged(number, values, sum(spent.presence for spent in account.values()), refused)
    assert total(account) >= charged.bits - 1e-3
    return charged


def main() -> None:
    print("| device | slots, s | messages a day | bits each, values | bits each, timing | bits a day |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in DEVICES:
        for seconds in (1.0, 60.0):
            day = a_day(name, Leaks(slot_seconds=seconds))
            each, timing = day.values / day.messages, day.timing / day.messages
            print(f"| {name} | {seconds:g} | {day.messages} | {each:.1f} | {timing:.1f} | {day.bits:,.0f} |")


if __name__ == "__main__":
    main()
