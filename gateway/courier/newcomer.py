"""A connection until its TLS handshake is done: the protocol that the vendor chose decides what it becomes.

It must never let a byte of the vendor's reach the reader of the other protocol.
"""

from __future__ import annotations

import asyncio
from typing import cast

from gateway.courier.carrier import Carrier, Owner
from gateway.courier.connection import Connection
from gateway.courier.trust import ALPN, ALPN2
from gateway.http1.violation import Limits


class Newcomer(asyncio.Protocol):
    """``carrier``: what it became; None where the vendor chose what is not spoken here, and ``chosen`` says what."""

    def __init__(self, owner: Owner, limits: Limits) -> None:
        self._owner = owner
        self._limits = limits
        self.carrier: Carrier | None = None
        self.chosen: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.Transport, transport)
        self.chosen = made.get_extra_info("ssl_object").selected_alpn_protocol()
        if self.chosen == ALPN2:
            from gateway.courier.connection2 import Connection2  # what no vendor speaks takes no memory

            self.carrier = Connection2(self._owner, self._limits)
        elif self.chosen in {None, ALPN}:
            self.carrier = Connection(self._owner, self._limits)
        else:
            made.abort()
            return
        made.set_protocol(self.carrier)
        self.carrier.connection_made(made)
