"""Enrolment in words: who is waited for, how it ended, whose code may be typed. It must never hold a code."""

from __future__ import annotations

import time
from typing import Any

from gateway.ipc.pairing import AskPairings, PairingRow, Pairings
from gateway.registry import Home, Kind
from gateway.web.visit import Visit

DOUBTFUL = 2  # times that a device asks in vain, until it is said that the code may be wrong
WHAT_NEXT = {
    "wrong-code": "It is there and asks, but the code that was typed is not the one in it. Read the label, type it anew.",
    "silent": "The device did not ask: it is off, not connected, or knows no enrolment. The code may well be right.",
    "other": "",
}


def pairings(home: Home, rows: tuple[PairingRow, ...]) -> list[dict[str, Any]]:
    """Who is waited for, and how it ended with others, in words. A device that was forgotten meanwhile is not among them."""
    return [_pairing(home.by_id[row.device].name, row) for row in rows if row.device in home.by_id]


def _pairing(name: str, row: PairingRow) -> dict[str, Any]:
    asks = row.asked >= DOUBTFUL
    fault = "wrong-code" if row.asked or "wrong proofs" in row.words else "silent" if "did not ask" in row.words else "other"
    return {
        "id": row.device,
        "name": name,
        "state": row.state,
        "ends": row.ends,
        "asked": row.asked,
        "doubtful": row.state == "waiting" and asks,
        "fault": fault if row.state == "failed" else "",
        "next": WHAT_NEXT[fault] if row.state == "failed" else "",
        "words": row.words,
    }


def codeless(home: Home, rows: tuple[PairingRow, ...], wanted: str = "") -> list[dict[str, str]]:
    """Admitted devices that could enrol and have no certificate, and ``wanted``; not those that are waited for."""
    waiting = {row.device for row in rows if row.state == "waiting"}
    return [
        {"id": device.id, "name": device.name}
        for device in home.registry.devices
        if device.kind in (Kind.LOCAL, Kind.STANDARD)
        and device.id not in waiting
        and (device.id == wanted or all(each.revoked or each.not_after < time.time() for each in device.certificates))
    ]


async def shown(seen: Visit) -> dict[str, Any]:
    """What the page of newcomers says of enrolment."""
    rows = (await seen.house.link.ask(AskPairings(0, seen.token), Pairings)).rows
    wanted = seen.request.query_params.get("device", "")[:64]
    return {"pairings": pairings(seen.home, rows), "codeless": codeless(seen.home, rows, wanted), "wanted": wanted}


async def told(seen: Visit) -> Any:
    """The same for programs."""
    found = await shown(seen)
    return {"pairings": found["pairings"], "without_certificate": found["codeless"]}
