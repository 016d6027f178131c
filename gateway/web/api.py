"""The same facts for programs: JSON, read-only, by a program's token or the session's cookie. Errors: RFC 9457."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.ipc.steward import AskMessage, AskMessages, Messages, Whole
from gateway.web import facts
from gateway.web.link import Refused
from gateway.web.pages import Handler, counts
from gateway.web.visit import CHALLENGE, House, Visit, visit

MOST = 100
MOST_NAME = 64

Told = Callable[[Visit], Awaitable[Any]]


def for_programs(house: House, told: Told) -> Handler:
    """A handler that answers with JSON."""

    async def handle(request: Request) -> Response:
        seen = await visit(house, request)
        if not seen.role:
            raise HTTPException(401, "Send a program's token, or log in.", {"www-authenticate": CHALLENGE})
        try:
            found = await told(seen)
        except Refused as refused:
            if refused.why == "session":
                raise HTTPException(401, "The token or the session is over.", {"www-authenticate": CHALLENGE}) from None
            raise
        return Response(msgspec.json.encode(found), media_type="application/json")

    return handle


async def devices(seen: Visit) -> Any:
    """The cards of Home."""
    return {"devices": facts.devices(seen.house.config, seen.home, await counts(seen))}


async def messages(seen: Visit) -> Any:
    """The newest messages; ``?device=ID``: of one device."""
    found = await seen.house.link.ask(AskMessages(0, seen.token, _device(seen), MOST), Messages)
    return {"messages": [facts.said(seen.home, seen.home.by_id.get(row.device), row) for row in found.rows]}


async def refusals(seen: Visit) -> Any:
    """The newest messages that were refused; ``?device=ID``: of one device."""
    found = await seen.house.link.ask(AskMessages(0, seen.token, _device(seen), MOST, refused=True), Messages)
    return {"refusals": [facts.refused(seen.home, row) for row in found.rows]}


def _device(seen: Visit) -> str:
    device = seen.request.query_params.get("device", "")
    if len(device) > MOST_NAME:
        raise HTTPException(400, "device: an id, or a hardware address.")
    return device


async def message(seen: Visit) -> Any:
    """One message as a sheet."""
    found = await seen.house.link.ask(AskMessage(0, seen.token, seen.request.path_params["id"][:64]), Whole)
    if found.row is None:
        raise HTTPException(404, "There is no such message.")
    return facts.message(seen.home, found)


async def attempts(seen: Visit) -> Any:
    """What was tried and could not be."""
    found = await counts(seen)
    return {"attempts": facts.attempts(seen.home, found), "others": facts.others(found)}


async def leaks(seen: Visit) -> Any:
    """What messages could hide."""
    found = await counts(seen)
    return {"devices": facts.leaks(seen.house.config, seen.home, found), "others": facts.unspent(found)}


async def newcomers(seen: Visit) -> Any:
    """Who and what waits for the owner."""
    found = await counts(seen)
    return {"manifests": facts.waiting(seen.house.config, seen.home), "strangers": facts.strangers(seen.home, found)}
