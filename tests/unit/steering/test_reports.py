"""Counters and samples on their way to the ledger."""

from __future__ import annotations

from gateway.ipc.messages import Attempt, Counters
from gateway.reasons import Reason
from gateway.steering.layout import COUNTER, REASONS, Event
from gateway.steering.reports import MOST_SAMPLES, Reports

SLOTS, CPUS = 3, 2


class Kernel:
    def __init__(self) -> None:
        self.data = bytearray(CPUS * SLOTS * REASONS * COUNTER.size)

    def count(self, cpu: int, slot: int, reason: Reason, packets: int, volume: int) -> None:
        at = ((cpu * SLOTS + slot) * REASONS + reason.code) * COUNTER.size
        old = COUNTER.unpack_from(self.data, at)
        COUNTER.pack_into(self.data, at, old[0] + packets, old[1] + volume)

    def read(self) -> bytes:
        return bytes(self.data)


def rows(reports: Reports) -> dict[tuple[str, int], tuple[int, int]]:
    found = [row for message in reports.take() if isinstance(message, Counters) for row in message.rows]
    assert len(found) == len({row[:2] for row in found})
    return {row[:2]: row[2:] for row in found}


def test_differences_over_all_cpus_are_told_once() -> None:
    kernel = Kernel()
    kernel.count(0, 1, Reason.QUIC, 5, 500)  # before we were there: another's tale
    reports = Reports(kernel.read, SLOTS)
    kernel.count(0, 1, Reason.QUIC, 1, 10)
    kernel.count(1, 1, Reason.QUIC, 2, 20)
    kernel.count(1, 0, Reason.UNKNOWN_DEVICE, 7, 70)
    reports.collect({0: "strangers", 1: "lamp"})
    assert rows(reports) == {("lamp", Reason.QUIC.code): (3, 30), ("strangers", Reason.UNKNOWN_DEVICE.code): (7, 70)}
    reports.collect({0: "strangers", 1: "lamp"})
    assert rows(reports) == {}


def test_nothing_is_lost_while_the_ledger_is_away_or_a_slot_changes_hands() -> None:
    kernel = Kernel()
    reports = Reports(kernel.read, SLOTS)
    kernel.count(0, 1, Reason.QUIC, 1, 10)
    reports.collect({1: "lamp"})
    kernel.count(0, 1, Reason.QUIC, 2, 20)
    reports.collect({1: "plug"})
    kernel.count(0, 1, Reason.QUIC, 4, 40)
    reports.collect({1: "plug"})
    assert rows(reports) == {("lamp", Reason.QUIC.code): (1, 10), ("plug", Reason.QUIC.code): (6, 60)}


def event(port: int, time: int = 0) -> Event:
    return Event(time, "02:00:00:00:00:01", 1, Reason.FOREIGN_UDP.code, "udp", "198.51.100.7", port)


def test_samples_of_the_same_are_one_row_and_their_number_is_bounded() -> None:
    reports = Reports(Kernel().read, SLOTS)
    reports.sample("lamp", event(1, 100))
    reports.sample("lamp", event(1, 300))
    for port in range(2, MOST_SAMPLES + 100):
        reports.sample("lamp", event(port))
    attempts = [message for message in reports.take() if isinstance(message, Attempt)]
    assert len(attempts) == MOST_SAMPLES
    first = attempts[0]
    assert (first.device, first.port, first.count, first.last - first.first, first.layer) == ("lamp", 1, 2, 200, "kernel")
    assert reports.take() == []
