"""A real QUIC client (aioquic): tries one HTTP/3 handshake with ADDRESS and gives up after three seconds."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.quic.configuration import QuicConfiguration


async def main(address: str) -> int:
    """0 where a handshake came about, 1 where not."""
    configuration = QuicConfiguration(
        alpn_protocols=["h3"], is_client=True, verify_mode=ssl.CERT_NONE, server_name="tracker.example"
    )
    configuration.idle_timeout = 3.0
    with contextlib.suppress(ConnectionError, OSError, TimeoutError):
        async with asyncio.timeout(3), connect(address, 443, configuration=configuration):
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
