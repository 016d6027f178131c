"""Whether a committed message may still leave: pure, asked again just before it does.

Between the commit and the sending the owner may have quarantined or forgotten the device, or approved another manifest.
This module must never permit what the registry of this moment does not.
"""

from __future__ import annotations

from gateway.ipc.messages import Deliver
from gateway.registry import Home
from gateway.standard.judge import Judge
from gateway.standard.manifest import Direction

MOST_JUDGES = 256


class Permissions:
    """Judges by manifest key; ``max_answer``: bytes in a vendor's answer."""

    def __init__(self, max_answer: int) -> None:
        self._max_answer = max_answer
        self._judges: dict[str, Judge] = {}

    def judge_for(self, home: Home, deliver: Deliver) -> Judge | None:
        """The judge of the vendor's answer; None where the message must not leave."""
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
        return judge
