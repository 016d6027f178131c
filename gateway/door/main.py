"""One door worker: takes its listeners from steering, serves devices on them, and comes back by itself when steering does.

It must never listen on a socket of its own making, and never connect to anything but the gateway's Unix sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Protocol

from gateway import service
from gateway.config import Config
from gateway.door.attempts import Attempts
from gateway.door.connection import DoorConnection, House
from gateway.door.desk import Desk
from gateway.door.firmware import Shelf
from gateway.door.keylog import KeyLog
from gateway.door.leaves import Leaves, SignerLink
from gateway.door.ledger import LedgerLink
from gateway.door.tls import AnchorFile, Contexts
from gateway.ipc.messages import Holder
from gateway.registry import RegistryFile
from gateway.rules import RulesFolder

log = logging.getLogger(__name__)

HTTPS_PORT = 443
SPARE_FILES = 64  # descriptors kept for sockets of our own, files and the event loop
BACKOFF_FIRST, BACKOFF_MOST = 0.05, 2.0
BACKLOG = 1024  # as steering made it


class Registered(Protocol):
    """What steering gives: ``gateway.ipc.listeners.Registration``, or a loopback listener in tests."""

    @property
    def listeners(self) -> MutableMapping[str, socket.socket]:
        """Listening sockets by "tcp4", "tcp6"; whoever pops one closes it."""

    async def whois(self, address: str) -> Holder:
        """Who holds this address now? Raises OSError where steering is lost."""

    async def wait_lost(self) -> None:
        """Returns when steering is gone; its listeners are worth nothing then."""

    def close(self) -> None:
        """End the registration."""


Register = Callable[[], Awaitable[Registered]]


async def serve(config: Config, worker: int, stop: asyncio.Event) -> None:
    """Serve devices until ``stop``, as worker ``worker`` (counted from 0)."""
    from gateway.ipc import listeners

    async def register() -> Registered:
        return await listeners.connect(config.paths.socket("steering"), role="door", worker=worker)

    await serve_on(config, register, stop)


async def serve_on(config: Config, register: Register, stop: asyncio.Event, port: int = HTTPS_PORT) -> None:
    """Serve devices until ``stop``. ``register``: asks steering for listeners; ``port``: the only one that devices may use."""
    loop = asyncio.get_running_loop()
    # mitmproxy's layers are driven synchronously; an eager task could re-enter them
    loop.set_task_factory(None)
    ledger = LedgerLink(config.paths.socket("ledger"))
    signer = SignerLink(config.paths.socket("signer"))
    registry = RegistryFile(config.paths.registry)
    attempts = Attempts(ledger.tell)
    leaves = Leaves(signer.sign)
    house = House(
        settings=config.door,
        port=port,
        registry=registry,
        anchor=AnchorFile(config.paths.ca_certificate),
        leaves=leaves,
        contexts=Contexts(),
        attempts=attempts,
        desk=Desk(
            config.door,
            config.leaks,
            door_port=port,
            registry=registry,
            ledger=ledger,
            attempts=attempts,
            shelf=Shelf(config.paths.firmware, ledger, int(config.door.answer_wait_seconds * 1000)),
            rules=RulesFolder(config.paths.rules),
        ),
        max_connections=_room(),
        whois=_nobody,
    )
    house.keylog = KeyLog(config.paths.socket("keys"), house.begin_anew)
    links = [loop.create_task(ledger.run()), loop.create_task(signer.run()), loop.create_task(house.keylog.watch())]
    try:
        await _admit(house, register, stop)
    finally:
        attempts.flush()
        for connection in list(house.open):
            connection.leave()
        await leaves.close()
        await asyncio.sleep(0)  # let the last reports leave
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)


async def _admit(house: House, register: Register, stop: asyncio.Event) -> None:
    """Register, serve until steering is lost, and again, until ``stop``."""
    loop = asyncio.get_running_loop()
    stopped = loop.create_task(stop.wait())
    wait = BACKOFF_FIRST
    try:
        while not stop.is_set():
            try:
                registered = await register()
            except (OSError, EOFError, ValueError) as error:
                log.info("steering gives no listeners yet: %s", error)
                await asyncio.wait([stopped], timeout=wait)
                wait = min(wait * 2, BACKOFF_MOST)
                continue
            wait = BACKOFF_FIRST
            lost = loop.create_task(registered.wait_lost())
            servers: list[asyncio.Server] = []
            try:
                house.whois = registered.whois
                for name in list(registered.listeners):
                    sock = registered.listeners.pop(name)  # the server closes it from now on
                    servers.append(await loop.create_server(lambda: DoorConnection(house), sock=sock, backlog=BACKLOG))
                    log.info("serving %s at %s", name, sock.getsockname())
                service.ready("serving devices")
                await asyncio.wait([lost, stopped], return_when=asyncio.FIRST_COMPLETED)
            finally:
                house.whois = _nobody
                for server in servers:
                    server.close()
                lost.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await lost
                registered.close()
            if not stop.is_set():
                log.warning("steering is lost; asking again")
                await asyncio.wait([stopped], timeout=wait)
    finally:
        stopped.cancel()


async def _nobody(address: str) -> Holder:
    raise ConnectionError(f"steering is not there to say who holds {address}")


def _room() -> int:
    """Connections that this process has descriptors for; the soft limit is raised to the hard one first."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = 65_536 if hard == resource.RLIM_INFINITY else hard
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)
