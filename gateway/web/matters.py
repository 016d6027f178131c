"""Notices in words, each with the page on which one looks into it."""

from __future__ import annotations

from typing import Any

from gateway.ipc.noticing import AskNotices, NoticeList, NoticeRow
from gateway.registry import Home
from gateway.web.visit import Visit

ON_HOME = 5
SHOWN = 200
KINDS = {
    "newcomer": "New device",
    "manifest": "Asks for more",
    "refused": "Vendor refuses",
    "support": "Support",
    "certificate": "Certificate",
    "attempt": "Something new",
    "budget": "Budget spent",
}
WHERE = {"newcomer": "newcomers", "manifest": "newcomers", "budget": "leaks"}  # else the device's own page


def notice(home: Home, row: NoticeRow) -> dict[str, Any]:
    """One notice, with the page on which one looks into it."""
    known = home.by_id.get(row.device)
    where = WHERE.get(row.kind, "device" if known else "")
    return {
        "id": row.id, "kind": row.kind, "title": KINDS.get(row.kind, row.kind), "device": known.id if known else "",
        "who": row.device, "at": row.at * 10**9,
        "words": row.words, "remedy": row.remedy, "seen": row.seen, "where": where,
    }  # fmt: skip


async def on_home(seen: Visit) -> dict[str, Any]:
    """What the owner has not seen: the newest few, and how many more there are."""
    found = await ask(seen, ON_HOME, unseen=True)
    return {"notices": [notice(seen.home, row) for row in found.rows], "notices_more": found.more, "unseen": found.unseen}


async def told(seen: Visit) -> Any:
    """The same for programs."""
    found = await ask(seen, SHOWN)
    return {"notices": [notice(seen.home, row) for row in found.rows], "unseen": found.unseen, "more": found.more}


async def ask(seen: Visit, limit: int, *, unseen: bool = False) -> NoticeList:
    return await seen.house.link.ask(AskNotices(0, seen.token, limit, unseen), NoticeList)
