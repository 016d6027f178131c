"""Programs' tokens on Settings: made, shown once, revoked. It must never keep or log one, nor do any of it for a program."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.ipc.programs import AskTokens, Made, MakeToken, RevokeToken, TokenList, TokenRow
from gateway.ipc.steward import Done
from gateway.web.deciding import came
from gateway.web.link import Refused
from gateway.web.pages import Handler, html, to
from gateway.web.visit import House, Visit, check_form, form, visit

MOST_NAME = 64
MOST_DAYS = 3650


def tokens(house: House) -> Handler:
    """The handler of POST /tokens."""

    async def handle(request: Request) -> Response:
        seen = await visit(house, request)
        if not seen.role:
            return to("/login")
        fields = await form(request)
        check_form(seen, fields)
        if seen.role != "owner":
            raise HTTPException(403, "Only the owner decides. This is the household's view.")
        name, days, may = fields.get("name", ""), fields.get("days", ""), fields.get("may", "")
        if len(name) > MOST_NAME or fields.get("what") not in ("make", "revoke"):
            raise HTTPException(400, "This form cannot be read.")
        try:
            if fields["what"] == "revoke":
                gone = await house.link.ask(RevokeToken(0, seen.token, seen.address, name), Done)
                return came(seen, gone, "/settings", "settings")
            if may not in ("read", "decide") or not _number(days):
                raise HTTPException(400, f"A token may read or decide, for 0 to {MOST_DAYS} days (0: no end).")
            question = MakeToken(0, seen.token, seen.address, name.strip(), may, int(days))  # type: ignore[arg-type]
            made = await house.link.ask(question, Made)
        except Refused as refused:
            if refused.why == "session":
                return to("/login")
            raise
        if made.error:
            return came(seen, Done(0, made.error), "/settings", "settings")
        return html("token.html", seen, here="settings", program=name.strip(), may=may, secret=made.secret)

    return handle


async def known(seen: Visit) -> tuple[TokenRow, ...]:
    """The owner's list; the household has none to see."""
    if seen.role != "owner":
        return ()
    return (await seen.house.link.ask(AskTokens(0, seen.token), TokenList)).rows


def _number(days: str) -> bool:
    return days.isascii() and days.isdigit() and len(days) <= 4 and int(days) <= MOST_DAYS
