"""One question for a device's inbox, signed in the name of its pair; what comes back is judged before anybody else has it.

It must never ask but for a pair that the registry of this moment lets send to the device, nor say anything in the question
but what the ledger gave it: the pair's pseudonym, the vendor's own number and the schedule's minute. Each question has a
connection of its own, so that it waits for no message of the device.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from gateway.courier.fetch import Fetcher, Refused, not_shut_out
from gateway.courier.job import USER_AGENT
from gateway.courier.keys import Keys, KeyUnusable, PairKey
from gateway.courier.verdict import NOT_NOW, retry_after
from gateway.http1.response import Response
from gateway.http1.writing import render_request
from gateway.ipc.messages import Poll, Polled, PolledEntry
from gateway.reasons import Reason
from gateway.registry import RegistryFile
from gateway.rules import Quarantine
from gateway.standard import inbox
from gateway.standard.envelope import MEDIA_TYPE, essence
from gateway.standard.manifest import Manifest
from gateway.standard.problem import PROBLEM_MEDIA_TYPE
from gateway.standard.refusal import Refusal
from gateway.standard.signing import UnsignedPoll, signature_fields

log = logging.getLogger(__name__)
MOST_DETAIL = 512


@dataclass(frozen=True, slots=True)
class Poller:
    """``most``: bytes in an answer."""

    registry: RegistryFile
    keys: Keys
    fetcher: Fetcher
    most: int
    quarantine: Quarantine

    async def poll(self, asked: Poll) -> Polled:
        """The answer for the ledger, whatever happens."""
        try:
            manifest = self._manifest(asked)
            request = request_for(asked, self.keys.of(asked.pair))
            response = await self.fetcher.exchange(asked.host, request, self.most)
            return weigh(asked, manifest, response, self.most)
        except Refused as refused:
            return _nothing(asked, refused.status, refused.reason, refused.detail)
        except KeyUnusable as error:  # nothing leaves unsigned
            log.critical("nobody is asked for what %s has: %s", asked.device, error)
            return _nothing(asked, 0, Reason.PAIR_KEY, str(error))
        except Exception as error:
            log.exception("a question for the inbox of %s failed in an unforeseen way", asked.device)
            return _nothing(asked, 0, Reason.JUDGE_ERROR, f"{type(error).__name__} while asking; report this")

    def _manifest(self, asked: Poll) -> Manifest:
        """Raises Refused, RegistryError."""
        home = self.registry.current()
        device = home.by_id.get(asked.device)
        manifest = home.manifest_of(device) if device is not None else None
        if device is None or manifest is None or device.pseudonym != asked.pair or not inbox.to_device(manifest, asked.host):
            raise Refused(Reason.INBOX_WITHDRAWN, "this pair of device and vendor host has no inbox any more")
        not_shut_out(self.quarantine, home, device)
        return manifest


def request_for(asked: Poll, key: PairKey) -> bytes:
    """The signed question. ``key``: of the pair. Raises ValueError."""
    if key.pseudonym != asked.pair:
        raise ValueError("the key is another pair's")
    received = str(asked.received) if asked.received else ""
    unsigned = UnsignedPoll(asked.host, inbox.PATH, asked.pair, received, asked.created, key.id)
    headers = (
        ("Accept", f"{MEDIA_TYPE}, {PROBLEM_MEDIA_TYPE}"),
        (inbox.DEVICE_FIELD, asked.pair),
        *(((inbox.RECEIVED_FIELD, received),) if received else ()),
        ("User-Agent", USER_AGENT),
        *signature_fields("", unsigned.parameters, key.sign(unsigned.base)),
    )
    return render_request("GET", inbox.PATH, asked.host, headers, b"")


def weigh(asked: Poll, manifest: Manifest, response: Response, most: int) -> Polled:
    """What the response means: pure.

    | response | told to the ledger |
    |---|---|
    | 204 | nothing waits |
    | 200, conforming | the entries, each with its own verdict |
    | 408, 425, 429, 5xx | VENDOR_BUSY, Retry-After honoured |
    | other 4xx | VENDOR_REFUSED, and its content |
    | anything else | VENDOR_ANSWER, and its content |
    """
    status, body = response.status, response.body
    if status == 204:
        return Polled(asked.id, status, -1, "", 0, b"", ())
    wait = retry_after(response.header("retry-after"))
    if status in NOT_NOW or status >= 500:
        return Polled(asked.id, status, Reason.VENDOR_BUSY.code, f"the vendor answered {status}", wait, b"", ())
    if status != 200:
        reason = Reason.VENDOR_REFUSED if 400 <= status < 500 else Reason.VENDOR_ANSWER
        return Polled(asked.id, status, reason.code, f"the vendor answered {status}", wait, body, ())
    if essence(response.header("content-type")) != MEDIA_TYPE:
        detail = f"an inbox is {MEDIA_TYPE}; send that, or 204 without content"
        return Polled(asked.id, status, Reason.VENDOR_ANSWER.code, detail, wait, body, ())
    try:
        entries = inbox.read(manifest, asked.host, body, asked.received, max_body=most)
    except Refusal as refusal:
        detail = f"{refusal.reason.words}: {refusal}"[:MOST_DETAIL]
        return Polled(asked.id, status, Reason.VENDOR_ANSWER.code, detail, wait, body, ())
    return Polled(asked.id, status, -1, "", 0, body, tuple(_entry(entry) for entry in entries))


def _entry(entry: inbox.Entry) -> PolledEntry:
    refusal = entry.refusal
    if refusal is None:
        return PolledEntry(entry.seq, entry.type, -1, "", (), entry.body, entry.bits)
    return PolledEntry(entry.seq, entry.type, refusal.reason.code, refusal.detail, refusal.pointers, b"", 0)


def _nothing(asked: Poll, status: int, reason: Reason, detail: str) -> Polled:
    return Polled(asked.id, status, reason.code, detail[:MOST_DETAIL], 0, b"", ())
