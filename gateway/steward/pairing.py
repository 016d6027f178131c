"""Enrolment by the label's code, as the pages do it: the code goes to the signer, and this waits until its device came.

It does what `mudroom devices pair` does (gateway/cli/pairing.py), without a terminal. A code is held no longer than it takes to
hand it on: no row, no log line and no record holds one. It must never list a certificate that the signer did not send.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.config import Config
from gateway.decisions import DecisionError
from gateway.ipc import channel as ipc
from gateway.ipc.ask import NoAnswer
from gateway.ipc.channel import Channel
from gateway.ipc.messages import Knocked, Pair, Paired, Recorded
from gateway.ipc.pairing import AskPairings, PairingRow, Pairings, StartPairing, StopPairing
from gateway.ipc.steward import Done, Refusal
from gateway.noting import on_record
from gateway.registry import Certificate, Device, Kind, RegistryError, RegistryFile
from gateway.standard.enrolment import EnrolmentError, canonical_code

log = logging.getLogger(__name__)

MOST_WAITING = 16  # the signer's own bound
MOST_ROWS = 32
SHOWN_SECONDS = 3600.0  # how long it is told how one ended
SPARE_SECONDS = 10.0  # the signer ends the wait; this is for a signer that hangs
BUSY = f"{MOST_WAITING} devices are waited for; stop one of them, or wait until it ends"

Questions = StartPairing | StopPairing | AskPairings
List = Callable[[str, Certificate, str], Awaitable[None]]  # device, certificate, by whom


@dataclass
class One:
    """One device's pairing. ``ends``: of the wall clock, for people; ``since``: of the monotonic one, when it ended."""

    device: str
    mac: str
    by: str
    ends: float
    state: str = "waiting"
    asked: int = 0
    words: str = ""
    since: float = 0.0
    task: asyncio.Task[None] | None = None

    def end(self, state: str, words: str, clock: float) -> None:
        """It waits no more."""
        self.state, self.words, self.since, self.ends = state, words[:512], clock, time.time()


