"""Where a request becomes a message: is its sender still welcome, does it conform, and did the ledger take it?

Every way through here ends in an answer that the ledger stands behind, a recorded refusal, or a drop. An exception while
judging is a refusal. What goes to the ledger as outgoing is built from judged values; no byte of the device's is in it.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from gateway.allowance import allowance
from gateway.config import Door as Settings
from gateway.config import Leaks
from gateway.door.attempts import Attempts
from gateway.door.checks import Peer, Target, check_device, check_hello, check_peer
from gateway.door.firmware import RETRY_AFTER as FIRMWARE_RETRY_AFTER
from gateway.door.firmware import TYPE as FIRMWARE_TYPE
from gateway.door.firmware import Shelf
from gateway.door.inbox import Mailbox, is_inbox, received_of
from gateway.door.layer import Reply
from gateway.door.ledger import LedgerLink
from gateway.door.rates import Rates
from gateway.door.request import check_host, message_type
from gateway.door.ruling import Ruling
from gateway.http1 import Request, Violation
from gateway.ipc.messages import Outcome, Refused, Submit
from gateway.policy.plan import RuledOut
from gateway.reasons import Reason
from gateway.registry import Home, RegistryFile
from gateway.rules import RulesFolder
from gateway.standard.envelope import MEDIA_TYPE, outgoing, sent_at
from gateway.standard.inbox import TYPE as INBOX
from gateway.standard.judge import Judge
from gateway.standard.manifest import Manifest
from gateway.standard.problem import PROBLEM_MEDIA_TYPE, problem, status_for
from gateway.standard.refusal import Refusal
from gateway.standard.slots import slot_start

log = logging.getLogger(__name__)

MAX_JUDGES = 64
RETRY_AFTER = {
    Reason.RATE_MESSAGES: "60",
    Reason.QUOTA: "3600",
    Reason.LEDGER_UNAVAILABLE: "5",
    Reason.RECORD_FULL: "60",
    Reason.LEAK_BUDGET: "3600",
    Reason.FIRMWARE_RATE: FIRMWARE_RETRY_AFTER,
    Reason.INBOX_RATE: "10",
}
TOLD = {
    Reason.LEAK_BUDGET: "the owner's budget for this device and day is spent; send less often, coarser or fewer values, "
    "or wait for the next day",
    Reason.FIRMWARE_RATE: "the gateway has recorded many of these in this hour; wait",
}


@dataclass(slots=True)
class Guest:
    """A device on one connection. ``host``: the server name it asked for; ``checked``: the registry that it passed against."""

    device: str
    target: Target
    host: str = ""
    peer: Peer | None = None
    checked: Home | None = None


class Desk:
    """The messages of one worker."""

    def __init__(
        self,
        settings: Settings,
        leaks: Leaks,
        *,
        door_port: int,
        registry: RegistryFile,
        ledger: LedgerLink,
        attempts: Attempts,
        shelf: Shelf,
        rates: Rates | None = None,
        rules: RulesFolder,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._settings = settings
        self._leaks = leaks
        self._door_port = door_port
        self._registry = registry
        self._ledger = ledger
        self._attempts = attempts
        self._shelf = shelf
        self._rates = rates or Rates()
        self._ruling = Ruling(rules)
        self._now = now
        self._wait_ms = int(settings.answer_wait_seconds * 1000)
        self._judges: dict[str, Judge] = {}
        self._mailbox = Mailbox(ledger, self._rates, settings.inbox_per_hour, settings.max_depth)
        self.messages = 0

    def welcome(self, guest: Guest) -> Home | Reason:
        """The registry if ``guest`` may still speak, else why not. One stat(2) where nothing changed."""
        try:
            home = self._registry.current()
            if guest.checked is not home:
                guest.checked = None
                reason = (
                    check_device(home, guest.device)
                    or check_hello(home, guest.device, guest.host, guest.target, self._door_port)
                    or check_peer(home, guest.device, guest.peer, self._now() / 1e9)
                )
                if reason is not None:
                    return reason
                guest.checked = home
            elif guest.peer is None or self._now() / 1e9 > guest.peer.not_after:
                return Reason.CERTIFICATE_UNTRUSTED
        except Exception:
            log.exception("the registry gives no answer, so nobody is welcome")
            return Reason.IDENTITY_UNKNOWN
        return home

    def consider(self, guest: Guest, request: Request, done: Callable[[Reply], None]) -> Reply | Reason | None:
        """Judge a request. A Reply: answer it so; a Reason: drop the connection; None: ``done`` will get the Reply."""
        home = self.welcome(guest)
        if isinstance(home, Reason):
            return home
        if self._shelf.asked(request):
            return self._software(home, guest, request, done)
        asks = is_inbox(request)
        try:
            type_ = INBOX if asks else message_type(request, guest.host)
            received = received_of(request, guest.host) if asks else 0
        except Violation as violation:
            return self.violated(guest, violation, request.body)
        try:
            if asks:
                return self._asked(home, guest, received, done)
            return self._judged(home, guest, type_, request.body, done)
        except RuledOut as out:
            return self._ruled_out(guest, type_, out, request.body)
        except Refusal as refusal:
            return self._refused(guest, type_, refusal.reason, refusal.detail, pointers=refusal.pointers, body=request.body)
        except Exception:
            log.exception("a message of %s could not be judged", guest.device)
            detail = "the gateway failed to judge this message and dropped it"
            return self._refused(guest, type_, Reason.JUDGE_ERROR, detail, body=request.body, close=True)

    def _ruled_out(self, guest: Guest, type_: str, out: RuledOut, body: bytes) -> Reply:
        after = (("retry-after", str(out.retry_after)),) if out.retry_after else ()
        return self._refused(guest, type_, out.reason, out.record, body=body, told=out.detail, headers=after)

    def violated(self, guest: Guest, violation: Violation, body: bytes = b"") -> Reply:
        """Record that a device broke the rules of HTTP; the connection ends with the Reply."""
        headers = (("allow", "POST"),) if violation.status == 405 else ()
        return self._refused(
            guest, "", violation.reason, violation.detail, body=body, status=violation.status, close=True, headers=headers
        )

    def _software(self, home: Home, guest: Guest, request: Request, done: Callable[[Reply], None]) -> Reply | None:
        def refused(reason: Reason, detail: str) -> Reply:
            return self._refused(guest, FIRMWARE_TYPE, reason, detail, body=b"")

        def welcome() -> Home | Reason:
            now = self.welcome(guest)
            if not isinstance(now, Reason) and guest.device in now.by_id:
                try:
                    self._ruling.welcome(now, now.by_id[guest.device], self._now())
                except RuledOut as out:
                    return out.reason
            return now

        try:
            check_host(request, guest.host)
            self._ruling.welcome(home, home.by_id[guest.device], self._now())
            return self._shelf.answer(
                home,
                home.by_id[guest.device],
                guest.host,
                request.target,
                done,
                welcome=welcome,
                refused=lambda outcome: self._reply("", outcome),
                wrong=lambda: refused(Reason.FIRMWARE_MISMATCH, "the gateway's copy has another digest than the manifest names"),
            )
        except Violation as violation:
            return self.violated(guest, violation)
        except RuledOut as out:
            return self._ruled_out(guest, FIRMWARE_TYPE, out, b"")
        except Refusal as refusal:
            return refused(refusal.reason, refusal.detail)

    def _judged(self, home: Home, guest: Guest, type_: str, body: bytes, done: Callable[[Reply], None]) -> Reply | None:
        device = home.by_id[guest.device]
        manifest = home.manifest_of(device)
        if manifest is None:
            raise Refusal(Reason.TYPE_UNKNOWN, "this device has no approved manifest")
        declared = manifest.messages.get(type_)
        if declared is not None and not self._rates.take(device.id, type_, declared.rate):
            raise Refusal(Reason.RATE_MESSAGES, f"the manifest declares {declared.rate} of these an hour; send fewer")
        judge = self._judge(device.manifest, manifest)
        message = judge.from_device(guest.host, type_, body)
        received = self._now()
        allowed = allowance(self._leaks, device, manifest.messages[type_].rate)
        identifier = str(uuid.uuid4())
        moment = slot_start(received, allowed.slot_ms)
        # the minute must not tell where in a long slot it came
        sent = sent_at(moment if allowed.paced else received)
        leaving = self._ruling.leaving(device, manifest, message, moment if allowed.paced else received)
        pseudonym = device.pseudonym
        envelope = outgoing(leaving.message, manifest, id=identifier, sent=sent, device=pseudonym, withheld=leaving.withheld)
        submit = Submit(
            self._ledger.next_ref(),
            identifier,
            device.id,
            manifest.vendor.name,
            guest.host,
            type_,
            received,
            body,
            envelope,
            0 if leaving.delay_ms else self._wait_ms,
            judge.bits(leaving.charged, moment // 10**9, paced=allowed.paced, schema=leaving.schema),
            allowed.budget,
            allowed.slot_ms,
            allowed.paced,
            leaving.withheld,
            leaving.record,
            leaving.delay_ms,
        )

        def decided(outcome: Outcome | None) -> None:
            done(self._reply(identifier, outcome))

        if not self._ledger.submit(submit, decided):
            return _problem(Reason.LEDGER_UNAVAILABLE, "nothing leaves unrecorded; try again later")
        self.messages += 1
        return None

    def _asked(self, home: Home, guest: Guest, received: int, done: Callable[[Reply], None]) -> Reply | None:
        """What waits for a device at one host of its manifest."""
        device = home.by_id[guest.device]
        manifest = home.manifest_of(device)
        if manifest is None:
            raise Refusal(Reason.TYPE_UNKNOWN, "this device has no approved manifest")
        self._ruling.welcome(home, device, self._now())

        def told(found: bytes | Refusal) -> None:
            if isinstance(found, Refusal):
                done(self._refused(guest, INBOX, found.reason, found.detail, body=b""))
            else:
                headers = (("content-type", MEDIA_TYPE),) if found else ()
                done(Reply(200 if found else 204, headers, found))

        if not self._mailbox.ask(device, guest.host, manifest, received, told):
            return _problem(Reason.LEDGER_UNAVAILABLE, "what waits cannot be read now; try again later")
        return None

    def _reply(self, identifier: str, outcome: Outcome | None) -> Reply:
        if outcome is None:
            return _problem(Reason.LEDGER_UNAVAILABLE, "the ledger did not say that it recorded this; try again later")
        if outcome.kind == "answered":
            headers = (("content-type", outcome.media_type),) if outcome.body else ()
            return Reply(outcome.status, headers, outcome.body)
        if outcome.kind == "accepted":
            body = msgspec.json.encode({"id": identifier})
            return Reply(202, (("content-type", "application/json"),), body)
        try:
            reason = Reason.from_code(outcome.reason)
        except KeyError:
            reason = Reason.LEDGER_UNAVAILABLE
        return _problem(reason, TOLD.get(reason, "the gateway did not take this message"))

    def _refused(
        self,
        guest: Guest,
        type_: str,
        reason: Reason,
        detail: str,
        *,
        pointers: tuple[str, ...] = (),
        body: bytes,
        status: int | None = None,
        close: bool = False,
        headers: tuple[tuple[str, str], ...] = (),
        told: str = "",
    ) -> Reply:
        """``detail``: for the record; ``told``: for the device, where that is not the same."""
        kept = body[: self._settings.max_body]
        refused = Refused(guest.device, guest.host, type_, reason.code, detail, pointers, self._now(), kept)
        if not self._ledger.tell(refused):
            # counted at least, should the ledger come back within the attempts' half second
            self._attempts.note(guest.device, reason, "tls", guest.host, guest.target.port)
        return _problem(reason, told or detail, pointers, status=status, close=close, headers=headers)

    def _judge(self, key: str, manifest: Manifest) -> Judge:
        judge = self._judges.get(key)
        if judge is None or judge.manifest is not manifest:
            if len(self._judges) >= MAX_JUDGES:
                self._judges.clear()
            settings = self._settings
            judge = self._judges[key] = Judge(manifest, max_body=settings.max_body, max_depth=settings.max_depth)
        return judge


def _problem(
    reason: Reason,
    detail: str,
    pointers: tuple[str, ...] = (),
    *,
    status: int | None = None,
    close: bool = False,
    headers: tuple[tuple[str, str], ...] = (),
) -> Reply:
    status = status or status_for(reason)
    wait = RETRY_AFTER.get(reason)
    fields = (("content-type", PROBLEM_MEDIA_TYPE), *headers, *((("retry-after", wait),) if wait else ()))
    return Reply(status, fields, problem(reason, status, detail, pointers), close)
