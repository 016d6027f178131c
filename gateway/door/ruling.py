"""Where the owner's rules meet a judged message in the door. It must never let one leave without their word.

What they need besides the message is the door's: the time of day, how often a device's messages left, whom a rule shut out.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.door.rates import Rates
from gateway.policy.moment import Moment
from gateway.policy.plan import RuledOut, recorded
from gateway.policy.rule import Rule
from gateway.reasons import Reason
from gateway.registry import Device, Home
from gateway.rules import Plans, Quarantine, RulesFolder, local_moment, quarantined
from gateway.standard.envelope import Message
from gateway.standard.manifest import Manifest
from gateway.standard.schema import Schema

MAX_SHUT = 4_096
_NO_TIME = Moment(0, 0)


@dataclass(frozen=True, slots=True)
class Leaving:
    """A message as the rules let it leave. ``charged`` and ``schema``: what it is charged by; None: the manifest's own."""

    message: Message
    charged: Message
    schema: Schema | None = None
    withheld: tuple[str, ...] = ()
    record: str = ""
    delay_ms: int = 0


class Ruling:
    """The rules of one door worker. Steering gives all of a device's connections to the same worker."""

    def __init__(self, folder: RulesFolder) -> None:
        self._plans = Plans(folder)
        self._quarantine = Quarantine(folder)
        self._limits = Rates()
        self._shut: dict[str, str] = {}  # device: the rule that shut it out, until the rules change
        self._shut_by: tuple[Rule, ...] = ()

    def welcome(self, home: Home, device: Device, when: int) -> None:
        """Whether anything but a message may pass, to the device or from it. ``when``: ns since the epoch. Raises RuledOut."""
        self._plans.look()
        self._check_shut(device)
        self._quarantine.check(home, device, when)

    def _check_shut(self, device: Device) -> None:
        """Raises RuledOut where a message of the device made a rule shut it out, and the rules are still the same."""
        if self._plans.rules is not self._shut_by:
            self._shut.clear()
            self._shut_by = self._plans.rules
        if device.id in self._shut:
            raise quarantined(device.id, self._shut[device.id])

    def leaving(self, device: Device, manifest: Manifest, message: Message, when: int) -> Leaving:
        """``when``: ns since the epoch, no finer than its slot where it is paced. Raises RuledOut, Refusal."""
        plan = self._plans.plan(device, manifest, manifest.messages[message.type])
        self._check_shut(device)
        if plan is None:
            return Leaving(message, message)
        try:
            ruled = plan.apply(message.payload, local_moment(when) if plan.timed else _NO_TIME)
        except RuledOut as out:
            if out.reason is Reason.RULE_QUARANTINED and len(self._shut) < MAX_SHUT:
                self._shut[device.id] = out.rule
            raise
        if ruled.limit is not None and not self._limits.take(device.id, ruled.limit.name, ruled.limit.per_hour):
            raise RuledOut(
                Reason.RULE_LIMIT,
                f"the owner lets {ruled.limit.per_hour} of these leave in an hour; send fewer",
                f"rule {ruled.limit.name} ({ruled.limit.file}, line {ruled.limit.line}) lets no more of them leave",
                retry_after=-(-3_600 // ruled.limit.per_hour),
            )
        return Leaving(
            Message(message.type, message.host, ruled.payload),
            Message(message.type, message.host, ruled.bare),
            plan.schema,
            plan.withheld,
            recorded(ruled.decisions),
            ruled.delay.seconds * 1000 if ruled.delay is not None else 0,
        )