class Enrolling:
    """All pairings of the pages. ``record``: lists a certificate in the registry, or raises RegistryError or NoAnswer."""

    def __init__(self, config: Config, registry: RegistryFile, record: List, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._registry = registry
        self._record = record
        self._clock = clock
        self._each: dict[str, One] = {}
        self.version = 0  # differs whenever a page would show something else

    @property
    def waiting(self) -> bool:
        """Whether ending now would forget a code that somebody waits with."""
        return any(one.state == "waiting" for one in self._each.values())

    async def answer(self, message: Questions, role: str) -> Done | Pairings | Refusal:
        """What a question of the pages gets."""
        if isinstance(message, AskPairings):
            return Pairings(message.ref, self.rows())
        if role != "owner":
            return Refusal(message.ref, "role")
        try:
            if isinstance(message, StartPairing):
                await self._start(message, role)
            else:
                await self._stop(message.device)
        except (DecisionError, EnrolmentError, RegistryError, NoAnswer) as error:
            return Done(message.ref, str(error)[:512])
        return Done(message.ref, "")

    def rows(self) -> tuple[PairingRow, ...]:
        """The latest first. Raises RegistryError."""
        self._tidy()
        newest = sorted(self._each.values(), key=lambda one: (one.state != "waiting", -one.ends))
        return tuple(PairingRow(one.device, one.state, int(one.ends * 10**9), one.asked, one.words) for one in newest)

    async def close(self) -> None:
        """Forget every code."""
        tasks = [one.task for one in self._each.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- within ---

    async def _start(self, message: StartPairing, role: str) -> None:
        code = canonical_code(message.code)
        device = self._known(message.device)
        self._free(device.id)
        # on record, or nothing is done; what it says holds no code
        by = f"{role} at {message.address}"
        await asyncio.to_thread(on_record, self._config, device.id, "pair", by, f"for {message.seconds} seconds")
        self._free(device.id)  # somebody else may have begun meanwhile
        one = self._each[device.id] = One(device.id, device.mac, by, time.time() + message.seconds)
        one.task = asyncio.get_running_loop().create_task(self._wait(one, Pair(1, device.id, device.mac, code, message.seconds)))
        self.version += 1
        log.info("waiting for %s to prove its code, by the %s at %s", device.id, role, message.address)

    def _known(self, name: str) -> Device:
        device = self._registry.current().by_id.get(name)
        if device is None:
            raise DecisionError(f"there is no device {name}; admit it first")
        if device.kind not in (Kind.LOCAL, Kind.STANDARD):
            raise DecisionError(f"{name} is {device.kind.value}; make it local first, then enter its code")
        return device

    def _free(self, device: str) -> None:
        self._tidy()
        known = self._each.get(device)
        if known is not None and known.state == "waiting":
            raise DecisionError(f"{device} is waited for already; stop that first, then enter the code anew")
        if sum(one.state == "waiting" for one in self._each.values()) >= MOST_WAITING:
            raise DecisionError(BUSY)

    async def _stop(self, device: str) -> None:
        one = self._each.get(device)
        if one is None or one.state != "waiting" or one.task is None:
            raise DecisionError(f"{device} is not waited for any more")
        one.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await one.task
        if one.state == "waiting":  # it was not begun yet
            one.end("stopped", "", self._clock())
            self.version += 1

    async def _wait(self, one: One, question: Pair) -> None:
        try:
            await self._talk(one, question)
        except asyncio.CancelledError:
            one.end("stopped", "", self._clock())
            raise
        except (OSError, TimeoutError, ValueError) as error:  # RegistryError and NoAnswer are among them
            log.warning("%s was not enrolled: %s", one.device, error)
            one.end("failed", str(error) or "the signer did not answer; `mudroom status` tells more", self._clock())
        except Exception:
            log.exception("%s was not enrolled", one.device)
            one.end("failed", "this has a fault; the log of mudroom-steward says where", self._clock())
        else:
            log.info("%s has proved its code and has a certificate", one.device)
            one.end("enrolled", "", self._clock())
        finally:
            self.version += 1

    async def _talk(self, one: One, question: Pair) -> None:
        """Raises OSError, TimeoutError, ValueError."""
        path: Path = self._config.paths.socket("signer")
        answered: asyncio.Future[Paired] = asyncio.get_running_loop().create_future()

        def receive(_link: Channel, message: Paired | Knocked) -> None:
            if isinstance(message, Knocked):
                one.asked = message.asked
                self.version += 1
            elif not answered.done():
                answered.set_result(message)

        def lost(_link: Channel) -> None:
            if not answered.done():
                answered.set_exception(NoAnswer("the signer ended the conversation; its log says why"))

        link = await ipc.connect(path, Channel(Paired | Knocked, receive, lost))
        try:
            seconds = question.seconds
            link.send(question)
            del question  # the code is the signer's now
            async with asyncio.timeout(seconds + SPARE_SECONDS):
                answer = await answered
            if answer.error or not answer.chain:
                raise NoAnswer(answer.error or "the signer sent nothing")
            from gateway.pairing import listed  # cryptography is loaded for who was paired, not for every login

            await self._record(one.device, listed(answer.chain), one.by)
            link.send(Recorded(answer.ref))
        finally:
            link.close()

    def _tidy(self) -> None:
        """How one ended long ago is on record; a list here is for who just did it. Who was forgotten is not waited for."""
        now = self._clock()
        known = self._registry.current().by_mac
        for one in self._each.values():
            device = known.get(one.mac)
            if one.state == "waiting" and one.task is not None and (device is None or device.id != one.device):
                one.task.cancel()
        for name, one in list(self._each.items()):
            if one.state != "waiting" and now - one.since > SHOWN_SECONDS:
                del self._each[name]
        ended = [name for name, one in self._each.items() if one.state != "waiting"]
        for name in ended[: max(len(self._each) - MOST_ROWS, 0)]:
            del self._each[name]
