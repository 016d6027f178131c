"""Notices on the pages: all of them on their own page, and what the owner has seen.

What is marked as seen leaves Home and stays here.
"""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.ipc.noticing import MOST_IDS, SeeNotices
from gateway.ipc.steward import Done
from gateway.web.forms import not_done, of_the_owner
from gateway.web.link import Refused
from gateway.web.matters import SHOWN, ask, notice
from gateway.web.pages import Handler, html, to
from gateway.web.visit import House, Visit


async def page(seen: Visit) -> Response:
    """All of them."""
    found = await ask(seen, SHOWN)
    rows = [notice(seen.home, row) for row in found.rows]
    fresh = " ".join(row["id"] for row in rows if not row["seen"])
    return html("notices.html", seen, here="notices", notices=rows, more=found.more, fresh=fresh, unseen=found.unseen)


def mark(house: House) -> Handler:
    """The handler of POST /notices/seen: ``ids`` with spaces between them."""

    async def handle(request: Request) -> Response:
        seen, fields = await of_the_owner(house, request)
        if not seen.role:
            return to("/login")
        ids = tuple(fields.get("ids", "").split())
        if not 0 < len(ids) <= MOST_IDS or not all(re.fullmatch("[0-9a-f]{16}", each) for each in ids):
            raise HTTPException(400, "This form cannot be read.")
        try:
            done = await house.link.ask(SeeNotices(0, seen.token, seen.address, ids), Done)
        except Refused as refused:
            if refused.why == "session":
                return to("/login")
            raise
        if done.error:
            return not_done(seen, "notices", done.error)
        return to("/" if fields.get("back") == "home" else "/notices")

    return handle
