"""Whether a committed message may still leave: pure, asked again just before it does.

Between the commit and the sending the owner may have quarantined or forgotten the device, or approved another manifest. And
the envelope came through the doors: whoever took over one of them has the devices' messages in his hands, but shall get
nothing out in them that no manifest declares. This module must never permit what the registry of this moment does not.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

import msgspec

from gateway.ipc.messages import Deliver
from gateway.registry import Home
from gateway.standard.envelope import Message, outgoing
from gateway.standard.judge import Judge
from gateway.standard.manifest import Direction
from gateway.standard.validator import Mismatch

MOST_JUDGES = 256


class Permissions:
    """Judges by manifest key; ``max_answer``: bytes in a vendor's answer."""

    def __init__(self, max_answer: int) -> None:
        self._max_answer = max_answer
        self._judges: dict[str, Judge] = {}

    def judge_for(self, home: Home, deliver: Deliver, judged_by: Judge | None = None) -> Judge | None:
        """The judge of the vendor's answer; None where the message must not leave.

        ``judged_by``: what this gave for the same message before; its content is not looked at again under the same manifest.
        """
        device = home.by_id.get(deliver.device)
        manifest = home.manifest_of(device) if device is not None else None
        if device is None or manifest is None:
            return None
        declared = manifest.messages.get(deliver.type)
        if declared is None or declared.host != deliver.host or declared.direction is not Direction.FROM_DEVICE:
            return None
        judge = self._judges.get(device.manifest)
        if judge is None:
            if len(self._judges) >= MOST_JUDGES:
                self._judges.clear()
            judge = self._judges[device.manifest] = Judge(manifest, max_body=self._max_answer)
        if judge is judged_by or conforms(judge, deliver, device.pseudonym):
            return judge
        return None


def conforms(judge: Judge, deliver: Deliver, pseudonym: str) -> bool:
    """Whether the body is, byte for byte, the envelope that the manifest allows: 11 µs for one of 400 bytes."""
    manifest = judge.manifest
    try:
        envelope = msgspec.json.decode(deliver.body)
        payload = manifest.messages[deliver.type].schema.rebuild(envelope["payload"])
        sent = envelope["sent"]
        if len(sent) != 20 or not _is_minute(sent):
            return False
        message = Message(deliver.type, deliver.host, payload)
        return outgoing(message, manifest, id=deliver.id, sent=sent, device=pseudonym) == deliver.body
    except (msgspec.DecodeError, Mismatch, ValueError, TypeError, LookupError):
        return False


@lru_cache(maxsize=16)  # all messages of a minute say the same
def _is_minute(sent: str) -> bool:
    """Whether these 20 characters are a time as ``sent_at`` writes it. Raises ValueError."""
    return datetime.fromisoformat(sent).strftime("%Y-%m-%dT%H:%M:00Z") == sent
