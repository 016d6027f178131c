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

import msgspec

from gateway.ipc.messages import Deliver
from gateway.registry import Device, Home
from gateway.standard import claim
from gateway.standard.envelope import Message, outgoing
from gateway.standard.judge import Judge
from gateway.standard.manifest import Direction, Manifest
from gateway.standard.validator import Mismatch

MOST_JUDGES = 256


@dataclass(frozen=True, slots=True)
class Permit:
    """``judge``: of the vendor's answer; ``pseudonym``: the pair of device and vendor in whose name it leaves."""

    judge: Judge
    pseudonym: str


class Permissions:
    """Judges by manifest key; ``max_answer``: bytes in a vendor's answer."""

    def __init__(self, max_answer: int) -> None:
        self._max_answer = max_answer
        self._judges: dict[str, Judge] = {}

    def permit(self, home: Home, deliver: Deliver, before: Permit | None = None) -> Permit | None:
        """None where the message must not leave.

        ``before``: what this gave for the same message before; its content is not looked at again for the same pair under the
        same manifest.
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
        permit = Permit(judge, device.pseudonym)
        if deliver.type == claim.TYPE:
            return permit if is_claimed(manifest, deliver, device) else None
        declared = manifest.messages.get(deliver.type)
        if declared is None or declared.host != deliver.host or declared.direction is not Direction.FROM_DEVICE:
            return None
        return permit if permit == before or conforms(judge, deliver, device.pseudonym) else None


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
