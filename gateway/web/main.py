"""The web process: waits for its certificate, serves the pages while somebody looks, and then goes to rest.

It must never listen anywhere but on the gateway's addresses in the LAN.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence

from gateway import service
from gateway.config import Config
from gateway.web import resting, server
from gateway.web.app import build
from gateway.web.link import Link
from gateway.web.render import files
from gateway.web.tls import Leaf

REST_SECONDS = 180.0  # without a visitor
LOOK_SECONDS = 15.0
log = logging.getLogger(__name__)


async def serve(config: Config, sockets: Sequence[socket.socket], stop: asyncio.Event) -> None:
    """Serve on ``sockets`` until ``stop``; where nobody looks any more, the process rests and this does not return."""
    files()
    link = Link(config.paths.socket("steward"))
    leaf = Leaf(config.paths.socket("signer"), config.paths.ca_certificate)
    stopping = asyncio.create_task(stop.wait())
    tasks = [stopping, asyncio.create_task(leaf.first())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return
        pages = server.Server(build(config, link), leaf.context)
        serving = asyncio.create_task(pages.serve([sock.dup() for sock in sockets]))  # it closes what it is given
        alone = asyncio.create_task(_alone(pages))
        tasks += [serving, alone, asyncio.create_task(leaf.keep())]
        service.ready("showing")
        await asyncio.wait([stopping, serving, alone], return_when=asyncio.FIRST_COMPLETED)
        pages.should_exit = True
        await serving
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        link.close()
    if not stop.is_set():
        log.info("nobody looks")
        resting.rest(sockets)


async def _alone(pages: server.Server) -> None:
    """Until nobody was here for a while."""
    loop = asyncio.get_running_loop()
    before, since = pages.visited, loop.time()
    while loop.time() - since < REST_SECONDS:
        await asyncio.sleep(LOOK_SECONDS)
        now = pages.visited
        if now[0] or now != before:
            before, since = now, loop.time()
