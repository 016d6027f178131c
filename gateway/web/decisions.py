"""What a program decides: the same typed decision as the pages' form, as JSON (POST /api/decisions).

By the owner's session (from our own origin: see guard.py) or a token that may decide. It must never take a password's change.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.ipc.looking import StartLook
from gateway.ipc.steward import Decide, Done
from gateway.web.link import Refused
from gateway.web.pages import Handler
from gateway.web.visit import CHALLENGE, House, Visit, visit

MOST_BODY = 8_192


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to decide of a device: ``value`` and ``name`` as the pages' forms send them. ``fetch``: look for its manifest at
    ``value``, which must be the ``url`` that /api/looks has for it now; one that the device announced is for the owner alone."""

    what: Literal["kind", "approve", "decline", "admit", "forget", "budget", "pace", "fetch"]
    device: Annotated[str, Meta(min_length=1, max_length=64)]
    value: Annotated[str, Meta(max_length=512)] = ""
    name: Annotated[str, Meta(max_length=512)] = ""


def decisions(house: House) -> Handler:
    """The handler of POST /api/decisions: 204 when it is on record and carried out, 409 with the reason where it is not.

    200 with ``unrecorded``, why, where something was taken from a device and the record could not take that.
    """

    async def handle(request: Request) -> Response:
        seen = await visit(house, request)
        if not seen.role:
            raise HTTPException(401, "Send a program's token, or log in.", {"www-authenticate": CHALLENGE})
        if seen.role != "owner":
            raise HTTPException(403, "This token may read and not decide; only the owner decides.")
        said = await _body(request)
        try:
            done = await house.link.ask(_question(seen, said), Done)
        except Refused as refused:
            if refused.why == "session":
                raise HTTPException(401, "The token or the session is over.", {"www-authenticate": CHALLENGE}) from None
            raise
        if done.error:
            raise HTTPException(409, done.error.rstrip(".") + ".")
        if done.unrecorded:
            return Response(msgspec.json.encode({"unrecorded": done.unrecorded}), media_type="application/json")
        return Response(status_code=204)

    return handle


def _question(seen: Visit, said: Decision) -> Decide | StartLook:
    if said.what == "fetch":
        return StartLook(0, seen.token, seen.address, said.device, said.value)
    return Decide(0, seen.token, seen.address, said.what, said.device, said.value, said.name)


async def _body(request: Request) -> Decision:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "A decision comes as application/json.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            raise HTTPException(413, "This decision is too long.")
    try:
        return msgspec.json.decode(body, type=Decision)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(400, f"This decision cannot be read: {str(error)[:200]}.") from None
