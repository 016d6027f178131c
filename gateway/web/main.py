"""The web process: waits for its certificate and its interface, then serves the pages until it is told to stop.

It must never listen anywhere but on the gateway's addresses in the LAN.
"""

from __future__ import annotations

import asyncio

from gateway import service
from gateway.config import Config
from gateway.web import server
from gateway.web.app import build
from gateway.web.link import Link
from gateway.web.render import files
from gateway.web.tls import Leaf


async def serve(config: Config, stop: asyncio.Event) -> None:
    """Serve until ``stop``. Raises OSError where the LAN's interface is not there."""
    files()
    link = Link(config.paths.socket("steward"))
    sockets = server.listeners(config)
    leaf = Leaf(config.paths.socket("signer"), config.paths.ca_certificate)
    stopping = asyncio.create_task(stop.wait())
    tasks = [stopping, asyncio.create_task(leaf.first())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return
        pages = server.Server(build(config, link), leaf.context)
        serving = asyncio.create_task(pages.serve(sockets))
        tasks += [serving, asyncio.create_task(leaf.keep())]
        service.ready("showing")
        await asyncio.wait([stopping, serving], return_when=asyncio.FIRST_COMPLETED)
        pages.should_exit = True
        await serving
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        link.close()
        for sock in sockets:
            sock.close()
