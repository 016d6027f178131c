"""What waits for a device, handed out at its own question: judged once more, by the manifest that is in force at this moment.

It must never hand on what that manifest does not declare, nor what came for another pair of device and vendor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.door.ledger import LedgerLink
from gateway.door.rates import Rates
from gateway.door.request import check_host
from gateway.http1 import Request, Violation
from gateway.ipc.messages import AskInbox, EntryRefused, InboxAnswer
from gateway.reasons import Reason
from gateway.registry import Device
from gateway.standard import inbox
from gateway.standard.manifest import Manifest
from gateway.standard.refusal import Refusal

log = logging.getLogger(__name__)
Told = Callable[[bytes | Refusal], None]


def is_inbox(request: Request) -> bool:
    """Whether it asks for what waits."""
    return request.method == "GET" and request.target == inbox.PATH


def received_of(request: Request, host: str) -> int:
    """The number that such a request acknowledges, 0 for none; it came over TLS for ``host``. Raises Violation."""
    check_host(request, host)
    try:
        return inbox.received(request.header(inbox.RECEIVED_FIELD.lower()))
    except ValueError as error:
        raise Violation(Reason.HTTP_HEADER, 400, str(error)) from None


class Mailbox:
    """The questions of one worker. ``per_hour``: of one device at one host."""

    def __init__(self, ledger: LedgerLink, rates: Rates, per_hour: int, max_depth: int) -> None:
        self._ledger = ledger
        self._rates = rates
        self._per_hour = per_hour
        self._max_depth = max_depth

    def ask(self, device: Device, host: str, manifest: Manifest, received: int, told: Told) -> bool:
        """``told`` gets the canonical document, empty where nothing waits, or why there is none. False: the ledger is away.

        Raises Refusal (INBOX_RATE).
        """
        if not self._rates.take(device.id, f"{inbox.TYPE} {host}", self._per_hour):
            raise Refusal(Reason.INBOX_RATE, f"a device may ask {self._per_hour} times an hour at one host; ask less often")
        question = AskInbox(self._ledger.next_ref(), device.id, device.pseudonym, host, received)

        def answered(answer: InboxAnswer | None) -> None:
            told(self._document(device, host, manifest, answer))

        return self._ledger.ask(question, answered)

    def _document(self, device: Device, host: str, manifest: Manifest, answer: InboxAnswer | None) -> bytes | Refusal:
        if answer is None or answer.reason == Reason.LEDGER_UNAVAILABLE.code:
            return Refusal(Reason.LEDGER_UNAVAILABLE, "what waits cannot be read now; try again later")
        if answer.reason != -1:
            detail = f"no entry with this number was ever given; ask without {inbox.RECEIVED_FIELD}, and forget the old numbers"
            return Refusal(Reason.INBOX_RECEIVED, detail)
        entries = []
        for number, body in answer.entries:
            try:
                entries.append(inbox.pass_on(manifest, host, number, body, max_depth=self._max_depth))
            except Refusal as refusal:
                self._ledger.tell(
                    EntryRefused(
                        device.id, device.pseudonym, host, number, refusal.reason.code, f"by the manifest of now: {refusal}"
                    )
                )
        return inbox.compose(entries) if entries else b""
