"""Which rule decided each field of a message, for its sheet, and where to decide about it. It must never guess a rule."""

from __future__ import annotations

from typing import Any

from gateway.ipc.rulebook import AskRulings, Rulings
from gateway.policy.offering import declared_pointer, place_of
from gateway.standard.schema import Schema
from gateway.web import facts
from gateway.web.visit import Visit


async def ruled(seen: Visit, message: dict[str, Any]) -> dict[str, Any]:
    """The sheet's facts, each line with "rule", "did" and "place" (of the declared field; empty where there is none)."""
    found = await seen.house.link.ask(AskRulings(0, seen.token, message["id"]), Rulings)
    _, schema = facts.schema_of(seen.home, seen.home.by_id.get(message["device"]), message["type"])
    return message | {"lines": lines(schema, message, found)}


def lines(schema: Schema | None, message: dict[str, Any], found: Rulings) -> list[dict[str, Any]]:
    """Pure: the sheet's lines with what decided them."""
    by = {pointer: row for row in found.rows for pointer in row.at}
    made = []
    for line in message["lines"]:
        place = declared_pointer(schema, f"/payload{line['pointer']}")
        nearest = place
        while nearest and nearest not in by:
            nearest = nearest.rpartition("/")[0]
        row = by.get(nearest)
        known = schema is not None and place_of(schema, place) is not None
        made.append(line | {"rule": row.rule if row else "", "did": row.do if row else "", "place": place if known else ""})
    return made
