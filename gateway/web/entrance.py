"""First start, login and logout. It must never say which of two things was wrong, nor keep or log what was typed."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.ipc.steward import Begin, Done, Enter, Entered, Leave
from gateway.web.link import Refused
from gateway.web.pages import Handler, html, to
from gateway.web.visit import COOKIE, COOKIE_SECONDS, House, Visit, check_form, form, visit

MOST_SAID = 512


def entrance(house: House) -> dict[str, Handler]:
    """Handlers by path: GET shows the form, POST takes it."""

    async def start(request: Request) -> Response:
        seen = await visit(house, request)
        if seen.begun:
            return to("/" if seen.role else "/login", request)
        if request.method != "POST":
            return html("start.html", error="")
        fields = await form(request)
        code, password = fields.get("code", ""), fields.get("password", "")
        if password != fields.get("again", ""):
            return html("start.html", status=422, error="The two passwords are not the same.")
        if len(code) > MOST_SAID or len(password) > MOST_SAID:
            return html("start.html", status=422, error="This is too long.")
        found = await house.link.ask(Begin(0, code, password, seen.address), Entered)
        return _inside(seen, found) if found.token else _again("start.html", found)

    async def login(request: Request) -> Response:
        seen = await visit(house, request)
        if not seen.begun:
            return to("/start", request)
        if request.method != "POST":
            return to("/", request) if seen.role else html("login.html", error="")
        fields = await form(request)
        password = fields.get("password", "")
        if len(password) > MOST_SAID:
            return html("login.html", status=422, error="This is too long.")
        found = await house.link.ask(Enter(0, password, seen.address), Entered)
        return _inside(seen, found) if found.token else _again("login.html", found)

    async def leave(request: Request) -> Response:
        seen = await visit(house, request)
        if request.method != "POST":
            raise HTTPException(405, "Logging out is a button.")
        if seen.role:
            check_form(seen, await form(request))
            await _leave(seen)
        answer = to("/login", request)
        answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
        return answer

    return {"/start": start, "/login": login, "/leave": leave}


def _inside(seen: Visit, found: Entered) -> Response:
    """A session begins, always with a new token: whatever the browser brought along means nothing."""
    answer = to("/")
    answer.set_cookie(COOKIE, found.token, max_age=COOKIE_SECONDS, path="/", secure=True, httponly=True, samesite="strict")
    return answer


async def _leave(seen: Visit) -> None:
    try:
        await seen.house.link.ask(Leave(0, seen.token), Done)
    except Refused:
        return  # over already


def _again(page: str, found: Entered) -> Response:
    if found.wait:
        words = f"Too many tries. Wait {found.wait} seconds, then try again."
        answer = html(page, status=429, error=words)
        answer.headers["retry-after"] = str(found.wait)
        return answer
    return html(page, status=403, error=found.error)
