"""What the signer grants, and to whom. No socket here: a message and its sender's uid in, an answer out.

Leaves go to the door's user, and only for hosts that an approved manifest lists at this moment; the leaf for the gateway's
own name goes to the users of enrolment and of the pages alone; device certificates and the status go to root (and by
gateway/pki/enrolment.py to devices). The CA's key is used here and in that module, and is never part of an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from time import monotonic

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.ipc.messages import AskStatus, SignDevice, Signed, SignLeaf, Status
from gateway.pki import issue
from gateway.pki.ca import Authority
from gateway.registry import RegistryError, RegistryFile
from gateway.standard.enrolment import HOST

log = logging.getLogger(__name__)

ROOT = 0
# A door worker needs one leaf for each host and day; this leaves room for many hosts after a restart of all workers.
SIGNATURES_PER_SECOND = 20.0
SIGNATURES_AT_ONCE = 400.0


class Signer:
    """Decides on requests for one home CA."""

    def __init__(
        self,
        authority: Authority,
        registry: RegistryFile,
        door_uid: int,
        now: Callable[[], datetime],
        clock: Callable[[], float] = monotonic,
        *,
        enrolment_uid: int = ROOT,
        web_uid: int = ROOT,
    ) -> None:
        self._authority = authority
        self._registry = registry
        self._door_uid = door_uid
        self._own = (ROOT, enrolment_uid, web_uid)
        self._now = now
        self._clock = clock
        self._tokens = SIGNATURES_AT_ONCE
        self._filled = clock()
        self.leaves = 0
        self.devices = 0
        self.refused = 0

    def answer(self, uid: int, message: SignLeaf | SignDevice | AskStatus) -> Signed | Status | None:
        """The answer to ``message`` from a process of user ``uid``; None where this user may not ask at all."""
        if isinstance(message, AskStatus):
            return self.status() if uid == ROOT else None
        try:
            chain = self._sign(uid, message)
        except issue.RequestError as error:
            self.refused += 1
            log.warning("refused uid %d: %s", uid, error)
            return Signed(message.ref, b"", str(error))
        return Signed(message.ref, chain, "")

    def status(self) -> Status:
        """For the owner."""
        facts = {
            "leaves signed": str(self.leaves),
            "device certificates signed": str(self.devices),
            "refused": str(self.refused),
            "CA valid until": self._authority.certificate.not_valid_after_utc.date().isoformat(),
        }
        return Status("signer", True, facts)

    def _sign(self, uid: int, message: SignLeaf | SignDevice) -> bytes:
        if isinstance(message, SignDevice):
            if uid != ROOT:
                raise issue.RequestError("device certificates are signed for the owner's command (root) only")
            self._take_token()
            certificate = issue.device_certificate(self._authority, message.device, message.csr, message.days, self._now())
            self.devices += 1
            log.info("signed a device certificate for %s, serial %x", message.device, certificate.serial_number)
        else:
            self._check_host(uid, message.host)
            self._take_token()
            certificate = issue.leaf(self._authority, message.host, message.csr, self._now())
            self.leaves += 1
            log.info("signed a leaf for %s, serial %x", message.host, certificate.serial_number)
        return certificate.public_bytes(Encoding.PEM)

    def _check_host(self, uid: int, host: str) -> None:
        if host == HOST:  # whatever a manifest says: the door must not pose as enrolment
            if uid not in self._own:
                raise issue.RequestError("the leaf for the gateway's own name is signed for enrolment and the owner's pages only")
            return
        if uid not in (ROOT, self._door_uid):
            raise issue.RequestError("leaves are signed for the door only")
        try:
            approved = self._registry.current().approved_names
        except (RegistryError, ValueError) as error:
            raise issue.RequestError(f"the registry cannot be read, so no host is approved: {error}") from error
        if host not in approved:
            raise issue.RequestError(f"{host!r} is in no approved manifest")

    def _take_token(self) -> None:
        now = self._clock()
        self._tokens = min(SIGNATURES_AT_ONCE, self._tokens + (now - self._filled) * SIGNATURES_PER_SECOND)
        self._filled = now
        if self._tokens < 1:
            raise issue.RequestError(f"more than {SIGNATURES_PER_SECOND:.0f} signatures a second; try again in a moment")
        self._tokens -= 1
