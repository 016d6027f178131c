"""`mudroom deeds`: what the owner decided or took out, by whom and from where, as it is on record. Reads only."""

from __future__ import annotations

import typer

from gateway.cli.filters import DeviceOption, Limit
from gateway.cli.output import Json, show, when
from gateway.cli.traffic import opened


def deeds(context: typer.Context, device: DeviceOption = None, limit: Limit = 50, as_json: Json = False) -> None:
    """What was decided, on the pages or by this command, newest first: each came on record before it was carried out."""
    with opened(context) as reader:
        rows = [
            {
                "at": found.at if as_json else when(found.at),
                "record": found.seq,
                "device": found.device,
                "what": found.type,
                "by": found.host,
                "detail": found.detail,
            }
            for found in reader.deeds(limit, device=device)
        ]
    show(("at", "record", "device", "what", "by", "detail"), rows, as_json, empty="Nothing was decided yet.")
