"""A rule tried over the record before it holds, for the pages: by the function that `mudroom rules try` calls.

In a thread and with a file of its own, one at a time, for a few seconds and so many records at most. It reads only: it must
never write a rule, put anything on record, or show a try as whole that was not.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from gateway import rulewriting
from gateway.config import Config
from gateway.decisions import DecisionError
from gateway.ipc.trying import AskTrial, Difference, Trial
from gateway.ledger.reader import Reader, Record
from gateway.plain import plain
from gateway.policy.rule import Rule, RuleError
from gateway.policy.wording import said
from gateway.registry import Home
from gateway.rules import read
from gateway.steward import rulebook

SECONDS = 6.0  # less than the pages wait for an answer
MOST_RECORDS = 50_000
AT_ONCE = 8  # records in memory: each holds texts of up to a megabyte
MOST_PLACES = 40
MOST_TOLD = 200  # places told apart, so that there is an end to what is kept of them
MOST_SHOWN = 160  # characters of a value
BUSY = "A rule is being tried already; try again in a few seconds."


class Trials:
    """``seconds``: how long one may look."""

    def __init__(self, config: Config, seconds: float = SECONDS) -> None:
        self._config = config
        self._seconds = seconds
        self._worker = ThreadPoolExecutor(1, "try")
        self._stop = threading.Event()
        self._busy = asyncio.Lock()

    async def answer(self, message: AskTrial, home: Home) -> Trial:
        """What would have been. Raises LedgerError, OSError."""
        if self._busy.locked():
            return Trial(message.ref, error=BUSY)
        async with self._busy:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._worker, self._try, message, home)
            except (DecisionError, RuleError) as error:
                return Trial(message.ref, error=str(error)[:512])

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._worker.shutdown()

    def _try(self, message: AskTrial, home: Home) -> Trial:
        from gateway.ledger.replaying import replay  # the judge takes memory: not before somebody tries

        rule, there, rules = _meant(self._config, home, message)
        look = _Look(message, home, rule, self._stop, self._seconds)
        with Reader(self._config.paths.ledger) as reader:
            found = replay(look.records(reader), home, self._config, there, rules, places=MOST_TOLD)
        differences = sorted(found.changes.values(), key=lambda change: -change.messages)
        return Trial(
            message.ref, _cut(said(rule)), found.messages, found.skipped, look.since, look.cut, found.bits_now, found.bits_then,
            tuple(
                Difference(
                    c.device[:64], c.type[:64], c.pointer[:512], c.messages,
                    tuple((_cut(now), _cut(then)) for now, then in c.examples), refused=c.then.startswith("refused"),
                )
                for c in differences[:MOST_PLACES]
            ),
            max(len(differences) - MOST_PLACES, 0),
        )  # fmt: skip


class _Look:
    """Those records that the rule may be about, newest first, for as long as there is time."""

    def __init__(self, message: AskTrial, home: Home, rule: Rule, stop: threading.Event, seconds: float) -> None:
        self.since = time.time_ns() - message.days * 86_400 * 10**9
        self.cut = False
        self._stop, self._end = stop, time.monotonic() + seconds
        self._type = message.wish.type if message.wish else ""
        self._devices = {message.wish.device} if message.wish and not message.wish.everywhere else set(home.by_id)

    def records(self, reader: Reader) -> Iterator[Record]:
        """Sets ``cut`` and ``since`` where it ends early."""
        number = 0
        for at, record in reader.replaying(self.since, AT_ONCE):
            if number >= MOST_RECORDS or time.monotonic() > self._end or self._stop.is_set():
                self.cut, self.since = True, at
                return
            if record is not None:
                number += 1
                if record.device in self._devices and self._type in ("", record.type):
                    yield record


def _meant(config: Config, home: Home, message: AskTrial) -> tuple[Rule, tuple[Rule, ...], tuple[Rule, ...]]:
    """The rule, the rules now and the rules then. Raises DecisionError, RuleError."""
    if message.act == "add":
        new = rulebook.proposed(config, home, message.wish)
        return new.rule, new.there, new.then
    folder = config.paths.rules
    there = read(folder).rules
    if message.act == "off":
        rule = next((rule for rule in there if rule.name == message.name), None)
        if rule is not None:
            return rule, there, rulewriting.without(there, message.name)
    else:
        table = next((table for rule, table in rulewriting.off(folder) if rule.name == message.name), None)
        if table is not None:
            rules = rulewriting.would(folder, table)
            return next(rule for rule in rules if rule.name == message.name), there, rules
    raise DecisionError("there is no such rule; it may have been removed or switched already")


def _cut(text: str) -> str:
    text = plain(text)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"
