"""The resolver process: its sockets from steering, approved names from the registry, attempts to the ledger.

It serves only while it is registered with steering; without steering, registry or holder, no name has an address. It must
never open a socket of its own beyond the Unix sockets to steering and the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path

from gateway import service
from gateway.config import Config
from gateway.ipc import listeners
from gateway.ipc.listeners import Registration
from gateway.ipc.messages import Holder
from gateway.ipc.reporting import Reports
from gateway.names.server import Resolver, serving
from gateway.names.tally import Tally
from gateway.registry import Home, PoolAddress, RegistryError, RegistryFile
from gateway.standard.enrolment import HOST as ENROLMENT

WHOIS_SECONDS = 2.0
RECONNECT_FIRST_SECONDS = 0.05
RECONNECT_MOST_SECONDS = 2.0
log = logging.getLogger(__name__)


class Approvals:
    """The names that each device may ask for, as the registry has them at this moment."""

    def __init__(self, path: Path, own: Mapping[str, PoolAddress] | None = None) -> None:
        self.own = own or {}  # the gateway's own names; no manifest can put another address to them
        self._file = RegistryFile(path)
        self._home: Home | None = None
        self._by_device: dict[str, Mapping[str, PoolAddress]] = {}
        self._broken = ""

    def names_for(self, device_id: str) -> Mapping[str, PoolAddress]:
        """Pool addresses by name for a device id; empty for one that is unknown, and while the registry cannot be read."""
        try:
            home = self._file.current()
        except (RegistryError, OSError, ValueError) as error:
            if str(error) != self._broken:  # once, not for each question
                self._broken = str(error)
                log.error("no name is answered: %s", error)  # the message says it all
            return {}
        self._broken = ""
        if home is not self._home:
            self._home, self._by_device = home, {}
        found = self._by_device.get(device_id)
        if found is None:
            device = home.by_id.get(device_id)
            if device is None:  # forgotten within the last second: a stranger again
                return self.own
            pool = home.registry.pool
            found = {name: pool[name] for name in home.names_for(device) if name in pool} | dict(self.own)
            self._by_device[device_id] = found
        return found


async def serve(config: Config, stop: asyncio.Event) -> None:
    """Answer the devices' questions until ``stop``; registers anew whenever steering was gone."""
    tally = Tally()
    own = {ENROLMENT: PoolAddress(str(config.dmz.ipv4.ip), str(config.dmz.ipv6.ip))}
    approvals = Approvals(config.paths.registry, own)
    reports = asyncio.create_task(Reports(config.paths.socket("ledger"), tally).run())
    stopping = asyncio.create_task(stop.wait())
    wait = RECONNECT_FIRST_SECONDS
    try:
        while not stop.is_set():
            attempt = asyncio.create_task(listeners.connect(config.paths.socket("steering"), "names", 0))
            await asyncio.wait({attempt, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                attempt.cancel()
            try:
                registration = await attempt
            except asyncio.CancelledError:
                break
            except OSError as error:  # TimeoutError too
                log.info("steering gives no sockets yet: %s", error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), wait)
                wait = min(wait * 2, RECONNECT_MOST_SECONDS)
                continue
            wait = RECONNECT_FIRST_SECONDS
            async with registration:
                await _serve_registered(registration, approvals, tally, stopping)
    finally:
        for task in (stopping, reports):
            task.cancel()
        await asyncio.gather(stopping, reports, return_exceptions=True)


async def _serve_registered(registration: Registration, approvals: Approvals, tally: Tally, stopping: asyncio.Task[bool]) -> None:
    async def whois(address: str) -> Holder:
        async with asyncio.timeout(WHOIS_SECONDS):
            return await registration.whois(address)

    resolver = Resolver(whois, approvals.names_for, tally, approvals.own)
    given = {name: registration.listeners.pop(name) for name in tuple(registration.listeners)}
    async with serving(resolver, given):
        service.ready("answering")
        lost = asyncio.create_task(registration.wait_lost())
        await asyncio.wait({lost, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            log.warning("steering is gone; no question reaches us until it is back")
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
