"""Recorded messages under rules that are not in force yet, and which rule decided what in one that is on record. Pure but for
what it is given to read; it must never show less of a change than there would be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.allowance import allowance
from gateway.config import Config
from gateway.ledger.reader import Record
from gateway.policy.moment import Moment
from gateway.policy.plan import Plan, RuledOut
from gateway.policy.rule import Rule
from gateway.registry import Device, Home
from gateway.rules import compile_for, local_moment
from gateway.standard.claim import TYPE as CLAIM
from gateway.standard.envelope import Message
from gateway.standard.judge import Judge
from gateway.standard.refusal import Refusal, token
from gateway.standard.schema import Schema
from gateway.standard.slots import slot_start

_MISSING = object()
_EXAMPLES = 3  # for each place
_EXAMPLE = 512  # characters
_PLACES = 10_000  # changed places told apart


@dataclass(slots=True)
class Change:
    """What became different at one place of one type of messages. ``pointer``: empty for the message as a whole.

    ``examples``: a few that differ, as (now, then), the newest first.
    """

    device: str
    type: str
    pointer: str
    messages: int = 0
    now: str = ""
    then: str = ""
    examples: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Replay:
    """``changes``: by place, ``places`` at most and the others together; ``skipped``: messages that
    today's manifests do not admit; bits: of all messages together."""

    messages: int = 0
    skipped: int = 0
    bits_now: int = 0
    bits_then: int = 0
    changes: dict[tuple[str, str, str], Change] = field(default_factory=dict)
    places: int = _PLACES


@dataclass(frozen=True, slots=True)
class _Outcome:
    """``payload``: None where it would not leave; ``words``: what is not seen in the payload."""

    payload: dict[str, Any] | None
    words: str
    bits: int


class _Side:
    """One set of rules."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._plans: dict[tuple[str, str, str], Plan | RuledOut] = {}

    def outcome(
        self, device: Device, judge: Judge, message: Message, moment: Moment, charge: Callable[[Message, Schema], int]
    ) -> _Outcome:
        manifest = judge.manifest
        key = (device.id, device.manifest, message.type)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = compile_for(self._rules, device, manifest, manifest.messages[message.type])
        if isinstance(plan, RuledOut):
            return _Outcome(None, f"refused: {plan.record}", 0)
        try:
            ruled = plan.apply(message.payload, moment)
        except RuledOut as out:
            return _Outcome(None, f"refused: {out.record}", 0)
        bits = charge(Message(message.type, message.host, ruled.bare), plan.schema)
        words = f"{ruled.delay.seconds} s later" if ruled.delay else "leaves"
        if ruled.limit:
            words += f", at most {ruled.limit.per_hour} an hour"
        return _Outcome(ruled.payload, words, bits)


def replay(
    records: Iterable[Record],
    home: Home,
    config: Config,
    now: tuple[Rule, ...],
    then: tuple[Rule, ...],
    *,
    places: int = _PLACES,
) -> Replay:
    """Each recorded message as it came, under both sets of rules. How often a limit would have refused is not reckoned."""
    found = Replay(places=places)
    sides = (_Side(now), _Side(then))
    judges: dict[str, Judge] = {}
    for record in records:
        device = home.by_id.get(record.device)
        manifest = home.manifest_of(device) if device is not None else None
        if device is None or manifest is None or record.type == CLAIM:
            found.skipped += record.type != CLAIM
            continue
        judge = judges.setdefault(
            device.manifest, Judge(manifest, max_body=config.door.max_body, max_depth=config.door.max_depth)
        )
        try:
            message = judge.from_device(record.host, record.type, record.original)
        except Refusal:
            found.skipped += 1
            continue
        allowed = allowance(config.leaks, device, manifest.messages[record.type].rate)
        start = slot_start(record.received, allowed.slot_ms)
        moment, seconds = local_moment(start if allowed.paced else record.received), start // 10**9

        def charge(bare: Message, schema: Schema, judge: Judge = judge, at: int = seconds, paced: bool = allowed.paced) -> int:
            return judge.bits(bare, at, paced=paced, schema=schema)

        before, after = (side.outcome(device, judge, message, moment, charge) for side in sides)
        found.messages += 1
        found.bits_now += before.bits
        found.bits_then += after.bits
        _compare(found, record, before, after)
    return found


def _compare(found: Replay, record: Record, before: _Outcome, after: _Outcome) -> None:
    if before.words != after.words or (before.payload is None) != (after.payload is None):
        _note(found, record, "", before.words, after.words)
    if before.payload is None or after.payload is None:
        return
    ours, theirs = dict(leaves(before.payload)), dict(leaves(after.payload))
    for pointer in dict.fromkeys([*ours, *theirs]):
        one, other = ours.get(pointer, _MISSING), theirs.get(pointer, _MISSING)
        if one != other:
            _note(found, record, pointer, shown(one), shown(other))


def _note(found: Replay, record: Record, pointer: str, now: str, then: str) -> None:
    key = (record.device, record.type, pointer)
    change = found.changes.get(key)
    if change is None:
        if len(found.changes) >= found.places:
            key = ("(more)", "", "")
            change = found.changes.setdefault(key, Change(*key))
        else:
            change = found.changes[key] = Change(*key, now=now, then=then)
    change.messages += 1
    example = (now[:_EXAMPLE], then[:_EXAMPLE])
    if len(change.examples) < _EXAMPLES and example not in change.examples:
        change.examples.append(example)


def explained(record: Record, rulings: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row for the message as a whole, where a rule decided about it, and one for each field."""
    sent = dict(leaves(_payload(record.original)))
    left = dict(leaves(_payload(record.outgoing)))
    decided: dict[str, dict[str, Any]] = {}
    for ruling in rulings:
        if not ruling["at"]:
            yield {"field": "the message", "sent": "", "left": "", "rule": ruling["rule"], "did": ruling["do"]}
        for pointer in ruling["at"]:
            decided[pointer] = ruling
    for pointer in dict.fromkeys([*sent, *left, *decided]):
        nearest = _nearest(decided, pointer)
        row = {"field": pointer, "sent": shown(sent.get(pointer, _MISSING)), "left": shown(left.get(pointer, _MISSING))}
        yield row | {"rule": nearest["rule"] if nearest else "", "did": nearest["do"] if nearest else "no rule: allow"}


def _nearest(decided: dict[str, dict[str, Any]], pointer: str) -> dict[str, Any] | None:
    while pointer:
        if pointer in decided:
            return decided[pointer]
        pointer = pointer.rpartition("/")[0]
    return None


def leaves(payload: Any, pointer: str = "/payload") -> Iterator[tuple[str, Any]]:
    """Every field of a payload by pointer; an array is one field."""
    if isinstance(payload, dict) and payload:
        for name, value in payload.items():
            yield from leaves(value, f"{pointer}/{token(name)}")
    elif pointer != "/payload":
        yield pointer, payload


def shown(value: Any) -> str:
    """A value as JSON; empty where there is none."""
    return "" if value is _MISSING else json.dumps(value, ensure_ascii=False)


def _payload(body: bytes) -> Any:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found.get("payload", {}) if isinstance(found, dict) else {}
