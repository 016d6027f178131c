"""Looks at vendors' manifests for the pages: what `mudroom manifest fetch` does, while the page goes on.

A look is on record before it is asked for, one at a time for each device and a few together, and ends by itself. It must never
ask at an address that the owner was not shown, nor hold up another question while a vendor takes his time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from gateway import announced, fetching
from gateway.config import Config
from gateway.decisions import DecisionError
from gateway.fetching import Found
from gateway.ipc.asking import once
from gateway.ipc.looking import AskLooks, LookRow, Looks, StartLook, State, ToLooking
from gateway.ipc.messages import AskFetch, FetchAnswer
from gateway.ipc.steward import Done, Refusal
from gateway.plain import plain
from gateway.registry import Device, Home, RegistryError, RegistryFile

log = logging.getLogger(__name__)

MOST_AT_ONCE = 4  # half of what the ledger takes: the rest is the command's
MOST_ROWS = 256
MOST_KEPT = 64  # of those that ended
MOST_WORDS = 700
SHOWN_SECONDS = 3600.0  # how long it is told how one ended
BUSY = f"{MOST_AT_ONCE} looks are under way; wait until one of them has ended"
TOLD: dict[State, str] = {
    "same": "It is the approved one; nothing changed.",
    "applied": "It only asks for less, so it is in force.",
    "waits": "It waits for your word.",
    "local-only": "It is a MUD file without Clear Envelope: with it, the device can only be local.",
}


@dataclass
class One:
    """One device's last look. ``since``: of the monotonic clock, when it ended."""

    device: str
    mac: str
    url: str
    by: str
    at: int
    state: State = "looking"
    words: str = ""
    note: str = ""
    since: float = 0.0
    task: asyncio.Task[None] | None = None


