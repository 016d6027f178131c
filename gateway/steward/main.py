"""The steward process: a Unix socket for the pages' user, and what each question does.

Every question but the way in needs a session, and every decision the owner's; a decision is in the ledger before it is
carried out. Where systemd started it for a question, it ends by itself once nobody is logged in: it costs a box at rest nothing.
It must never open a socket to anything but the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gateway import decisions, deeds, scorecard, service
from gateway.box import firststart
from gateway.config import Config
from gateway.decisions import DecisionError
from gateway.ipc import channel as ipc
from gateway.ipc.channel import Channel
from gateway.ipc.inherited import given
from gateway.ipc.lan import AskLan, DecideLan, ToLan
from gateway.ipc.looking import AskLooks, StartLook, ToLooking
from gateway.ipc.noticing import AskNotices, SeeNotices
from gateway.ipc.pairing import AskPairings, StartPairing, StopPairing
from gateway.ipc.programs import AskFigures, AskTokens, Bearer, MakeToken, RevokeToken
from gateway.ipc.recording import AskChain, AskFound, AskPiece, Erase, ToRecord
from gateway.ipc.rulebook import AskRules, AskRulings, DecideRule, Rulings, ToRulebook
from gateway.ipc.scores import AskScores
from gateway.ipc.steward import (
    AskCounts,
    AskDeeds,
    AskMessage,
    AskMessages,
    AskNews,
    Begin,
    Counts,
    Decide,
    Deeds,
    Done,
    Enter,
    Entered,
    Leave,
    Messages,
    News,
    Refusal,
    Standing,
    Stands,
    ToSteward,
)
from gateway.ipc.trying import AskTrial
from gateway.ledger.reader import LedgerError
from gateway.policy.rule import RuleError
from gateway.registry import Certificate, Change, RegistryError, RegistryFile
from gateway.standard.manifest import ManifestError
from gateway.steward import archive, figures, lan, rulebook
from gateway.steward.erasing import Eraser
from gateway.steward.guesses import Guesses
from gateway.steward.looking import Looking
from gateway.steward.noticing import Noticing
from gateway.steward.pairing import Enrolling
from gateway.steward.passwords import PasswordError, Passwords, check
from gateway.steward.peer import Peer, Peers
from gateway.steward.programs import Programs, open_to_programs
from gateway.steward.record import Book
from gateway.steward.sessions import Sessions
from gateway.steward.tokens import ROLES
from gateway.steward.trying import Trials

log = logging.getLogger(__name__)

MOST_AT_ONCE = 64  # questions under way; the pages ask few
IDLE_SECONDS = 120.0  # without a session and a question, before it ends
WRONG = "This is not right. Look at what you typed and try again."

TellDhcp = Callable[[Config, Iterable[str]], None]


class Steward:
    """``tell_dhcp``: what the network's room does once somebody is admitted or forgotten."""

    def __init__(self, config: Config, tell_dhcp: TellDhcp, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._tell_dhcp = tell_dhcp
        self._clock = clock
        self._state = Path(config.paths.state)
        self._passwords = Passwords(self._state)
        self._registry = RegistryFile(config.paths.registry)
        self._book = Book(config.paths.ledger)
        self._walk = archive.Walk(config.paths.ledger, config.paths.anchors)
        self._trials = Trials(config)
        self._eraser = Eraser(config)
        self._reading = ThreadPoolExecutor(1, "record")  # SQLite's one thread: a long look holds up no login
        self._tasks: set[asyncio.Task[None]] = set()
        self._hashing = asyncio.Lock()  # one at a time: each takes 19 MiB
        self._deciding = asyncio.Lock()
        self.sessions = Sessions(clock)
        self.guesses = Guesses(clock)
        self.programs = Programs(config, clock)
        self.enrolling = Enrolling(config, self._registry, self._list_certificate, clock)
        self.looking = Looking(config, self._registry, self._deciding, clock)
        self.noticing = Noticing(config, self._registry, self._book, clock)
        self.peers = Peers()
        self._telling = asyncio.Lock()  # one long answer at a time: see Peers.room
        self.used = clock()

    def channel(self) -> Channel:
        """For one more peer."""
        return Peer(ToSteward | ToRecord | ToRulebook | ToLan | AskTrial | ToLooking, self._receive, self.peers)

    @property
    def idle(self) -> bool:
        """Whether ending now would lose nothing: no session, no question, nobody who still waits for a guess."""
        if self._tasks or self.enrolling.waiting or self.looking.under_way or len(self.sessions):
            return False
        return self.guesses.quiet and self.programs.guesses.quiet and self._clock() - self.used > IDLE_SECONDS

    async def close(self) -> None:
        """End what is under way."""
        await self.enrolling.close()
        await self.looking.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for link in list(self.peers.open):
            link.close()
        await asyncio.to_thread(self._walk.close)
        await asyncio.to_thread(self._trials.close)
        await asyncio.get_running_loop().run_in_executor(self._reading, self._book.close)
        self._reading.shutdown()

    def _receive(self, link: Channel, message: Any) -> None:
        if len(self._tasks) >= MOST_AT_ONCE:
            link.send(Refusal(message.ref, "too many questions at once; wait a moment"))
            return
        self.used = self._clock()
        task = asyncio.get_running_loop().create_task(self._answer(link, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, link: Channel, message: Any) -> None:
        try:
            answer = await self._look(message)
        except (LedgerError, RegistryError, OSError, ValueError) as error:
            log.error("%s: %s", type(message).__name__, error)
            answer = Refusal(message.ref, str(error)[:512])
        except Exception:
            log.exception("%s failed", type(message).__name__)
            answer = Refusal(message.ref, "the steward could not answer; its log says why")
        link.send(answer)

    async def _look(self, message: Any) -> Any:
        match message:
            case Begin():
                return await self._begin(message)
            case Enter():
                return await self._enter(message)
            case Standing():
                marks = self._passwords.marks()
                role = self.sessions.find(message.token, marks)
                return Stands(message.ref, role, "owner" in marks, await self._unseen() if role else 0)
            case Bearer():
                return await self.programs.bearer(message)
        program = self.programs.whose(message.token)
        role = ROLES[program.may] if program else self._session(message)
        if not role:
            return Refusal(message.ref, "session")
        if program and not open_to_programs(message):
            return Refusal(message.ref, "token")
        match message:
            case MakeToken() | RevokeToken() | AskTokens():
                return await self.programs.answer(message, role)
            case Decide():
                return await self._decide(message, role, f"token {program.name}" if program else role)
            case AskPiece() | AskChain(check=True) | Erase() | AskLan() | DecideLan() if role != "owner":
                return Refusal(message.ref, "role")
            case Erase():
                return await self._eraser.erase(message, f"{role} at {message.address}")
            case DecideRule():
                return await self._decide_rule(message, role)
            case DecideLan():
                async with self._deciding:
                    by = f"{role} at {message.address}"
                    return await asyncio.to_thread(lan.decide, self._config, self._registry, message, by)
            case AskTrial():
                return await self._trials.answer(message, self._registry.current())
            case Leave():
                self.sessions.end(message.token)
                return Done(message.ref, "")
            case StartPairing() | StopPairing() | AskPairings():
                return await self.enrolling.answer(message, role)
            case SeeNotices():
                return await self.noticing.see(message, role)
            case StartLook() | AskLooks():
                return await self.looking.answer(message, role, program.name if program else "")
        async with self._telling:  # until it is queued: nothing is awaited between here and there
            await self.peers.room()
            return await asyncio.get_running_loop().run_in_executor(self._reading, self._told, message)

    async def _unseen(self) -> int:
        return await asyncio.get_running_loop().run_in_executor(self._reading, self.noticing.count)

    def _told(self, message: Any) -> Any:
        """In the record's thread."""
        ref = message.ref
        match message:
            case AskNews():
                return News(ref, f"{self._book.version()}-{self.enrolling.version}-{self.looking.version}")
            case AskMessages():
                look = self._book.refusals if message.refused else self._book.messages
                return Messages(ref, look(message.device, message.limit))
            case AskMessage():
                return self._book.whole(ref, message.id)
            case AskCounts():
                newest = () if message.device else self._book.newest()
                (shown, left), (spent, unspent) = self._book.tried(message.device), self._book.spent(message.device)
                return Counts(ref, shown, spent, newest, left, unspent)
            case AskRules():
                return rulebook.shown(self._config, self._registry.current(), ref)
            case AskRulings():
                return Rulings(ref, rulebook.decided(self._book.reader, message.id))
            case AskFound():
                return archive.found(self._book, ref, message.sought, message.before)
            case AskPiece():
                return archive.piece(self._book, message)
            case AskChain():
                if message.check:
                    self._walk.begin()
                return self._walk.told(ref, self._book, self._eraser.words)
            case AskFigures():
                return figures.gather(ref, self._config, self._book.reader, self._registry.current())
            case AskScores():
                return self._book.scores(ref, scorecard.owners(self._registry.current()), time.time_ns())
            case AskLan():
                return lan.shown(self._config, self._registry, message)
            case AskDeeds():
                return Deeds(ref, self._book.deeds(message.limit))
            case AskNotices():
                return self.noticing.all(message)
        raise ValueError(f"nobody answers {type(message).__name__}")

    def _session(self, message: Any) -> str:
        """Whose session asks; empty where nobody's."""
        return self.sessions.find(message.token, self._passwords.marks(), touch=not isinstance(message, AskNews))

    # --- the way in ---

    async def _begin(self, message: Begin) -> Entered:
        """First start."""
        if wait := self.guesses.wait(message.address):
            return Entered(message.ref, "", "", wait, "")
        async with self._hashing:
            if "owner" in self._passwords.marks() or not firststart.matches(self._state, message.code):
                return Entered(message.ref, "", "", 0, "This is not the code that the box shows on its screen now.")
            try:
                check(message.password)
                await asyncio.to_thread(self._noted, message.address, "", "first-start", "", giving=False)
                await asyncio.to_thread(self._passwords.put, "owner", message.password)
            except PasswordError as error:
                return Entered(message.ref, "", "", 0, str(error))
            # last: were the power cut before, the code on the screen would still serve
            firststart.claim(self._state, message.code)
        log.warning("the owner's password was set with the first-start code, from %s", message.address)
        self.guesses.forgive(message.address)
        return self._entered(message.ref, "owner")

    async def _enter(self, message: Enter) -> Entered:
        if wait := self.guesses.wait(message.address):
            return Entered(message.ref, "", "", wait, "")
        async with self._hashing:
            role = await asyncio.to_thread(self._passwords.role, message.password)
        if not role:
            log.warning("a wrong password came from %s", message.address)
            return Entered(message.ref, "", "", 0, WRONG)
        if role == "owner":  # who knows the household's could else try the owner's as often as he likes, between two logins
            self.guesses.forgive(message.address)
        log.info("%s logged in from %s", role, message.address)
        return self._entered(message.ref, role)

    def _entered(self, ref: int, role: str) -> Entered:
        return Entered(ref, self.sessions.begin(role, self._passwords.marks()[role]), role, 0, "")

    # --- decisions ---

    async def _decide(self, message: Decide, role: str, who: str) -> Done | Refusal:
        if role != "owner":
            return Refusal(message.ref, "role")
        async with self._deciding:
            try:
                if message.what == "password":
                    await self._check_old(message)
                if message.what == "household" and message.value:
                    self._count_guess(message)
                if message.what in ("household", "password"):
                    unrecorded = await self._set_password(message)
                else:
                    unrecorded = await asyncio.to_thread(self._change, message, who)
            except (DecisionError, RegistryError, ManifestError, PasswordError, OSError) as error:  # NotRecorded is one
                log.warning("%s of %s was not done: %s", message.what, message.device or "the house", error)
                return Done(message.ref, str(error)[:512])
        log.info("%s of %s, by %s at %s", message.what, message.device or "the house", who, message.address)
        return Done(message.ref, "", unrecorded[:512])

    async def _decide_rule(self, message: DecideRule, role: str) -> Done | Refusal:
        if role != "owner":
            return Refusal(message.ref, "role")

        def note(device: str, what: str, detail: str, giving: bool) -> str:
            return self._noted(message.address, device, what, detail, giving=giving)

        async with self._deciding:
            try:
                unrecorded = await asyncio.to_thread(rulebook.decide, self._config, self._registry.current(), message, note)
            except (DecisionError, RuleError, RegistryError, OSError) as error:  # NotRecorded is one
                log.warning("rule %s was not done: %s", message.act, error)
                return Done(message.ref, str(error)[:512])
        return Done(message.ref, "", unrecorded[:512])

    def _noted(self, address: str, device: str, what: str, detail: str, *, giving: bool) -> str:
        """See ``gateway.deeds.noted``. In a thread: it waits for the disk."""
        return deeds.noted(self._config, f"owner at {address}", device, what, detail, giving=giving)

    def _change(self, message: Decide, who: str) -> str:
        """On record, and then carried out; why it is not on record, where it takes away only. In a thread."""
        dmz, device, value = self._config.dmz, message.device, message.value
        detail = " ".join(word for word in (value, message.name) if word)
        by = f"{who} at {message.address}"
        with deeds.deciding(self._config, self._registry, by, device, message.what, detail=detail) as decision:
            change = decision.change
            match message.what:
                case "kind":
                    decisions.set_kind(change, device, value)
                case "approve":
                    said = message.name.split()
                    decisions.unsure(change, device, unsigned="unsigned" in said, new_signer="new-signer" in said)
                    decisions.approve_waiting(change, device, dmz.pool_ipv4, dmz.pool_ipv6, seen=value, now=int(time.time()))
                case "decline":
                    decisions.decline_waiting(change, device, seen=value)
                case "admit":
                    decisions.admit(change, device, value, message.name)
                    decision.then = self._tell
                case "forget":
                    change.forget(device)
                    decision.then = self._tell
                case "budget":
                    change.bound_leaks(device, bits_per_day=decisions.budget(value))
                case "pace":
                    change.bound_leaks(device, slot_seconds=decisions.pace(value))
                case _:
                    raise DecisionError(f"nobody can {message.what}")
        return decision.unrecorded

    async def _list_certificate(self, device: str, certificate: Certificate, by: str) -> None:
        """What enrolment made: on record, and then listed. Raises RegistryError, NotRecorded."""
        async with self._deciding:
            await asyncio.to_thread(self._certify, device, certificate, by)

    def _certify(self, device: str, certificate: Certificate, by: str) -> None:
        with deeds.deciding(self._config, self._registry, by, device, "certify", detail=certificate.serial) as decision:
            decision.change.add_certificate(device, certificate)

    def _tell(self, change: Change) -> None:
        self._tell_dhcp(self._config, (device.mac for device in change.registry.devices))

    async def _check_old(self, message: Decide) -> None:
        """Who found an open browser shall not lock the owner out: guesses count here as at the door."""
        self._count_guess(message)
        async with self._hashing:
            if await asyncio.to_thread(self._passwords.role, message.name) != "owner":
                raise PasswordError("the password until now is not right")
        self.guesses.forgive(message.address)
        check(message.value)

    def _count_guess(self, message: Decide) -> None:
        """That the household's may not be the owner's tells whether one guessed the owner's: it is a try, and stays one."""
        if wait := self.guesses.wait(message.address):
            raise PasswordError(f"too many tries; wait {wait} seconds")

    async def _set_password(self, message: Decide) -> str:
        role = "owner" if message.what == "password" else "household"
        async with self._hashing:
            await asyncio.to_thread(self._passwords.may, role, message.value)
            detail = "" if message.value else "none"
            unrecorded = await asyncio.to_thread(
                self._noted, message.address, "", message.what, detail, giving=bool(message.value)
            )
            await asyncio.to_thread(self._passwords.put, role, message.value)
        return unrecorded


async def serve(
    config: Config, tell_dhcp: TellDhcp, stop: asyncio.Event, uids: Callable[[], Iterable[int]] | None = None
) -> None:
    """Answer until ``stop``, or until it rests where systemd holds the socket. Raises LookupError (no such user) and OSError."""
    path = config.paths.socket("steward")
    steward = Steward(config, tell_dhcp)
    server = await ipc.serve(path, steward.channel, uids() if uids else (service.uid_of("web"),))
    try:
        service.ready("waiting for the owner")
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 15.0)
            if given.owns(path) and steward.idle:
                log.info("nobody is logged in; the next question starts it again")
                break
    finally:
        server.close()
        await steward.close()
        await server.wait_closed()
        ipc.withdraw(path)
