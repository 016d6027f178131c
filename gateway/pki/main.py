"""The signer process: the home CA behind a Unix socket. It must never open any other socket."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from gateway import service
from gateway.config import Config
from gateway.ipc import channel
from gateway.ipc.channel import Channel
from gateway.ipc.messages import AskStatus, ToSigner
from gateway.pki.ca import load_or_create
from gateway.pki.signer import Signer
from gateway.registry import RegistryFile

log = logging.getLogger(__name__)


async def serve(config: Config, stop: asyncio.Event) -> None:
    """Sign until ``stop``. Makes the CA at the first start. Raises CaError, LookupError (no such user) and OSError."""
    door = service.uid_of("door")
    authority = load_or_create(config.paths.ca_certificate, config.paths.ca_key)
    signer = Signer(authority, RegistryFile(config.paths.registry), door, now=lambda: datetime.now(UTC))
    channels: set[Channel] = set()

    def receive(link: Channel, message: Any) -> None:
        answer = signer.answer(link.uid, message)
        if answer is None:
            log.error("uid %d may not ask for %s", link.uid, type(message).__name__)
            link.close()
        else:
            link.send(answer)

    def make() -> Channel:
        return Channel(ToSigner | AskStatus, receive, lost=channels.discard, made=channels.add)

    server = await channel.serve(config.paths.socket("signer"), make, uids=(door,))
    try:
        service.ready("signing")
        await stop.wait()
    finally:
        server.close()
        for link in list(channels):
            link.close()
        await server.wait_closed()
        channel.withdraw(config.paths.socket("signer"))
