"""`mudroom devices strangers`: hardware addresses in the DMZ that nobody admitted, and what they tried. Reads only."""

from __future__ import annotations

import re
from typing import Any

import typer

from gateway.announced import mud_urls
from gateway.cli.output import Json, show, when
from gateway.cli.state import State
from gateway.cli.traffic import opened
from gateway.ledger.tried import tried
from gateway.registry import MAC


def strangers(context: typer.Context, as_json: Json = False) -> None:
    """List those whom nobody admitted, the last heard first; `mudroom devices add` admits one."""
    state: State = context.obj
    known = state.registry.current().by_mac
    announced = mud_urls(state.config)
    found: dict[str, dict[str, Any]] = {}
    with opened(context) as reader:
        for row in tried(reader):
            if row.device in known or not re.match(MAC, row.device):
                continue
            stranger = found.setdefault(
                row.device, {"mac": row.device, "last": 0, "count": 0, "tried": "", "mud_url": announced.get(row.device, "")}
            )
            stranger["last"] = max(stranger["last"], row.last)
            stranger["count"] += row.count
            stranger["tried"] = "; ".join(filter(None, (stranger["tried"], row.reason.words)))
    rows = sorted(found.values(), key=lambda row: -int(row["last"]))
    if not as_json:
        rows = [row | {"last": when(row["last"])} for row in rows]
    show(("mac", "last", "count", "tried", "mud_url"), rows, as_json, empty="Nobody was heard whom you did not admit.")
