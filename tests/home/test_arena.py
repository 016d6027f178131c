"""The smuggling arena: no value carries more than it is charged, and nothing else carries anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.home.arena import aside, measure
from tests.home.arena.carrier import Carrier, Group, Line, envelope, post
from tests.home.arena.forms import FORMS, REFUSED, unread
from tests.home.arena.run import DEVICE, VENDOR, Arena, adversary
from tests.home.arena.texts import TEXTS
from tests.home.arena.times import paced, there_or_not, within_the_slot
from tests.home.arena.values import VALUES
from tests.home.client import Here, eventually, mudroom

CARRIERS = (*VALUES, *TEXTS, *FORMS, *REFUSED)


@pytest.fixture(scope="module")
def arena(here: Here, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    folder: Path = tmp_path_factory.mktemp("arena")
    with adversary(here, folder):
        made = Arena(here)
        yield made
        made.mouth.close()


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.name)
def test_no_carrier_carries_more_than_it_is_charged(arena: Arena, carrier: Carrier) -> None:
    result = arena.run(carrier)
    assert result.sound, result
    if carrier in VALUES:
        # an accomplice who cannot read proves nothing
        assert result.decoded == pytest.approx(carrier.bits * result.arrived, rel=0.05), result


@pytest.mark.parametrize("way", aside.WAYS)
def test_nothing_gets_out_beside_the_messages(arena: Arena, way: str) -> None:
    assert aside.run(arena, way).sound


@pytest.mark.parametrize("carrier", [c for c in CARRIERS if not unread(c)], ids=lambda carrier: carrier.name)
def test_the_accomplice_reads_what_the_device_writes(carrier: Carrier) -> None:
    """Without a gateway between them: else "nothing decoded" would say nothing."""
    for symbol in range(min(1 << carrier.bits, 64)):
        assert carrier.read(as_written(b"".join(carrier.write(symbol).pieces))) == symbol


def as_written(request: bytes) -> Line:
    """What a vendor's host would note if the device spoke to it."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    host = next(value for name, value in headers if name.lower() == "host")
    return {"path": first.split()[1], "headers": headers, "host": host, "body": body.decode("utf-8", "surrogatepass")}


def test_luck_is_not_counted() -> None:
    for _ in range(200):
        assert measure.information(measure.secret(64, 4), measure.secret(64, 4), 4) == 0
    sent = measure.secret(64, 4)
    assert measure.information(sent, list(sent), 4) == 256
    wrong = [symbol ^ (number < 6) for number, symbol in enumerate(sent)]
    assert 0 < measure.information(sent, wrong, 1) < 40


def test_times_are_measured_with_and_without_slots(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, not claimed; but every message arrives, and what it says by being there is charged."""
    try:
        for on in (False, True):
            paced(on)
            for carry in (within_the_slot, there_or_not):
                result = carry(arena)
                with capsys.disabled():
                    print(
                        f"\n{result.name}, {'paced' if on else 'not paced'}: {result.decoded / result.sent:.2f} bits each", end=""
                    )
                assert result.group is Group.TIME
                assert result.arrived > 0
                assert result.presence > 0
    finally:
        paced(True)


def test_a_spent_budget_stops_the_device_and_nothing_more_arrives(arena: Arena, here: Here) -> None:
    def spent() -> int:
        rows = json.loads(mudroom("leaks", "--json"))
        return next(row["spent_today"] for row in rows if row["device"] == DEVICE)

    before, used = len(here.received(VENDOR)), spent()
    mudroom("devices", "budget", DEVICE, str(used + 500))
    try:
        request = post(envelope({"level": 7}, "level"), "level")
        statuses = [arena.mouth.say(request) for _ in range(60)]
        taken = sum(200 <= status < 300 for status in statuses)
        assert statuses == [204] * taken + [429] * (60 - taken)
        assert 10 < taken < 30
        assert used < spent() <= used + 500
        eventually(lambda: len(here.received(VENDOR)) == before + taken, "those that were taken arrive")
        assert here.reasons(2)["leak-budget"] == 60 - taken
        assert DEVICE in mudroom("status", check=False)
    finally:
        mudroom("devices", "budget", DEVICE, "default")
    assert arena.mouth.say(request) == 204
