"""Server-sent events: "news" whenever something was recorded, "over" when the session is. No content travels here.

One stream costs one question to the steward a second. It must never keep a session alive: asking for news is no work of a person.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.ipc.steward import AskNews, News
from gateway.registry import Home, RegistryError
from gateway.web.link import NoSteward, Refused
from gateway.web.pages import Handler
from gateway.web.visit import House, Visit, visit

LOOK_SECONDS = 0.5
BEAT_SECONDS = 15.0  # a comment, so that a dead browser is noticed
MOST_STREAMS = 48
MOST_SECONDS = 3600.0  # the browser comes again by itself


def events(house: House) -> Handler:
    """The handler of GET /events."""
    streams = 0

    async def handle(request: Request) -> Response:
        seen = await visit(house, request)
        if not seen.role:
            raise HTTPException(401, "Log in first.")
        if streams >= MOST_STREAMS:
            raise HTTPException(503, "Too many pages are open.")
        return StreamingResponse(told(seen), media_type="text/event-stream")

    async def told(seen: Visit) -> AsyncIterator[bytes]:
        nonlocal streams
        streams += 1
        try:
            async for line in _news(seen):
                yield line
        finally:
            streams -= 1

    return handle


async def _news(seen: Visit) -> AsyncIterator[bytes]:
    known = ""
    held: Home | None = None
    registry = seen.house.registry
    loop = asyncio.get_running_loop()
    began = beat = loop.time()
    yield b"retry: 3000\n\n"
    while loop.time() - began < MOST_SECONDS:
        try:
            version = (await seen.house.link.ask(AskNews(0, seen.token), News)).version
        except Refused as refused:
            if refused.why == "session":
                yield b"event: over\ndata: x\n\n"
                return
            version = known
        except NoSteward:
            version = known
        try:
            home: Home | None = registry.current()  # what the owner decides elsewhere changes pages, too
        except RegistryError:
            home = held
        if version != known or home is not held:
            if held is not None:
                yield b"event: news\ndata: x\n\n"
            known, held, beat = version, home, loop.time()
        elif loop.time() - beat > BEAT_SECONDS:
            yield b": still here\n\n"
            beat = loop.time()
        await asyncio.sleep(LOOK_SECONDS)
