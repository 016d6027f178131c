"""Walking the chain: which record, if any, is not what was recorded, is missing, or was cut off behind an anchor.

Reads through a function that it is given, in pieces, and must never write. ``anchors`` are heads that somebody else kept
(gateway/anchors.py): without them a cut-off end cannot be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.ledger.chain import DAY, FIELDS, GENESIS, Fields, commitment, link, link_commitment

Read = Callable[..., list[Any]]  # a statement and its values; all rows


@dataclass(frozen=True, slots=True)
class Verification:
    """``records``: how many links hold; ``broken``: the first seq that does not, and ``why``; None where all hold.

    ``since``: the oldest record from which on none is missing but ``removed`` ones, which made room. ``erased``: records of which
    the commitment alone is left. ``anchored``: the newest anchor that was found in its place, 0 where there was none to find;
    ``unproved``: the newest anchor whose record made room, so that it shows nothing, 0 where there is none.
    """

    records: int
    head: bytes
    broken: int | None
    why: str
    since: int = 1
    removed: int = 0
    erased: int = 0
    anchored: int = 0
    unproved: int = 0


class _Walk:
    def __init__(self, anchors: Mapping[int, bytes]) -> None:
        self.anchors = anchors
        self.previous, self.seq, self.since = GENESIS, 0, 1
        self.held = self.gone = self.erased = self.anchored = self.unproved = 0
        self.committed = False  # whether a record of the chain's second version came by

    def verdict(self, broken: int | None = None, why: str = "") -> Verification:
        return Verification(
            self.held, self.previous, broken, why, self.since, self.gone, self.erased, self.anchored, self.unproved
        )

    def skip(self, last: int, digest: bytes) -> bool:
        """Go over a run of removed records; whether the anchors in it agree."""
        for anchor in [seq for seq in self.anchors if self.seq < seq <= last]:
            if anchor < last:
                self.unproved = max(self.unproved, anchor)
            elif not self._meets(anchor, digest):
                return False
        self.gone += last - self.seq
        self.since = last + 1 if not self.held else self.since
        self.seq, self.previous = last, digest
        return True

    def take(self, row: tuple[Any, ...]) -> str:
        """One record that follows; returns what is wrong with it, empty where nothing is."""
        *fields, bits, salt, committed, told, digest = row
        whole: Fields = tuple(fields)
        if told != self.previous:
            return "it does not follow the record before it"
        if wrong := self._content(whole, bits, salt, committed, digest):
            return wrong
        if not self._meets(whole[0], digest):
            return "it is not the record that was anchored in its place: the record was written anew from here or from before"
        self.previous, self.seq, self.held = digest, whole[0], self.held + 1
        return ""

    def _content(self, whole: Fields, bits: int, salt: bytes | None, committed: bytes | None, digest: bytes) -> str:
        if committed is None:
            if self.committed:
                return "it has no commitment, and records before it have one"
            return "" if link(self.previous, whole) == digest else "its content is not what was recorded"
        self.committed = True
        if salt is None:
            self.erased += 1
            if whole[2:] != ("", "", "", "", "", 0, whole[8] - whole[8] % DAY, b"", b"", 0, -1, "", "") or bits:
                return "it is said to be erased, and shows something"
        elif commitment(salt, whole, bits) != committed:
            return "its content is not what was recorded"
        held = link_commitment(self.previous, whole[0], whole[1], whole[8], committed) == digest
        return "" if held else "its place, kind, day or commitment is not what was recorded"

    def _meets(self, seq: int, digest: bytes) -> bool:
        wanted = self.anchors.get(seq)
        if wanted is None:
            return True
        self.anchored = max(self.anchored, seq)
        return wanted == digest


# The columns are a constant of ours; every value is bound.
def _chain(read: Read) -> str:
    sealed = bool(read("SELECT 1 FROM pragma_table_info('records') WHERE name = 'commitment'"))
    return (
        f"SELECT {', '.join(FIELDS)}, {'bits, salt, commitment' if sealed else '0, NULL, NULL'}, previous, hash"  # noqa: S608
        " FROM records WHERE seq > ? ORDER BY seq LIMIT ?"
    )


def verify(read: Read, newest: int | None = None, anchors: Mapping[int, bytes] | None = None) -> Verification:
    """Walk the chain, all of it or its ``newest`` records. ``anchors``: hash by seq."""
    walk = _Walk(anchors or {})
    chain = _chain(read)
    if newest is not None:
        for start, told in read(
            "SELECT seq, previous FROM (SELECT seq, previous FROM records ORDER BY seq DESC LIMIT ?) ORDER BY seq LIMIT 1",
            newest,
        ):
            walk.previous, walk.seq, walk.since = told, start - 1, start
    # in pieces: one long read would keep the ledger from shortening its write-ahead log
    while rows := _some(read, chain, walk.seq):
        if isinstance(rows, str):
            return walk.verdict(walk.seq + 1, rows)
        for row in rows:
            if row[0] != walk.seq + 1:
                removed = _removed(read, walk.seq + 1)
                if removed is None:
                    return walk.verdict(walk.seq + 1, f"record {walk.seq + 1} is missing")
                if not walk.skip(*removed):
                    return walk.verdict(removed[0], "the records that made room up to it are not those that were anchored")
                break  # what made room meanwhile may reach beyond the rows at hand: read on from there
            if wrong := walk.take(row):
                return walk.verdict(row[0], wrong)
    ahead = [seq for seq in walk.anchors if seq > walk.seq]
    if ahead:
        return walk.verdict(
            walk.seq + 1, f"the end is cut off: record {max(ahead)} was anchored, and record {walk.seq} is the last"
        )
    return walk.verdict()


def _some(read: Read, chain: str, seq: int) -> list[Any] | str:
    """The next records; where the file is damaged, one, or what was said at the first that cannot be read."""
    try:
        return read(chain, seq, 1000)
    except OSError:
        try:
            return read(chain, seq, 1)
        except OSError as error:
            return f"it cannot be read, nor what may stand behind it: {error}"


def _removed(read: Read, seq: int) -> tuple[int, bytes] | None:
    """The end of the run of removed records in which ``seq`` lies, and its hash."""
    if not read("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'removed'"):
        return None  # written by a version that removed nothing
    rows = read('SELECT "last", hash FROM removed WHERE "first" <= ? AND "last" >= ? ORDER BY "first" DESC LIMIT 1', seq, seq)
    return (rows[0][0], rows[0][1]) if rows else None
