"""Software for a device, handed out at its own asking: what the owner offers it, from the file that the courier keeps.

It must never hand out an image whole that has another digest than the approved manifest says: each piece is weighed as it
leaves, and the last one is kept back until the digest is right. Nor one that the record does not know of. The vendor hears
nothing of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

from gateway.door.layer import Reply
from gateway.door.ledger import LedgerLink
from gateway.door.rates import HOUR, Rates
from gateway.http1 import Request
from gateway.ipc.handouts import HandedOut, Handout
from gateway.ipc.messages import Outcome
from gateway.reasons import Reason
from gateway.registry import Device, Home
from gateway.standard.firmware import IMAGE_PATH, IMAGE_TYPE, NOTICE_TYPE, PATH, Firmware
from gateway.standard.refusal import Refusal

log = logging.getLogger(__name__)
TYPE = "(firmware)"  # in the record, where messages have their type: no message type can be called so
MOST_AT_ONCE = 32  # images that one worker sends at a time
NOTICES_PER_HOUR, IMAGES_PER_HOUR = 60, 12
RETRY_AFTER = str(int(HOUR / IMAGES_PER_HOUR))  # seconds, for both


class Image:
    """An open image on its way to a device (gateway.door.layer.Content).

    ``still``: whether it may go on, asked before each piece; ``wrong``: told where the file is not what the manifest names;
    ``ended``: told once, with the bytes that left.
    """

    def __init__(
        self,
        file: int,
        firmware: Firmware,
        still: Callable[[], bool],
        wrong: Callable[[], object],
        ended: Callable[[int], object],
    ) -> None:
        self.size = firmware.size
        self._file = file
        self._name = firmware.name
        self._still, self._wrong, self._ended = still, wrong, ended
        self._digest = hashlib.sha256()
        self._sent = 0

    def read(self, most: int) -> bytes:
        """The next bytes; empty where the owner took it back, or where it is not what it should be."""
        if self._file < 0 or not self._still():
            return b""
        try:
            piece = os.pread(self._file, most, self._sent)
        except OSError as error:
            log.error("software cannot be read: %s", error)
            piece = b""
        self._digest.update(piece)
        short = not piece
        if short or (self._sent + len(piece) == self.size and self._digest.hexdigest() != self._name):
            log.critical("the file %s is not what its name says; the device did not get the end of it", self._name)
            self._wrong()
            return b""
        self._sent += len(piece)
        return piece

    def close(self) -> None:
        """Nothing more is read."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._ended(self._sent)


class Shelf:
    """The software of one worker's devices. ``folder``: the courier's; ``wait_ms``: how long a device waits for the record."""

    def __init__(self, folder: Path, ledger: LedgerLink, wait_ms: int, rates: Rates | None = None) -> None:
        self._folder = folder
        self._ledger = ledger
        self._wait_ms = wait_ms
        self._rates = rates or Rates()
        self._taking: set[str] = set()  # devices

    def asked(self, request: Request) -> bool:
        """Whether the request is for software."""
        return request.method == "GET" and request.target in {PATH, IMAGE_PATH}

    def answer(
        self,
        home: Home,
        device: Device,
        host: str,
        target: str,
        done: Callable[[Reply], None],
        *,
        welcome: Callable[[], Home | Reason],
        refused: Callable[[Outcome | None], Reply],
        wrong: Callable[[], object],
    ) -> Reply | None:
        """The Reply, or None where ``done`` will get it. Raises Refusal.

        ``welcome``: the registry, as long as the device may speak; ``refused``: what it is told where the record is silent.
        """
        firmware = home.firmware_for(device)
        if target == PATH:
            self._take(device, NOTICES_PER_HOUR)
            if firmware is None or not self._kept(firmware):
                return Reply(204)
            return Reply(200, (("content-type", NOTICE_TYPE),), firmware.notice)
        self._take(device, IMAGES_PER_HOUR)
        if firmware is None:
            raise Refusal(Reason.FIRMWARE_NONE, f"nothing is offered to this device; GET {PATH} answers 204 until its owner does")
        if device.id in self._taking or len(self._taking) >= MOST_AT_ONCE:
            raise Refusal(Reason.FIRMWARE_RATE, "one image at a time; wait until the other one has ended")
        file = self._open(firmware)

        def still() -> bool:
            now = welcome()
            known = None if isinstance(now, Reason) else now.by_id.get(device.id)
            return not isinstance(now, Reason) and known is not None and now.firmware_for(known) == firmware

        handout = Handout(self._ledger.next_ref(), str(uuid.uuid4()), device.id, host, firmware.notice, self._wait_ms)

        def ended(sent: int) -> None:
            self._taking.discard(device.id)
            self._ledger.tell(HandedOut(handout.id, sent, sent == firmware.size))

        image = Image(file, firmware, still=still, wrong=wrong, ended=ended)
        self._taking.add(device.id)

        def recorded(outcome: Outcome | None) -> None:
            if outcome is not None and outcome.kind == "accepted":
                headers = (("content-type", IMAGE_TYPE), ("content-digest", firmware.content_digest))
                done(Reply(200, headers, file=image))
            else:
                image.close()
                done(refused(outcome))

        if not self._ledger.submit(handout, recorded):
            image.close()
            raise Refusal(Reason.LEDGER_UNAVAILABLE, "software is not handed out unrecorded; try again later")
        return None

    def _take(self, device: Device, per_hour: int) -> None:
        if not self._rates.take(device.id, f"{TYPE} {per_hour}", per_hour):
            raise Refusal(Reason.FIRMWARE_RATE, f"at most {per_hour} of these an hour; ask less often")

    def _kept(self, firmware: Firmware) -> bool:
        try:
            os.close(self._open(firmware))
        except Refusal:
            return False
        return True

    def _open(self, firmware: Firmware) -> int:
        """A descriptor of the image's file. Raises Refusal."""
        path = self._folder / firmware.name
        try:
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Refusal(Reason.FIRMWARE_NONE, "the gateway does not have it yet; ask again later") from None
        except OSError as error:
            log.error("software cannot be opened: %s", error)
            raise Refusal(Reason.FIRMWARE_NONE, "the gateway cannot read it; ask again later") from None
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size != firmware.size:
            os.close(file)
            log.critical("%s is not the file that it should be; remove it and fetch it anew", path)
            raise Refusal(Reason.FIRMWARE_MISMATCH, "the gateway's copy is not the one that the manifest names")
        with contextlib.suppress(OSError):
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return file
