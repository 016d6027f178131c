"""The guard of a bridge port: a MAC lives on one port, first come, and a port has a rate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.config import Config, Steering
from gateway.steering import layout
from gateway.steering.loader import Guard
from tests.ebpf import run

HERE, ELSEWHERE = 1, 99  # a test run comes from the loopback interface, number 1


@pytest.fixture
def guard() -> Iterator[Guard]:
    loaded = Guard()
    loaded.settings.set(bytes(4), layout.guard_settings(run.config(), run.GATEWAY_MAC))
    for index in (HERE, ELSEWHERE):
        loaded.ports.set(index.to_bytes(4, "little"), bytes(layout.PORT.size))
    yield loaded
    loaded.close()


def frame(mac: str) -> bytes:
    return bytes.fromhex((run.GATEWAY_MAC + mac).replace(":", "")) + b"\x08\x00" + bytes(46)


def seat(guard: Guard, mac: str) -> int | None:
    value = guard.seats.get(layout.mac_number(mac).to_bytes(8, "little"))
    return layout.SEAT.unpack(value)[1] if value else None


def dropped(guard: Guard) -> tuple[int, int]:
    """Packets dropped here for their MAC and for the rate."""
    value = layout.PORT.unpack(guard.ports.get(HERE.to_bytes(4, "little")) or b"")
    return value[3], value[5]


def passes(guard: Guard, mac: str) -> bool:
    return run.Runner(guard.ingress)(frame(mac)).passed


def test_the_first_port_keeps_a_mac(guard: Guard) -> None:
    mine, others = run.STANDARD[0], run.SECOND[0]
    assert passes(guard, mine)
    assert passes(guard, mine)
    assert seat(guard, mine) == HERE
    guard.seats.set(layout.mac_number(others).to_bytes(8, "little"), layout.SEAT.pack(0, ELSEWHERE, 0))
    assert not passes(guard, others)
    assert seat(guard, others) == ELSEWHERE
    assert dropped(guard) == (1, 0)
    guard.seats.delete(layout.mac_number(others).to_bytes(8, "little"))  # what user space does when that port's link is gone
    assert passes(guard, others)


@pytest.mark.parametrize("mac", [run.GATEWAY_MAC, "00:00:00:00:00:00", "01:00:5e:00:00:01"])
def test_some_macs_are_no_device_s(guard: Guard, mac: str) -> None:
    assert not passes(guard, mac)
    assert seat(guard, mac) is None


def test_a_port_seats_so_many_and_cleared_seats_count_no_more(guard: Guard) -> None:
    macs = [f"02:00:00:01:00:{number:02x}" for number in range(layout.SEATS_PER_PORT + 1)]
    assert [passes(guard, mac) for mac in macs] == [True] * layout.SEATS_PER_PORT + [False]
    guard.seats.delete(layout.mac_number(macs[0]).to_bytes(8, "little"))
    guard.freed.set(HERE.to_bytes(4, "little"), (1).to_bytes(4, "little"))
    assert passes(guard, macs[-1])


def test_a_port_has_a_rate_whatever_macs_it_shows(guard: Guard) -> None:
    slow = Config(steering=Steering(packets_per_second=1, packets_burst=2))
    guard.settings.set(bytes(4), layout.guard_settings(slow, run.GATEWAY_MAC))
    seen = [passes(guard, f"02:00:00:01:00:{number:02x}") for number in range(6)]
    assert seen == [True] * 4 + [False] * 2
    assert dropped(guard) == (0, 2)


def test_without_settings_or_on_a_strange_port_nothing_passes(guard: Guard) -> None:
    guard.settings.set(bytes(4), bytes(layout.GUARD_SETTINGS.size))
    assert not passes(guard, run.STANDARD[0])
    guard.settings.set(bytes(4), layout.guard_settings(run.config(), run.GATEWAY_MAC))
    guard.ports.delete(HERE.to_bytes(4, "little"))
    assert not passes(guard, run.STANDARD[0])
