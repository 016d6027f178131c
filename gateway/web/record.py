"""The Record page: search in all that was recorded, take it away as a file, check the chain, erase what a device said.

It must never hold more of a file than one piece, nor show a hit that the steward did not name.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.ipc.recording import NEWEST, AskChain, AskFound, AskPiece, Chain, Erase, Erasing, Found, Piece, Sought
from gateway.web import facts
from gateway.web.link import Refused
from gateway.web.pages import Handler, for_people, html, to
from gateway.web.visit import House, Visit, check_form, form, visit

TYPED = {"device": 64, "vendor": 256, "host": 256, "type": 256, "field": 256, "text": 256, "since": 32, "until": 32}
TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}


def sought(request: Request) -> tuple[Sought, dict[str, str]]:
    """What is asked for, and the form's fields. Raises HTTPException."""
    said = {name: request.query_params.get(name, "").strip() for name in TYPED}
    if any(len(said[name]) > most for name, most in TYPED.items()):
        raise HTTPException(400, "This is too long to be searched for.")
    refused = request.query_params.get("refused", "") == "yes"
    return Sought("refusal" if refused else "message", **said), said | {"refused": "yes" if refused else ""}


def before(request: Request) -> int:
    """The seq below which to go on. Raises HTTPException."""
    said = request.query_params.get("before", "")
    if not said:
        return NEWEST
    if not (said.isascii() and said.isdigit() and len(said) < 20 and int(said) <= NEWEST):
        raise HTTPException(400, "This link cannot be read.")
    return int(said)


def query(said: dict[str, str], **more: object) -> str:
    """The same search as a link's query."""
    return urlencode({name: value for name, value in (said | more).items() if value})


async def record(seen: Visit) -> Response:
    """Search, and how the chain stands."""
    meant, said = sought(seen.request)
    ask = seen.house.link.ask
    found = await ask(AskFound(0, seen.token, meant, before(seen.request)), Found)
    chain = await ask(AskChain(0, seen.token), Chain)
    home = seen.home
    hits: list[dict[str, Any]] = []
    for row in found.rows:
        known = home.by_id.get(row.device)
        told = facts.said(home, known, row) if meant.kind == "message" else facts.refused(home, row)
        hits.append(told | {"name": known.name if known else row.device, "vendor": row.vendor, "known": known is not None})
    return html(
        "record.html", seen, 422 if found.error else 200, here="record", said=said, hits=hits, error=found.error, chain=chain,
        older=query(said, before=found.older) if found.older else "", exports={name: query(said, format=name) for name in TYPES},
        devices=home.registry.devices, paged="before" in seen.request.query_params,
    )  # fmt: skip


async def export(seen: Visit) -> Response:
    """What was found, all of it, as a file."""
    if seen.role != "owner":
        raise HTTPException(403, "Only the owner takes the record away. This is the household's view.")
    meant, _ = sought(seen.request)
    format = seen.request.query_params.get("format", "")
    if format not in TYPES:
        raise HTTPException(400, "Say jsonl or csv.")
    if not meant.until:  # what is said meanwhile is not in it: a file has an end
        meant = msgspec.structs.replace(meant, until=time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 1)))
    first = await seen.house.link.ask(AskPiece(0, seen.token, meant, format), Piece)  # type: ignore[arg-type]
    if first.error:
        raise HTTPException(422, f"{first.error}.")
    name = time.strftime(f"mudroom-record-%Y%m%d-%H%M%S.{format}")
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_pieces(seen, meant, format, first), media_type=TYPES[format], headers=headers)


async def _pieces(seen: Visit, meant: Sought, format: str, piece: Piece) -> AsyncIterator[bytes]:
    """One after the other, as fast as the visitor takes them. A fault breaks the download off: half a file is none."""
    while True:
        if piece.content:
            yield piece.content
        if piece.last:
            return
        asks = AskPiece(0, seen.token, meant, format, piece.after, piece.part, piece.offset)  # type: ignore[arg-type]
        piece = await seen.house.link.ask(asks, Piece)
        if piece.error:
            raise Refused(piece.error)


async def erase(seen: Visit) -> Response:
    """The question before what a device said is erased."""
    device = seen.request.query_params.get("device", "")[:64]
    if not device:
        raise HTTPException(400, "Say which device.")
    known = seen.home.by_id.get(device)
    return html("erase.html", seen, here="record", device=device, called=known.name if known else device)


def deciding(house: House, what: str) -> Handler:
    """The handler of a form of this page: "check" or "erase"."""

    async def handle(request: Request) -> Response:
        seen = await visit(house, request)
        if not seen.role:
            return to("/login")
        fields = await form(request)
        check_form(seen, fields)
        if seen.role != "owner":
            raise HTTPException(403, "Only the owner decides. This is the household's view.")
        try:
            if what == "check":
                await house.link.ask(AskChain(0, seen.token, True), Chain)
                return to("/record#chain")
            device, older = fields.get("device", ""), fields.get("before", "").strip()
            if not device or len(device) > TYPED["device"] or len(older) > TYPED["since"]:
                raise HTTPException(400, "This form cannot be read.")
            done = await house.link.ask(Erase(0, seen.token, seen.address, device, older), Erasing)
        except Refused as refused:
            if refused.why == "session":
                return to("/login")
            raise
        if done.error:
            return html("problem.html", seen, 409, title="Not done", detail=done.error, here="record")
        return to("/record#chain")

    return handle


def routes(house: House) -> list[Route]:
    """What leads here."""
    return [
        Route("/record", for_people(house, record)),
        Route("/record/export", for_people(house, export)),
        Route("/record/erase", for_people(house, erase), methods=["GET"]),
        Route("/record/erase", deciding(house, "erase"), methods=["POST"]),
        Route("/record/check", deciding(house, "check"), methods=["POST"]),
    ]
