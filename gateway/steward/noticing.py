"""Notices for the pages: the same as `mudroom notices` tells, and which of them the owner has seen.

Seen is a decision: it goes on record, and into the box's memory. It must never take a notice out of the list of all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from gateway.box.remembered import seen
from gateway.config import Config
from gateway.ipc.ask import NoAnswer
from gateway.ipc.noticing import AskNotices, NoticeList, NoticeRow, SeeNotices
from gateway.ipc.steward import Done, Refusal
from gateway.ledger.noticing import look
from gateway.ledger.reader import LedgerError
from gateway.notices import Notice
from gateway.noting import on_record
from gateway.registry import Home, RegistryFile
from gateway.steward.record import Book

log = logging.getLogger(__name__)

DAYS = 30
COUNT_SECONDS = 10.0  # a page's navigation may be so late: what counts is looked at no more often
FRESH_SECONDS = 60.0  # support ends and certificates run out without anything on record
MOST = 512  # characters of a text


class Noticing:
    """``all`` and ``count`` run in the record's thread; ``see`` in the loop."""

    def __init__(self, config: Config, registry: RegistryFile, book: Book, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._registry = registry
        self._book = book
        self._clock = clock
        self._seen = seen(Path(config.paths.state))
        self._found: list[Notice] = []
        self._of: tuple[str, Home | None, float] = ("", None, 0.0)  # record's version, registry, when
        self._counted: tuple[int, float] | None = None

    def all(self, message: AskNotices) -> NoticeList:
        """Raises LedgerError, RegistryError, OSError."""
        known = self._seen.known()
        found = self._look()
        unseen = sum(notice.key not in known for notice in found)
        self._counted = (unseen, self._clock())
        rows = [notice for notice in found if not (message.unseen and notice.key in known)]
        shown = tuple(
            NoticeRow(each.id, each.kind, each.device[:64], each.at, each.words[:MOST], each.remedy[:MOST], each.key in known)
            for each in rows[: message.limit]
        )
        return NoticeList(message.ref, shown, len(rows) - len(shown), unseen)

    def count(self) -> int:
        """How many are unseen, as of lately; 0 where the record cannot be read, which its own pages say."""
        if self._counted is None or self._clock() - self._counted[1] > COUNT_SECONDS:
            try:
                known = self._seen.known()
                unseen = sum(notice.key not in known for notice in self._look())
            except (LedgerError, OSError, ValueError) as error:
                log.warning("notices are not counted: %s", error)
                unseen = 0
            self._counted = (unseen, self._clock())
        return self._counted[0]

    async def see(self, message: SeeNotices, role: str) -> Done | Refusal:
        """The owner has seen these."""
        if role != "owner":
            return Refusal(message.ref, "role")
        try:
            return await asyncio.to_thread(self._mark, message, role)
        except (NoAnswer, OSError) as error:
            return Done(message.ref, str(error)[:512])

    def _mark(self, message: SeeNotices, role: str) -> Done:
        wanted = set(message.ids)
        marked = [notice for notice in self._found if notice.id in wanted]
        if not marked:
            return Done(message.ref, "this notice is not there any more: what it told of is over")
        home = self._of[1]
        device = marked[0].device if len(marked) == 1 and home is not None and marked[0].device in home.by_id else ""
        what = ", ".join(f"{notice.kind} {notice.id}" for notice in marked)
        on_record(self._config, device, "seen", f"{role} at {message.address}", what[:MOST])
        self._seen.add((notice.key for notice in marked), time.time())
        self._counted = None
        return Done(message.ref, "")

    def _look(self) -> list[Notice]:
        version, home, now = self._book.version(), self._registry.current(), self._clock()
        known, of, at = self._of
        if version != known or home is not of or now - at > FRESH_SECONDS:
            self._found = look(self._book.reader, home, now=time.time(), seconds=DAYS * 86_400)
            self._of = (version, home, now)
        return self._found
