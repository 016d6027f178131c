"""The owner's rules on the pages: all of them, and the choices for one field. Plain forms; nothing is decided here."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.ipc.rulebook import AskRules, DecideRule, Rules, Wish
from gateway.ipc.steward import Done
from gateway.policy.offering import Offer, offers, place_of, told
from gateway.policy.rule import Action
from gateway.standard import wording
from gateway.web import facts
from gateway.web.deciding import came
from gateway.web.link import Refused
from gateway.web.pages import Handler, html, to
from gateway.web.visit import House, Visit, check_form, form, visit

TITLES = {
    Action.WITHHOLD: "Keep it",
    Action.COARSEN: "Make it coarser",
    Action.REPLACE: "Put something else in its place",
    Action.ALLOW: "Let it leave",
}


async def rules(seen: Visit) -> Response:
    """Every rule in words, in the order in which they are asked."""
    found = await seen.house.link.ask(AskRules(0, seen.token), Rules)
    rows = [msgspec.structs.asdict(row) for row in found.rows]
    return html("rules.html", seen, here="rules", rules=rows, wrong=found.wrong, more=found.more)


async def field(seen: Visit) -> Response:
    """What can be done with one declared field."""
    asked = seen.request.query_params
    type_, pointer = asked.get("type", ""), asked.get("pointer", "")
    device = seen.home.by_id.get(seen.request.path_params["device"])
    declared, schema = facts.schema_of(seen.home, device, type_)
    place = place_of(schema, pointer) if schema is not None else None
    if device is None or declared is None or place is None:
        raise HTTPException(404, "The device's manifest declares no such field.")
    return html(
        "field.html", seen, here="home", device=facts.about(seen.house.config, seen.home, device), type=type_, pointer=pointer,
        message=declared.title, titles=place.titles, domain=wording.domain(place.schema), groups=grouped(offers(place)),
    )  # fmt: skip


def grouped(found: list[Offer]) -> list[dict[str, Any]]:
    """The choices by what they do, with what the vendor hears. Pure."""
    return [
        {"do": str(do), "title": title, "told": told(do), "offers": [o for o in found if o.do is do]}
        for do, title in TITLES.items()
        if any(o.do is do for o in found)
    ]


def decide(house: House) -> Handler:
    """The handler of POST /rules/decide."""

    async def handle(request: Request) -> Response:
        seen = await visit(house, request)
        if not seen.role:
            return to("/login")
        fields = await form(request)
        check_form(seen, fields)
        if seen.role != "owner":
            raise HTTPException(403, "Only the owner decides. This is the household's view.")
        question, back = _question(seen, fields)
        try:
            done = await house.link.ask(question, Done)
        except Refused as refused:
            if refused.why == "session":
                return to("/login")
            raise
        return came(seen, done, back, "rules")

    return handle


def _question(seen: Visit, fields: dict[str, str]) -> tuple[DecideRule, str]:
    """What is asked, and the page to go back to. Raises HTTPException."""
    texts = {name: fields.get(name, "") for name in ("act", "name", "do", "device", "type", "pointer", "how")}
    wish = None
    if texts["act"] == "add":
        wish = {
            **{name: texts[name] for name in ("do", "device", "type", "pointer", "how")},
            "everywhere": fields.get("for") == "vendor",
        }
    try:
        made = None if wish is None else Wish(**wish)  # type: ignore[arg-type]
        question = DecideRule(0, seen.token, seen.address, texts["act"], texts["name"], made)  # type: ignore[arg-type]
        msgspec.msgpack.decode(msgspec.msgpack.encode(question), type=DecideRule)  # within its bounds
    except (msgspec.MsgspecError, UnicodeEncodeError):
        raise HTTPException(400, "This form cannot be read.") from None
    return question, "/rules"


__all__ = ["decide", "field", "grouped", "rules"]
