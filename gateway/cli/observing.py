"""What the gateway has on record of one device, gathered for the conformance kit. It reads, and must never change anything."""

from __future__ import annotations

import json
from collections import defaultdict
from hashlib import sha256

from gateway.allowance import allowance
from gateway.cli.state import State
from gateway.conformance.device import Certificate, Observed, Said, Tried, Unsaid
from gateway.ledger.reader import MessageRecord, Reader
from gateway.reasons import Reason
from gateway.registry import Device
from gateway.standard.claim import TYPE as CLAIM
from gateway.standard.explain import fields
from gateway.standard.manifest import Direction, Manifest
from gateway.standard.slots import a_day

MOST = 1000  # newest messages and refusals that are looked at: a message may be large, and the box is small
FEW = 100  # of each, where somebody looks every second
DAY = 86_400 * 10**9


def observe(state: State, device: Device, since: int, now: int) -> Observed:
    """Everything from ``since`` to ``now`` (ns since the epoch). Raises LedgerError, RegistryError."""
    home = state.registry.current()
    known = home.by_id.get(device.id, device)
    manifest = home.manifest_of(known)
    with Reader(state.config.paths.ledger) as reader:
        said, unsaid = _news(reader, device.id, since, MOST)
        # the kernel's counters have no time, its samples do
        tried = tuple(
            Tried(one.reason, f"{one.destination}{f':{one.port}' if one.port else ''}", one.count)
            for one in reader.attempts(device.id, limit=MOST)
            if one.reason is not None and one.last >= since
        )
        asked = any(one.reason in (Reason.PASS_NAMES, Reason.PASS_NAMES_FOREIGN) for one in reader.counters(device.id))
        charged = _charged(reader, device.id, since // DAY)
    return Observed(
        device.id,
        known.kind.value,
        manifest,
        since,
        now,
        said,
        unsaid,
        tried,
        tuple(Certificate(bool(one.key), one.not_after, one.revoked) for one in known.certificates),
        charged,
        {} if manifest is None else _most(state, known, manifest),
        allowance(state.config.leaks, known, 1).budget,
        int(state.config.door.answer_wait_seconds * 10**9),
        asked,
    )


def news(state: State, device: Device, since: int) -> list[Said | Unsaid]:
    """The newest messages and refusals from ``since`` on, oldest first."""
    with Reader(state.config.paths.ledger) as reader:
        said, unsaid = _news(reader, device.id, since, FEW)
    return sorted((*said, *unsaid), key=lambda one: one.received)


def _news(reader: Reader, device: str, since: int, most: int) -> tuple[tuple[Said, ...], tuple[Unsaid, ...]]:
    """Oldest first."""
    taken = reader.messages(most, device=device)
    said = [_said(one) for one in taken if one.message.received >= since and one.message.type != CLAIM]
    unsaid = [
        Unsaid(one.type, one.received, sha256(one.original).digest(), one.reason, one.detail)
        for one in reader.refusals(most, device=device)
        if one.received >= since and one.reason is not None
    ]
    return tuple(reversed(said)), tuple(reversed(unsaid))


def _said(record: MessageRecord) -> Said:
    message = record.message
    payload = json.loads(message.outgoing)["payload"]
    return Said(
        message.type, message.received, sha256(message.original).digest(), payload, record.answer.at if record.answer else 0
    )


def _charged(reader: Reader, device: str, since: int) -> dict[str, tuple[int, float, float]]:
    """Messages, bits of their values and of their times by type, in the days from ``since`` (days since the epoch)."""
    found: dict[str, tuple[int, float, float]] = defaultdict(lambda: (0, 0.0, 0.0))
    for row in reader.leaks(device, days=366):
        if row.day >= since:
            messages, values, times = found[row.type]
            found[row.type] = messages + row.spent.messages, values + row.spent.bits, times + row.spent.presence
    return dict(found)


def _most(state: State, device: Device, manifest: Manifest) -> dict[str, float]:
    """Bits of a day in which every message says as much as it can, by type."""
    found = {}
    for one in manifest.messages.values():
        if one.direction is Direction.FROM_DEVICE:
            slot = allowance(state.config.leaks, device, one.rate).slot_ms
            found[one.name] = sum(field.most for field in fields(one.schema)) * one.rate * 24 + a_day(one.rate, slot)
    return found
