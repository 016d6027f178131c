"""The owner's rules on disk: a folder of TOML files, read by the doors and the courier without a restart, written by the owner.

``RulesFolder.current`` costs one stat(2) for the folder and one for each file when nothing changed, so a rule holds from the
next message on. A folder that is absent holds no rules. One that cannot be read or has an error keeps the rules that were good
before; where there never were any, it gives none at all and the caller must refuse. This module never decides about a message.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.policy.coarse import Unfit
from gateway.policy.moment import Moment
from gateway.policy.plan import Plan, RuledOut, Subject, certain, compiled
from gateway.policy.review import Declared
from gateway.policy.rule import MAX_FILE, Action, Rule, RuleError, joined, parse
from gateway.policy.shutting import shuts_out
from gateway.reasons import Reason
from gateway.registry import Device, Home
from gateway.standard.canonical import encode
from gateway.standard.manifest import Direction, Manifest, MessageType
from gateway.standard.refusal import Refusal
from gateway.standard.schema import Schema

log = logging.getLogger(__name__)

MAX_FILES = 64
MAX_PLANS = 2_048
SETTLED = 100_000_000  # ns: a file system's clock may be so coarse that a second change shows no other time
SUFFIX = ".toml"
RETRY_UNREADABLE, RETRY_UNFIT = 60, 3_600  # seconds

_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """The folder as it is on disk. ``ignored``: names of files that hold no rules for want of the ending ``.toml``."""

    rules: tuple[Rule, ...]
    ignored: tuple[str, ...] = ()


def read(folder: Path, instead: dict[str, bytes] | None = None) -> Found:
    """Read and check all files. ``instead``: content by file name, in place of what is there or beside it.

    An absent folder is an empty one. Raises RuleError, also where something cannot be read.
    """
    contents = dict(instead or {})
    ignored: list[str] = []
    try:
        names = os.listdir(folder) if folder.exists() else []  # noqa: PTH208
        for name in sorted(names):
            if name.startswith(".") or name in contents:
                continue
            if not name.endswith(SUFFIX):
                ignored.append(name)
                continue
            contents[name] = _content(folder / name)
    except OSError as error:
        raise RuleError(f"{folder}: {error}; the gateway's users must be able to read the folder and its files") from error
    if len(contents) > MAX_FILES:
        raise RuleError(f"{folder}: {len(contents)} files; at most {MAX_FILES}: put rules together")
    return Found(joined(parse(name, contents[name]) for name in sorted(contents)), tuple(ignored))


def _content(path: Path) -> bytes:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise RuleError(f"{path.name}: no file; a rule's file is a plain one: remove it")
    if found.st_size > MAX_FILE:
        raise RuleError(f"{path.name}: {found.st_size} bytes; a file of rules has at most {MAX_FILE}: split it")
    return path.read_bytes()


class RulesFolder:
    """The folder as one process knows it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name = str(path)
        self._rules: tuple[Rule, ...] | None = None
        self._stamp: tuple[_Stamp, ...] | None = None
        self._files: tuple[str, ...] = ()
        self.fault = ""  # why what is on disk is not in force

    def current(self) -> tuple[Rule, ...]:
        """The rules in force. Raises RuleError where none were ever readable."""
        try:
            stamp = self._look()
        except OSError as error:
            self._stamp = None
            self._fail(f"{self.path}: {error}; the gateway's users must be able to read the folder and its files")
        else:
            if stamp is None or stamp != self._stamp:
                self._take()
        if self._rules is None:
            raise RuleError(self.fault)
        return self._rules

    def _look(self) -> tuple[_Stamp, ...] | None:
        """What tells one state of the folder from another; None where its list of files is to be read anew. Raises OSError."""
        try:
            found = os.stat(self._name)  # noqa: PTH116  # as in the registry: every message pays it
        except FileNotFoundError:
            return ()
        stamps = [(found.st_ino, found.st_mtime_ns, 0)]
        if self._stamp is None or self._stamp[:1] != (stamps[0],):
            return None
        for name in self._files:
            try:
                found = os.stat(name)  # noqa: PTH116
            except FileNotFoundError:
                return None
            stamps.append((found.st_ino, found.st_mtime_ns, found.st_size))
        return tuple(stamps)

    def _take(self) -> None:
        """Read everything; what is good comes into force."""
        began = time.time_ns()
        self._stamp = None
        try:
            self._files = tuple(sorted(str(path) for path in self.path.glob(f"*{SUFFIX}") if not path.name.startswith(".")))
            before = self._stat_all()
            self._read()
            after = self._stat_all()
        except OSError as error:  # gone between two looks: the next message looks again
            self._fail(f"{self.path}: {error}")
            return
        newest = max((mtime for _, mtime, _ in after), default=0)
        if before == after and not 0 <= began - newest < SETTLED:
            self._stamp = after

    def _read(self) -> None:
        try:
            rules = read(self.path).rules
        except RuleError as error:
            self._fail(str(error))
            return
        if rules != self._rules:
            log.warning("%d of the owner's rules are in force", len(rules))
            self._rules = rules
        self.fault = ""

    def _stat_all(self) -> tuple[_Stamp, ...]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return ()
        stamps = [(found.st_ino, found.st_mtime_ns, 0)]
        for name in self._files:
            found = Path(name).stat()
            stamps.append((found.st_ino, found.st_mtime_ns, found.st_size))
        return tuple(stamps)

    def _fail(self, why: str) -> None:
        if why != self.fault:
            kept = "the rules that were good before stay in force" if self._rules is not None else "so no message leaves"
            log.critical("the owner's rules cannot be used, %s: %s; see `mudroom rules check`", kept, why)
        self.fault = why