class Looking:
    """All looks of the pages. ``deciding``: held while the registry is changed."""

    def __init__(
        self, config: Config, registry: RegistryFile, deciding: asyncio.Lock, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._registry = registry
        self._deciding = deciding
        self._clock = clock
        self._each: dict[str, One] = {}
        self._starting = asyncio.Lock()
        self.version = 0  # differs whenever a page would show something else

    @property
    def under_way(self) -> bool:
        """Whether ending now would lose what a vendor is about to answer."""
        return any(one.state == "looking" for one in self._each.values())

    async def answer(self, message: ToLooking, role: str, program: str = "") -> Done | Looks | Refusal:
        """What a question of the pages gets. ``program``: by whose token it comes; empty: by a session."""
        if isinstance(message, AskLooks):
            self._tidy()
            # both of one moment: a look that has ended meanwhile has changed the registry, too
            each = {name: replace(one) for name, one in self._each.items()}
            return await asyncio.to_thread(self._told, message, self._registry.current(), each)
        if role != "owner":
            return Refusal(message.ref, "role")
        try:
            async with self._starting:  # two clicks at once are one look
                await self._start(message, role, program)
        except (DecisionError, RegistryError, OSError) as error:  # FetchError, NotRecorded
            log.warning("a look for %s was not begun: %s", message.device, plain(error))
            return Done(message.ref, str(error)[:512])
        return Done(message.ref, "")

    async def close(self) -> None:
        """End those under way: what has left is still recorded when it comes."""
        tasks = [one.task for one in self._each.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- within ---

    async def _start(self, message: StartLook, role: str, program: str) -> None:
        home = self._registry.current()
        device = home.by_id.get(message.device)
        if device is None:
            raise DecisionError(f"there is no device {message.device}; admit it first")
        if wrong := fetching.unfit(message.url):
            raise DecisionError(wrong)
        where = announced.address(self._config, home, device)
        if where is None or where.url != message.url:
            raise DecisionError(f"{device.id} does not name this address any more; look at the one that it names now")
        if where.announced and program:  # what no person has seen would be a way out for whatever a device puts into it
            raise DecisionError(f"{device.id} chose this address: only the owner looks there, on the pages or by the command")
        self._free(device.id)
        by = f"{f'token {program}' if program else role} at {message.address}"
        words = fetching.ANNOUNCED if where.announced else fetching.APPROVED
        await asyncio.to_thread(fetching.noted, self._config, by, device.id, words)
        one = self._each[device.id] = One(device.id, device.mac, message.url, by, time.time_ns())
        one.task = asyncio.get_running_loop().create_task(self._look(one))
        self.version += 1
        log.info("looking for the manifest of %s, for %s", device.id, by)

    def _free(self, device: str) -> None:
        self._tidy()
        looking = [one.device for one in self._each.values() if one.state == "looking"]
        if device in looking:
            raise DecisionError(f"a manifest of {device} is being looked for already; wait until that has ended")
        if len(looking) >= MOST_AT_ONCE:
            raise DecisionError(BUSY)

    async def _look(self, one: One) -> None:
        """Says how it ended, whatever happens."""
        try:
            found = await self._found(one)
            state = await self._offered(one, found) if found.manifest is not None else "local-only"
        except asyncio.CancelledError:
            self._ended(one, "failed", "the steward ended before there was an answer; look again")
            raise
        except (OSError, ValueError) as error:  # FetchError, NoAnswer, NotRecorded; ManifestError, SignatureError, RegistryError
            log.warning("a look for %s found nothing: %s", one.device, plain(error))
            self._ended(one, "failed", str(error) or type(error).__name__)
        except Exception:
            log.exception("a look for %s failed in an unforeseen way", one.device)
            self._ended(one, "failed", "this has a fault; the log of mudroom-steward says where")
        else:
            log.info("a look for %s found: %s", one.device, state)
            self._ended(one, state, TOLD[state], found.note)

    async def _found(self, one: One) -> Found:
        """Raises what ``fetching.steps`` raises, and NoAnswer."""
        courier = self._config.courier
        seconds = courier.connect_seconds + courier.answer_seconds + fetching.SPARE_SECONDS
        under_way = fetching.steps(one.device, one.url)
        step = fetching.advance(under_way)
        while isinstance(step, AskFetch):
            answer = await once(self._config.paths.socket("ledger"), step, FetchAnswer, seconds)
            step = await asyncio.to_thread(fetching.advance, under_way, answer)  # a long file is read outside the loop
        return step

    async def _offered(self, one: One, found: Found) -> State:
        async with self._deciding:
            outcome, decision = await asyncio.to_thread(
                fetching.offered, self._config, self._registry, one.by, one.device, found.document,
                signer=found.signer, mac=one.mac,
            )  # fmt: skip
        if decision.unrecorded:
            one.note = f"NOT ON RECORD: {decision.unrecorded}"
        return next(state for state in TOLD if state == outcome.state)

    def _ended(self, one: One, state: State, words: str, note: str = "") -> None:
        one.state, one.words, one.at, one.since = state, plain(words), time.time_ns(), self._clock()
        one.note = plain(". ".join(filter(None, (one.note, note))))
        self.version += 1

    def _told(self, message: AskLooks, home: Home, each: dict[str, One]) -> Looks:
        """In a thread: it reads what devices announced."""
        devices = [device for device in home.registry.devices if message.device in ("", device.id)]
        rows = tuple(self._row(home, device, each.get(device.id)) for device in devices[:MOST_ROWS])
        return Looks(message.ref, rows, max(len(devices) - MOST_ROWS, 0))

    def _row(self, home: Home, device: Device, one: One | None) -> LookRow:
        where = announced.address(self._config, home, device)
        url = where.url if where else ""
        unfit = fetching.unfit(url) if url else ""
        host = (urlsplit(url).hostname or "") if url and not unfit else ""
        if one is None or one.mac != device.mac or (one.state == "waits" and device.waiting is None):  # decided since
            return LookRow(device.id, url, host, bool(where and where.announced), unfit, "", 0, "", "")
        return LookRow(
            device.id, url, host, bool(where and where.announced), unfit, one.state, one.at, one.words[:MOST_WORDS],
            one.note[:MOST_WORDS],
        )  # fmt: skip

    def _tidy(self) -> None:
        """How one ended long ago is on record; a list here is for who just looked."""
        now = self._clock()
        ended = sorted((one for one in self._each.values() if one.state != "looking"), key=lambda one: -one.since)
        for number, one in enumerate(ended):
            if number >= MOST_KEPT or now - one.since > SHOWN_SECONDS:
                del self._each[one.device]
