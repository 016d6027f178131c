"""Enrolment on the pages: the label's code, typed or scanned, from admitting a stranger to its certificate.

A code goes from the form to the steward and nowhere else: no page repeats one, no address holds one, nothing is logged.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.ipc.pairing import StartPairing, StopPairing
from gateway.ipc.steward import Decide, Done
from gateway.standard.enrolment import EnrolmentError, canonical_code
from gateway.web.forms import not_done, of_the_owner
from gateway.web.link import Refused
from gateway.web.pages import Handler, to
from gateway.web.visit import House, Visit

SECONDS = 900  # as `mudroom devices pair` waits
MOST_CODE = 128  # characters, with the spaces and hyphens that people type
LIMITS = {"device": 64, "mac": 17, "name": 64}
PAGE = "/newcomers"


def pair(house: House) -> Handler:
    """The handler of POST /pair: a code for a device; where ``mac`` is there, the stranger is admitted first."""

    async def handle(request: Request) -> Response:
        seen, fields = await of_the_owner(house, request)
        if not seen.role:
            return to("/login")
        texts = {name: fields.get(name, "").strip() for name in LIMITS}
        code = fields.get("code", "")
        if len(code) > MOST_CODE or any(len(texts[name]) > most for name, most in LIMITS.items()):
            raise HTTPException(400, "This form cannot be read.")
        if code.strip() or not texts["mac"]:
            try:
                code = canonical_code(code)
            except EnrolmentError as wrong:
                return not_done(seen, "newcomers", f"{wrong}. Nothing was changed", 422)
        else:
            code = ""  # admitted without one: it may be typed later
        if texts["mac"]:
            admit = Decide(0, seen.token, seen.address, "admit", texts["device"], texts["mac"], texts["name"])
            if error := await _ask(seen, admit):
                return not_done(seen, "newcomers", error)
        if not code:
            return to(f"/devices/{texts['device']}" if texts["device"] in seen.home.by_id else PAGE)
        if error := await _ask(seen, StartPairing(0, seen.token, seen.address, texts["device"], code, SECONDS)):
            return not_done(
                seen, "newcomers", f"{texts['device']} is admitted, but not waited for: {error}" if texts["mac"] else error
            )
        return to(f"{PAGE}#pairings")

    return handle


def stop(house: House) -> Handler:
    """The handler of POST /pair/stop."""

    async def handle(request: Request) -> Response:
        seen, fields = await of_the_owner(house, request)
        if not seen.role:
            return to("/login")
        if error := await _ask(seen, StopPairing(0, seen.token, fields.get("device", "")[:64])):
            return not_done(seen, "newcomers", error)
        return to(f"{PAGE}#codes")

    return handle


async def _ask(seen: Visit, question: Decide | StartPairing | StopPairing) -> str:
    """Why it was not done; empty where it was. Raises HTTPException where the session ended meanwhile."""
    try:
        return (await seen.house.link.ask(question, Done)).error
    except Refused as refused:
        if refused.why == "session":
            raise HTTPException(401, "The session is over; log in again.") from None
        raise