class Plans:
    """Rules compiled for each message type of each device, until files or manifests change."""

    def __init__(self, folder: RulesFolder) -> None:
        self._folder = folder
        self._rules: tuple[Rule, ...] = ()
        self._plans: dict[tuple[str, str, str], tuple[MessageType, Plan | RuledOut]] = {}
        self._held: dict[tuple[str, str, str, tuple[str, ...]], tuple[MessageType, Plan | RuledOut]] = {}

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Those that the plans are of."""
        return self._rules

    def look(self) -> tuple[Rule, ...]:
        """The rules of this moment. Raises RuledOut where they cannot be read."""
        rules = _read_or_out(self._folder)
        if rules is not self._rules:
            self._plans.clear()
            self._held.clear()
            self._rules = rules
        return rules

    def plan(self, device: Device, manifest: Manifest, one: MessageType) -> Plan | None:
        """The plan; None where no rule is for such messages. Raises RuledOut where rules cannot be read or do not fit."""
        rules = self.look()
        if not rules:
            return None
        key = (device.id, device.kind, one.name)
        known = self._plans.get(key)
        if known is None or known[0] is not one:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            known = self._plans[key] = (one, compile_for(rules, device, manifest, one))
        plan = _raised(known[1])
        return None if plan.idle else plan

    def hold(
        self, device: Device, manifest: Manifest, one: MessageType, *, schema: Schema, withheld: tuple[str, ...], payload: Any
    ) -> bool:
        """Whether a payload that is to leave, and ``withheld`` beside it, is as the rules of this moment say for certain.

        ``schema``: the declared one where members of ``withheld`` may be absent. Raises RuledOut where rules cannot be read
        or do not fit, for then nobody knows; what they refuse does not hold.
        """
        rules = self.look()
        if not rules:
            return True
        key = (device.id, device.kind, one.name, withheld)
        known = self._held.get(key)
        if known is None or known[0] is not one:
            if len(self._held) >= MAX_PLANS:
                self._held.clear()
            known = self._held[key] = (one, compile_for(certain(rules), device, manifest, one, schema))
        plan = _raised(known[1])
        if plan.idle:
            return True
        try:
            left = plan.apply(payload, Moment(0, 0)).payload
        except Refusal:
            return False
        return set(plan.withheld) <= set(withheld) and encode(left) == encode(payload)


class Quarantine:
    """Whom the owner's rules shut out as they are: nothing is asked, fetched or kept ready for it, and nothing handed to it."""

    def __init__(self, folder: RulesFolder) -> None:
        self._folder = folder
        self._known: dict[str, str] = {}
        self._of: tuple[tuple[Rule, ...], Home, int] | None = None  # rules, registry and minute of what is known

    def check(self, home: Home, device: Device, when: int) -> None:
        """``when``: ns since the epoch. Raises RuledOut where it is shut out, or where nobody can tell."""
        rule = self.by_rule(home, when).get(device.id, "")
        if rule:
            raise quarantined(device.id, rule)

    def by_rule(self, home: Home, when: int) -> dict[str, str]:
        """The rule that shuts out each device that is. Raises RuledOut where the rules cannot be read."""
        rules = _read_or_out(self._folder)
        minute = when // (60 * 10**9)
        known = self._of
        if known is None or known[0] is not rules or known[1] is not home or known[2] != minute:
            self._of = (rules, home, minute)
            self._known = {}
            if any(rule.do is Action.QUARANTINE for rule in rules):
                for device in home.registry.devices:
                    found = quarantining(rules, device, home.manifest_of(device), when)
                    if found is not None:
                        self._known[device.id] = found.name
        return self._known


