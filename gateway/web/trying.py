"""A rule tried before it holds: what would have changed in the record. A question only; nothing is decided here, so a link is
enough and the household may ask, too: it sees no message that it may not read on the Record page.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.ipc.rulebook import Wish
from gateway.ipc.trying import AskTrial, Trial
from gateway.policy.offering import place_of, told
from gateway.policy.rule import Action
from gateway.web import facts
from gateway.web.pages import html
from gateway.web.visit import Visit

DAYS = {"1": 1, "7": 7}


async def field(seen: Visit) -> Response:
    """One choice for one declared field."""
    asked = {"act": "add"} | _asked(seen, "type", "pointer", "do", "how", "for", "days")
    device = seen.home.by_id.get(seen.request.path_params["device"])
    declared, schema = facts.schema_of(seen.home, device, asked["type"])
    place = place_of(schema, asked["pointer"]) if schema is not None else None
    if device is None or declared is None or place is None:
        raise HTTPException(404, "The device's manifest declares no such field.")
    wish = {name: asked[name] for name in ("do", "type", "pointer", "how")}
    found = await _try(seen, act="add", asked=asked, wish={**wish, "device": device.id, "everywhere": asked["for"] == "vendor"})
    here = {name: asked[name] for name in ("type", "pointer")}
    base = f"devices/{device.id}/fields"
    return _page(
        seen, found, asked, f"{base}/try", back=f"{base}?{urlencode(here)}", told=told(Action(asked["do"])),
        required=place.required and asked["do"] in (Action.WITHHOLD, Action.REPLACE), device=device.id,
    )  # fmt: skip


async def rule(seen: Visit) -> Response:
    """A rule that is there, switched on or off."""
    asked = _asked(seen, "act", "name", "days")
    found = await _try(seen, act=asked["act"], asked=asked)
    return _page(seen, found, asked, "rules/try", back="rules", told="", required=False, device="")


PAGES = {"/devices/{device}/fields/try": field, "/rules/try": rule}


def _asked(seen: Visit, *names: str) -> dict[str, str]:
    return {name: seen.request.query_params.get(name, "") for name in names}


async def _try(seen: Visit, *, act: str, asked: dict[str, str], wish: dict[str, Any] | None = None) -> Trial:
    """Raises HTTPException where what is asked is outside its bounds."""
    try:
        made = None if wish is None else Wish(**wish)
        question = AskTrial(0, seen.token, act, DAYS.get(asked["days"], 0), asked.get("name", ""), made)  # type: ignore[arg-type]
        msgspec.msgpack.decode(msgspec.msgpack.encode(question), type=AskTrial)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        raise HTTPException(400, "This address cannot be read.") from None
    return await seen.house.link.ask(question, Trial)


def _page(seen: Visit, found: Trial, asked: dict[str, str], path: str, **values: Any) -> Response:
    other = "1" if asked["days"] == "7" else "7"
    again = f"{path}?{urlencode(asked | {'days': other})}"
    return html(
        "trying.html", seen, here="rules", found=found, asked=asked, again=again, other=other,
        rows=rows(found), **values,
    )  # fmt: skip


def rows(found: Trial) -> list[dict[str, Any]]:
    """The differences, the message as a whole said in words. Pure."""
    return [msgspec.structs.asdict(each) | {"place": each.pointer or "the message as a whole"} for each in found.differences]
