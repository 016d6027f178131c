"""Whether a committed message may still leave: pure, asked again just before it does.

Between the commit and the sending the owner may have quarantined or forgotten the device, or approved another manifest. And
the envelope came through the doors: whoever took over one of them has the devices' messages in his hands, but shall get
nothing out in them that no manifest declares. This module must never permit what the registry of this moment does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

from gateway.ipc.messages import Deliver
from gateway.policy.rule import Rule
from gateway.registry import Device, Home
from gateway.rules import Plans, RulesFolder
from gateway.standard import claim
from gateway.standard.envelope import Message, outgoing
from gateway.standard.judge import Judge
from gateway.standard.manifest import Direction, Manifest, MessageType
from gateway.standard.validator import Mismatch

MOST_JUDGES = 256


@dataclass(frozen=True, slots=True)
class Permit:
    """``judge``: of the vendor's answer; ``pseudonym``: the pair of device and vendor in whose name it leaves.

    ``rules``: the owner's, that it was held against.
    """

    judge: Judge
    pseudonym: str
    rules: tuple[Rule, ...] = ()


class Permissions:
    """Judges by manifest key; ``max_answer``: bytes in a vendor's answer; ``rules``: the owner's, on disk."""

    def __init__(self, max_answer: int, rules: RulesFolder) -> None:
        self._max_answer = max_answer
        self._plans = Plans(rules)
        self._judges: dict[str, Judge] = {}

    def permit(self, home: Home, deliver: Deliver, before: Permit | None = None) -> Permit | None:
        """None where the message must not leave. Raises RuledOut where the owner's rules cannot be read or do not fit.

        ``before``: what this gave for the same message before; its content is not looked at again for the same pair under the
        same manifest and rules.
        """
        device = home.by_id.get(deliver.device)
        manifest = home.manifest_of(device) if device is not None else None
        if device is None or manifest is None:
            return None
        judge = self._judges.get(device.manifest)
        if judge is None:
            if len(self._judges) >= MOST_JUDGES:
                self._judges.clear()
            judge = self._judges[device.manifest] = Judge(manifest, max_body=self._max_answer)
        if deliver.type == claim.TYPE:
            permit = Permit(judge, device.pseudonym)
            return permit if is_claimed(manifest, deliver, device) else None
        declared = manifest.messages.get(deliver.type)
        if declared is None or declared.host != deliver.host or declared.direction is not Direction.FROM_DEVICE:
            return None
        permit = Permit(judge, device.pseudonym, self._plans.look())
        if permit == before or (
            conforms(judge, deliver, device.pseudonym) and (not permit.rules or self._ruled(device, judge, declared, deliver))
        ):
            return permit
        return None

    def _ruled(self, device: Device, judge: Judge, declared: MessageType, deliver: Deliver) -> bool:
        """Whether a conforming envelope is as the owner's rules want it, too: they may be newer than it, or its door not ours."""
        envelope = msgspec.json.decode(deliver.body, type=_Ruled)
        schema = judge.declared(deliver.type, envelope.withheld)
        withheld, payload = envelope.withheld, envelope.payload
        return self._plans.hold(device, judge.manifest, declared, schema=schema, withheld=withheld, payload=payload)


def is_claimed(manifest: Manifest, deliver: Deliver, device: Device) -> bool:
    """Whether the body is the claim that the owner made last for this device: the registry, which the owner's command alone
    writes, holds its hash. A door that was taken over may well say that it carries a claim."""
    if sha256(deliver.body).hexdigest() != device.claim or deliver.host != manifest.hosts[0]:
        return False
    try:
        told = msgspec.json.decode(deliver.body, type=_Claim)
        vendor, hosts = manifest.vendor.name, manifest.hosts
        made = claim.claim(told.claim, vendor=vendor, hosts=hosts, id=deliver.id, sent=told.sent, device=device.pseudonym)
        return len(told.sent) == 20 and _is_minute(told.sent) and made == deliver.body
    except (msgspec.DecodeError, ValueError):
        return False


class _Ruled(msgspec.Struct):
    payload: dict[str, Any]
    withheld: tuple[str, ...]


class _Claim(msgspec.Struct):
    claim: str
    sent: str


def conforms(judge: Judge, deliver: Deliver, pseudonym: str) -> bool:
    """Whether the body is, byte for byte, the envelope that the manifest allows: 11 µs for one of 400 bytes."""
    manifest = judge.manifest
    try:
        envelope = msgspec.json.decode(deliver.body)
        withheld = tuple(envelope["withheld"])
        payload = judge.declared(deliver.type, withheld).rebuild(envelope["payload"])
        sent = envelope["sent"]
        if len(sent) != 20 or not _is_minute(sent):
            return False
        message = Message(deliver.type, deliver.host, payload)
        return outgoing(message, manifest, id=deliver.id, sent=sent, device=pseudonym, withheld=withheld) == deliver.body
    except (msgspec.DecodeError, Mismatch, ValueError, TypeError, LookupError):
        return False


@lru_cache(maxsize=16)  # all messages of a minute say the same
def _is_minute(sent: str) -> bool:
    """Whether these 20 characters are a time as ``sent_at`` writes it. Raises ValueError."""
    return datetime.fromisoformat(sent).strftime("%Y-%m-%dT%H:%M:00Z") == sent
