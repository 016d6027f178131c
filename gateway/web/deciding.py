"""What the owner decides: one form, one named action for the steward, one page to go back to."""

from __future__ import annotations

from typing import get_args, get_type_hints

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.ipc.steward import Decide, Done
from gateway.web.link import Refused
from gateway.web.pages import Handler, html, to
from gateway.web.visit import House, Visit, check_form, form, visit

WHAT = frozenset(get_args(get_type_hints(Decide)["what"]))
BACK = {"approve": "/newcomers", "decline": "/newcomers", "forget": "/", "household": "/settings", "password": "/login"}
LIMITS = {"device": 64, "value": 512, "name": 512}


def decide(house: House) -> Handler:
    """The handler of POST /decide."""

    async def handle(request: Request) -> Response:
        seen = await visit(house, request)
        if not seen.role:
            return to("/login")
        fields = await form(request)
        check_form(seen, fields)
        if seen.role != "owner":
            raise HTTPException(403, "Only the owner decides. This is the household's view.")
        what = fields.get("what", "")
        texts = {name: fields.get(name, "") for name in LIMITS}
        if what not in WHAT or any(len(texts[name]) > most for name, most in LIMITS.items()):
            raise HTTPException(400, "This form cannot be read.")
        if "again" in fields and fields["again"] != texts["value"]:
            return html(
                "problem.html", seen, 422, title="Not done", detail="The two passwords are not the same.", here="settings"
            )
        if what == "approve":  # what is ticked on the form: see the steward
            texts["name"] = " ".join(flag for flag in ("unsigned", "new-signer") if fields.get(flag) == "yes")
        try:
            done = await house.link.ask(Decide(0, seen.token, seen.address, what, **texts), Done)  # type: ignore[arg-type]
        except Refused as refused:
            if refused.why == "session":
                return to("/login")
            raise
        device = texts["device"]
        return came(seen, done, BACK.get(what) or (f"/devices/{device}" if device in seen.home.by_id else "/"))

    return handle


def came(seen: Visit, done: Done, back: str, here: str = "") -> Response:
    """What came of a decision: the page to go back to, or why it was not done, or that it was done without a record."""
    if done.error:
        return html("problem.html", seen, 409, title="Not done", detail=done.error, here=here)
    if done.unrecorded:
        words = f"It is done, and it is not on record, for the record could not take it: {done.unrecorded}"
        return html("problem.html", seen, title="Done, but not on record", detail=words, here=here)
    return to(back)
