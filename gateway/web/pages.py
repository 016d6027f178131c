"""The pages that people read. Each takes a visit and returns a response; each works without JavaScript.

It must never show a page of the record to somebody without a session.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.ipc.steward import AskCounts, AskDeeds, AskMessage, AskMessages, Counts, Deeds, Messages, Whole
from gateway.web import charts, enrolling, facts, matters
from gateway.web.link import Refused
from gateway.web.render import files, render
from gateway.web.rulefacts import ruled
from gateway.web.visit import House, Visit, visit

SHOWN = 25  # messages on a device's page
DEEDS = 50
LOGGED_OUT = "session"

Page = Callable[[Visit], Awaitable[Response]]
Handler = Callable[[Request], Awaitable[Response]]


def html(name: str, seen: Visit | None = None, status: int = 200, **values: Any) -> Response:
    """A rendered page."""
    shown = seen.shown(**values) if seen is not None else values
    return Response(render(name, **shown), status, media_type="text/html")


def to(path: str, request: Request | None = None) -> Response:
    """Go there. A part that htmx fetches would swap the other page in: it is told to leave the page instead."""
    if request is not None and request.headers.get("hx-request"):
        return Response(status_code=204, headers={"hx-redirect": path})
    return RedirectResponse(path, 303)


def for_people(house: House, page: Page) -> Handler:
    """A handler that has a session, or shows the way in."""

    async def handle(request: Request) -> Response:
        seen = await visit(house, request)
        if not seen.role:
            return to("/login" if seen.begun else "/start", request)
        try:
            return await page(seen)
        except Refused as refused:
            if refused.why == LOGGED_OUT:
                return to("/login", request)
            raise

    return handle


async def counts(seen: Visit, device: str = "") -> Counts:
    """The record's counts."""
    return await seen.house.link.ask(AskCounts(0, seen.token, device), Counts)


async def home(seen: Visit) -> Response:
    """Every device as a card."""
    cards = facts.devices(seen.house.config, seen.home, await counts(seen))
    return html("home.html", seen, here="home", devices=cards, **await matters.on_home(seen))


async def device(seen: Visit) -> Response:
    """One device: what it says, tried and may."""
    name = seen.request.path_params["device"]
    known = seen.home.by_id.get(name)
    if known is None:
        raise HTTPException(404, "There is no such device. It may have been forgotten.")
    ask, token = seen.house.link.ask, seen.token
    said = await ask(AskMessages(0, token, known.id, SHOWN), Messages)
    refused = await ask(AskMessages(0, token, known.id, SHOWN, True), Messages)
    found = await counts(seen, known.id)
    shown = facts.about(seen.house.config, seen.home, known)
    from gateway.web import looking
    from gateway.web.lanaccess import reached

    manifest = seen.home.manifests.get(known.manifest)
    return html(
        "device.html", seen, here="home", device=shown,
        messages=[facts.said(seen.home, known, row) for row in said.rows],
        refused=[facts.refused(seen.home, row) for row in refused.rows],
        attempts=facts.attempts(seen.home, found), others=facts.others(found),
        spent=facts.spent_today(found, known.id),
        kinds=facts.kinds(shown),
        declared=facts.declared(manifest) | {"device": known.id} if manifest else None,
        chart=charts.said(found.spent),
        reached=await reached(seen, known.id),
        **await looking.about(seen, known.id),
    )  # fmt: skip


async def forget(seen: Visit) -> Response:
    """The question before a device is forgotten."""
    known = seen.home.by_id.get(seen.request.path_params["device"])
    if known is None:
        raise HTTPException(404, "There is no such device. It may have been forgotten already.")
    return html("forget.html", seen, here="home", device=facts.about(seen.house.config, seen.home, known))


async def message(seen: Visit) -> Response:
    """One message as a sheet."""
    found = await seen.house.link.ask(AskMessage(0, seen.token, seen.request.path_params["id"][:64]), Whole)
    if found.row is None:
        raise HTTPException(404, "There is no such message. It may have been removed to make room.")
    return html("message.html", seen, here="home", message=await ruled(seen, facts.message(seen.home, found)))


async def attempts(seen: Visit) -> Response:
    """What was tried and could not be."""
    counted = await counts(seen)
    found = facts.attempts(seen.home, counted)
    reasons = charts.shares(facts.by_reason(found, counted))
    return html("attempts.html", seen, here="attempts", attempts=found, others=facts.others(counted), reasons=reasons)


async def leaks(seen: Visit) -> Response:
    """What messages could hide."""
    counted = await counts(seen)
    found = facts.leaks(seen.house.config, seen.home, counted)
    return html("leaks.html", seen, here="leaks", devices=found, others=facts.unspent(counted), charts=charts.spent(found))


async def newcomers(seen: Visit) -> Response:
    """Who and what waits for the owner."""
    from gateway.web import looking

    found = await counts(seen)
    return html(
        "newcomers.html", seen, here="newcomers", manifests=facts.waiting(seen.house.config, seen.home),
        strangers=facts.strangers(seen.home, found), **await enrolling.shown(seen), **await looking.newcomers(seen),
    )  # fmt: skip


async def settings(seen: Visit) -> Response:
    """Passwords, and what was decided."""
    found = await seen.house.link.ask(AskDeeds(0, seen.token, DEEDS), Deeds)
    rows = [{"at": row.at, "device": row.device, "what": row.what, "by": row.by, "detail": row.detail} for row in found.rows]
    from gateway.web.tokens import known

    return html("settings.html", seen, here="settings", deeds=rows, tokens=await known(seen))


async def static(request: Request) -> Response:
    """A file that pages load; its address changes with it."""
    found = files().get(request.path_params["name"])
    if found is None:
        raise HTTPException(404, "There is no such file.")
    return Response(found[0], media_type=found[1], headers={"cache-control": "private, max-age=31536000, immutable"})
