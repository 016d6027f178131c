"""Looks at vendors' manifests on the pages: where one would be looked for, what leaves the house by it, what came of it.

A device may have chosen the address: its host is shown whole and as it is written, and nothing of it is ever a link. The form
repeats the address that the owner was shown; what is asked for is the steward's to decide.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.ipc.looking import AskLooks, Looks, StartLook
from gateway.ipc.steward import Done
from gateway.registry import Home
from gateway.web import facts
from gateway.web.deciding import came
from gateway.web.visit import Visit, check_form, form

FOREIGN = "xn--"  # RFC 5890: another alphabet's letters, which may look like these


async def about(seen: Visit, device: str) -> dict[str, Any]:
    """What a device's page says of looks for its manifest, and what would change by one that waits."""
    (row,) = await _rows(seen, device) or (None,)
    waits = next((each for each in facts.waiting(seen.house.config, seen.home) if each["id"] == device), None)
    return {"look": row, "changes": waits["differences"] if waits else []}


async def newcomers(seen: Visit) -> dict[str, Any]:
    """Devices that name an address, and have no manifest: neither an approved one nor one that waits."""
    rows = await _rows(seen)
    home = seen.home.by_id
    return {"looks": [row for row in rows if row["url"] and not home[row["id"]].waiting and row["announced"]]}


async def told(seen: Visit) -> Any:
    """All of it for programs."""
    return {"looks": await _rows(seen)}


async def start(seen: Visit) -> Response:
    """POST /devices/{device}/look: look once, at the address that the form shows."""
    fields = await form(seen.request)
    check_form(seen, fields)
    if seen.role != "owner":
        raise HTTPException(403, "Only the owner decides. This is the household's view.")
    device = seen.request.path_params["device"]
    question = StartLook(0, seen.token, seen.address, device, fields.get("url", ""))
    try:
        msgspec.msgpack.decode(msgspec.msgpack.encode(question), type=StartLook)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        raise HTTPException(400, "This form cannot be read.") from None
    done = await seen.house.link.ask(question, Done)
    if fields.get("back") == "newcomers":
        return came(seen, done, "/newcomers#looks", "newcomers")
    return came(seen, done, f"/devices/{device}#manifest" if device in seen.home.by_id else "/", "home")


def rows(home: Home, found: Looks) -> list[dict[str, Any]]:
    """For each device: where its manifest would be looked for, and what came of the last look. Pure."""
    return [
        {
            "id": row.device,
            "name": home.by_id[row.device].name,
            "url": row.url,
            "host": row.host,
            "announced": row.announced,
            "foreign": any(label.startswith(FOREIGN) for label in row.host.split(".")),
            "unfit": row.unfit,
            "state": row.state,
            "at": row.at,
            "words": row.words,
            "note": row.note,
            "looked": home.by_id[row.device].approval.looked * 10**9,
        }
        for row in found.rows
        if row.device in home.by_id
    ]


async def _rows(seen: Visit, device: str = "") -> list[dict[str, Any]]:
    return rows(seen.home, await seen.house.link.ask(AskLooks(0, seen.token, device), Looks))
