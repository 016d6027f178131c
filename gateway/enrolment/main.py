"""The enrolment process: its sockets from steering, certificates from the signer, refusals to the ledger.

It serves only while it is registered with steering, and must never connect to anything but the gateway's Unix sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from gateway import service
from gateway.config import Config
from gateway.enrolment.est import Est
from gateway.enrolment.server import Server
from gateway.enrolment.tally import Tally
from gateway.enrolment.tls import Contexts
from gateway.ipc import listeners
from gateway.ipc.asking import Asker
from gateway.ipc.listeners import Registration
from gateway.ipc.messages import SignerToEnrolment
from gateway.ipc.reporting import Reports

RECONNECT_FIRST_SECONDS = 0.05
RECONNECT_MOST_SECONDS = 2.0
log = logging.getLogger(__name__)


async def serve(config: Config, stop: asyncio.Event) -> None:
    """Serve until ``stop``; registers anew whenever steering was gone."""
    signer = Asker(config.paths.socket("signer"), SignerToEnrolment)
    tally = Tally()
    reports = Reports(config.paths.socket("ledger"), tally)
    contexts = Contexts(signer, config.paths.ca_certificate)
    est = Est(signer, contexts.ca)
    links = [asyncio.create_task(signer.run()), asyncio.create_task(reports.run())]
    stopping = asyncio.create_task(stop.wait())
    wait = RECONNECT_FIRST_SECONDS
    try:
        while not stop.is_set():
            try:
                registration = await listeners.connect(config.paths.socket("steering"), "enrolment", 0)
            except OSError as error:  # TimeoutError too
                log.info("steering gives no sockets yet: %s", error)
                await asyncio.wait([stopping], timeout=wait)
                wait = min(wait * 2, RECONNECT_MOST_SECONDS)
                continue
            wait = RECONNECT_FIRST_SECONDS
            async with registration:
                server = Server(registration.whois, contexts.current, est, tally.note)
                await _serve_registered(registration, server, stopping)
    finally:
        for task in (stopping, *links):
            task.cancel()
        await asyncio.gather(stopping, *links, return_exceptions=True)


async def _serve_registered(registration: Registration, server: Server, stopping: asyncio.Task[bool]) -> None:
    with contextlib.ExitStack() as sockets:
        given = [sockets.enter_context(registration.listeners.pop(name)) for name in tuple(registration.listeners)]
        tasks = [asyncio.create_task(server.accept(listener)) for listener in given]
        lost = asyncio.create_task(registration.wait_lost())
        try:
            service.ready("enrolling")
            await asyncio.wait({lost, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                log.warning("steering is gone; nobody reaches us until it is back")
        finally:
            for task in (lost, *tasks):
                task.cancel()
            await asyncio.gather(lost, *tasks, return_exceptions=True)
            await server.close()
