"""The signer process: the home CA behind a Unix socket. It must never open any other socket."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway import service
from gateway.config import Config
from gateway.ipc import channel
from gateway.ipc.channel import Channel
from gateway.ipc.messages import (
    AskStatus,
    Enrol,
    Enrolled,
    Knocked,
    Message,
    Pair,
    Paired,
    Prove,
    Recorded,
    Renew,
    Status,
    ToSigner,
)
from gateway.pki.ca import load_or_create
from gateway.pki.enrolment import MOST_WRONG, Enrolments, Pairing
from gateway.pki.issue import RequestError
from gateway.pki.signer import ROOT, Signer
from gateway.reasons import Reason
from gateway.registry import RegistryFile

log = logging.getLogger(__name__)


@dataclass
class Waiting:
    """The owner's command that waits for one device, and the device's request once there is one."""

    link: Channel
    ref: int
    pairing: Pairing
    timer: asyncio.TimerHandle
    asker: Channel | None = None
    asked: int = 0
    told: int = 0  # how often the device asked, as far as the command knows


class Links:
    """Who is connected and what each waits for. ``enrolment``: the uid of the process that speaks to devices."""

    def __init__(self, signer: Signer, enrolments: Enrolments, enrolment: int) -> None:
        self._signer = signer
        self._enrolments = enrolments
        self._enrolment = enrolment
        self._waiting: list[Waiting] = []
        self.open: set[Channel] = set()

    def make(self) -> Channel:
        """A channel for one more peer."""
        return Channel(ToSigner | AskStatus, self.receive, lost=self._lost, made=self.open.add)

    def receive(self, link: Channel, message: Any) -> None:
        """Answer, or cut off whoever asks for what is not his."""
        allowed = (ROOT, self._enrolment) if isinstance(message, Prove | Enrol | Renew) else (ROOT,)
        answer: Message | None
        match message:
            case Pair() | Recorded() | Prove() | Enrol() | Renew() if link.uid not in allowed:
                answer = None
            case Pair():
                self._pair(link, message)
                return
            case Recorded():
                self._recorded(link, message.ref)
                return
            case Prove():
                answer = self._enrolments.prove(message)
                self._knocked(message.mac)
            case Enrol():
                found = self._enrolments.enrol(message)
                if isinstance(found, Pairing):
                    self._enrolling(link, message.ref, found)
                    return
                self._watch(message.mac)
                answer = found
            case Renew():
                answer = self._enrolments.renew(message)
            case _:
                answer = self._signer.answer(link.uid, message)
        if answer is None:
            log.error("uid %d may not ask for %s", link.uid, type(message).__name__)
            link.close()
            return
        if isinstance(answer, Status):
            facts = {
                "enrolled": str(self._enrolments.enrolled),
                "renewed": str(self._enrolments.renewed),
                "waiting for their device": ", ".join(self._enrolments.waiting) or "none",
            }
            answer = Status(answer.service, answer.ready, answer.facts | facts)
        link.send(answer)

    def _pair(self, link: Channel, message: Pair) -> None:
        try:
            pairing = self._enrolments.pair(message)
        except RequestError as error:
            link.send(Paired(message.ref, b"", str(error)))
            return
        timer = asyncio.get_running_loop().call_later(message.seconds, self._late, pairing)
        self._waiting.append(Waiting(link, message.ref, pairing, timer))

    def _enrolling(self, asker: Channel, ref: int, pairing: Pairing) -> None:
        """The device proved the code; its certificate goes out once the owner's command has listed it."""
        for waiting in self._waiting:
            if waiting.pairing is pairing:
                waiting.asker, waiting.asked = asker, ref
                waiting.link.send(Paired(waiting.ref, pairing.chain, ""))
                return
        asker.send(Enrolled(ref, b"", Reason.ENROLMENT_FAILED.code, "nobody waits to record it; ask again later"))

    def _knocked(self, mac: str) -> None:
        """Whoever waits hears that the device is there: if it goes on asking, the code is not the one in it."""
        for waiting in self._waiting:
            if waiting.pairing.mac == mac and waiting.told != waiting.pairing.asked:
                waiting.told = waiting.pairing.asked
                waiting.link.send(Knocked(waiting.ref, waiting.told))

    def _recorded(self, link: Channel, ref: int) -> None:
        for waiting in self._waiting:
            if waiting.link is link and waiting.ref == ref and waiting.asker is not None:
                self._enrolments.recorded(waiting.pairing)
                waiting.asker.send(Enrolled(waiting.asked, waiting.pairing.chain, -1, ""))
                self._waiting.remove(waiting)
                waiting.timer.cancel()
                return

    def _watch(self, mac: str) -> None:
        for waiting in list(self._waiting):
            if waiting.pairing.mac == mac and waiting.pairing.wrong >= MOST_WRONG:
                self._end(waiting, f"{MOST_WRONG} wrong proofs came: the code is mistyped, or somebody poses as the device")

    def _late(self, pairing: Pairing) -> None:
        for waiting in list(self._waiting):
            if waiting.pairing is pairing:
                asked = pairing.asked
                words = (
                    f"it asked {asked} times and did not take the gateway's proof: is the code right?"
                    if asked
                    else "it did not ask: is it on, connected, and does it know enrolment?"
                )
                self._end(waiting, f"the device did not prove the code in time; {words}")

    def _end(self, waiting: Waiting, error: str) -> None:
        """Without a certificate."""
        self._waiting.remove(waiting)
        waiting.timer.cancel()
        self._enrolments.end(waiting.pairing)
        waiting.link.send(Paired(waiting.ref, b"", error))
        if waiting.asker is not None:
            words = "the gateway could not record the certificate; ask again later"
            waiting.asker.send(Enrolled(waiting.asked, b"", Reason.ENROLMENT_FAILED.code, words))

    def _lost(self, link: Channel) -> None:
        self.open.discard(link)
        for waiting in list(self._waiting):
            if waiting.link is link:
                self._end(waiting, "")


async def serve(config: Config, stop: asyncio.Event) -> None:
    """Sign until ``stop``. Makes the CA at the first start. Raises CaError, LookupError (no such user) and OSError."""
    door, enrolment, web = (service.uid_of(role) for role in ("door", "enrolment", "web"))
    authority = load_or_create(config.paths.ca_certificate, config.paths.ca_key)
    registry = RegistryFile(config.paths.registry)

    def now() -> datetime:
        return datetime.now(UTC)

    signer = Signer(authority, registry, door, now=now, enrolment_uid=enrolment, web_uid=web)
    links = Links(signer, Enrolments(authority, registry, days=config.door.certificate_days, now=now), enrolment)
    server = await channel.serve(config.paths.socket("signer"), links.make, uids=(door, enrolment, web))
    try:
        service.ready("signing")
        await stop.wait()
    finally:
        server.close()
        for link in list(links.open):
            link.close()
        await server.wait_closed()
        channel.withdraw(config.paths.socket("signer"))
