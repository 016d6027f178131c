"""Who at home may reach a device, on its page: shown and decided by the owner alone. Plain forms; nothing is decided here."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.ipc.lan import AskLan, DecideLan, Lan, LanDone
from gateway.registry import ANYONE
from gateway.web.pages import html, to
from gateway.web.visit import Visit, check_form, form


async def reached(seen: Visit, device: str) -> dict[str, Any] | None:
    """The section's facts; None for anybody but the owner."""
    return facts(await seen.house.link.ask(AskLan(0, seen.token, device), Lan)) if seen.role == "owner" else None


def facts(found: Lan) -> dict[str, Any]:
    """Pure: "anyone" (whether everybody may), "rows" of machines, "shut" by the settings."""
    rows = [msgspec.structs.asdict(row) for row in found.rows if row.host != ANYONE]
    anyone = any(row.allowed for row in found.rows if row.host == ANYONE)
    return {"anyone": anyone, "rows": rows, "shut": found.shut}


async def decide(seen: Visit) -> Response:
    """POST /devices/{device}/lan: let a machine in, or shut it out."""
    fields = await form(seen.request)
    check_form(seen, fields)
    if seen.role != "owner":
        raise HTTPException(403, "Only the owner decides. This is the household's view.")
    question = _question(seen, seen.request.path_params["device"], fields)
    done = await seen.house.link.ask(question, LanDone)
    if done.error:
        return html("problem.html", seen, 409, title="Not done", detail=done.error, here="")
    if told := [*([f"This is not on record: {done.unrecorded}"] if done.unrecorded else []), *filter(None, [done.remark])]:
        detail = ". ".join(f"{words[:1].upper()}{words[1:]}" for words in told)
        return html("problem.html", seen, title="Done", detail=f"{detail}.", here="")
    return to(f"/devices/{question.device}#lan")


def _question(seen: Visit, device: str, fields: dict[str, str]) -> DecideLan:
    """What the form says, within its bounds. Raises HTTPException."""
    may = {"allow": True, "deny": False}.get(fields.get("may", ""))
    if may is None or device not in seen.home.by_id:
        raise HTTPException(400, "This form cannot be read.")
    question = DecideLan(0, seen.token, seen.address, device, fields.get("host", "").strip().lower().replace("-", ":"), may)
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(question), type=DecideLan)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        raise HTTPException(400, "This is no hardware address: six pairs of hexadecimal digits with colons.") from None