def quarantining(rules: tuple[Rule, ...], device: Device, manifest: Manifest | None, when: int) -> Rule | None:
    """The rule that shuts the device out as it is, whatever it says; None where none does."""
    if manifest is None or not any(rule.do is Action.QUARANTINE for rule in rules):
        return None
    sent = [one for one in manifest.messages.values() if one.direction is Direction.FROM_DEVICE]
    subjects = [_subject(device, manifest, one) for one in sent]
    return shuts_out(rules, subjects or [Subject(device.id, device.kind, manifest.vendor.name, "", "")], local_moment(when))


def quarantined(device: str, rule: str) -> RuledOut:
    """What a device hears, and its owner reads, where a rule shut it out."""
    return RuledOut(
        Reason.RULE_QUARANTINED,
        "the owner's rules shut this device out; nothing of it leaves, and nothing comes to it",
        f"rule {rule} shut it out; `mudroom devices quarantine {device}` makes it last",
        rule=rule,
    )


def _read_or_out(folder: RulesFolder) -> tuple[Rule, ...]:
    try:
        return folder.current()
    except RuleError as error:
        told = "the gateway cannot read its owner's rules, so nothing leaves; try again later"
        raise RuledOut(Reason.RULES_UNREADABLE, told, str(error), retry_after=RETRY_UNREADABLE) from None


def _raised(plan: Plan | RuledOut) -> Plan:
    if isinstance(plan, RuledOut):  # a new one each time: an exception that is raised again grows
        raise RuledOut(plan.reason, plan.detail, plan.record, retry_after=plan.retry_after)
    return plan


def compile_for(
    rules: tuple[Rule, ...], device: Device, manifest: Manifest, one: MessageType, schema: Schema | None = None
) -> Plan | RuledOut:
    """The plan, or the refusal of every such message where a rule does not fit what is declared. ``schema``: in place of that."""
    try:
        return compiled(rules, _subject(device, manifest, one), schema or one.schema)
    except Unfit as error:
        told = "a rule of the owner's does not fit this message, so it does not leave; the owner is told"
        return RuledOut(Reason.RULE_UNFIT, told, str(error), retry_after=RETRY_UNFIT)
    except Exception as error:
        log.exception("the rules for %s of %s cannot be compiled", one.name, device.id)
        told = "the gateway failed to apply its owner's rules, so this message does not leave"
        return RuledOut(Reason.RULE_ERROR, told, f"{type(error).__name__} while compiling the rules; report this")


def closed(folder: Path) -> list[str]:
    """Files, or the folder, that the gateway's own users may not read, whatever root may."""
    import grp

    from gateway.service import GROUP

    try:
        group = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        group = -1
    found = []
    for path, others, ours in ((folder, 0o5, 0o50), *((path, 0o4, 0o40) for path in sorted(folder.glob(f"*{SUFFIX}")))):
        with contextlib.suppress(FileNotFoundError):
            state = path.stat()
            if state.st_mode & others != others and not (state.st_gid == group and state.st_mode & ours == ours):
                found.append(path.name)
    return found


def declared(home: Home) -> Iterator[Declared]:
    """All messages of all approved manifests, by device."""
    for device in home.registry.devices:
        manifest = home.manifest_of(device)
        if manifest is not None:
            for one in manifest.messages.values():
                yield Declared(_subject(device, manifest, one), one.schema, one.direction is Direction.FROM_DEVICE)


def _subject(device: Device, manifest: Manifest, one: MessageType) -> Subject:
    return Subject(device.id, device.kind, manifest.vendor.name, one.name, one.purpose, one.uses)


def local_moment(nanoseconds: int) -> Moment:
    """A time (ns since the epoch) as rules look at it, in the box's own time zone. Nothing says yet who is at home."""
    found = time.localtime(nanoseconds // 10**9)
    return Moment(found.tm_hour * 60 + found.tm_min, found.tm_wday)
