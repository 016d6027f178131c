"""The pages' TLS: a context whose leaf is renewed in place, long before it ends. No client certificate: people have none."""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
import time
from pathlib import Path

from gateway.keeping import load_chain

log = logging.getLogger(__name__)

LEAF_SECONDS = 60.0
RETRY_FIRST, RETRY_MOST = 0.5, 60.0
LOOK_SECONDS = 300.0
MOST_OUTPUT = 65_536
_KEY = b"-----BEGIN PRIVATE KEY-----"


class LeafError(OSError):
    """No certificate for the pages. Says why."""


class Leaf:
    """The context of every connection. ``signer``: its socket; ``ca``: the home CA's certificate, which may be made anew."""

    def __init__(self, signer: Path, ca: Path) -> None:
        self._signer = signer
        self._ca = ca
        self._known = b""
        self._renew_at = 0.0
        self.context = server_context()

    async def first(self) -> None:
        """Wait until there is a leaf; the signer may come later than we do."""
        wait = RETRY_FIRST
        while True:
            try:
                await self._renew()
            except OSError as error:
                log.info("no leaf yet: %s", error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, RETRY_MOST)
            else:
                return

    async def keep(self) -> None:
        """Renew for ever, and at once where the home CA is another one. Cancel to end."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if time.time() >= self._renew_at or self._ca.read_bytes() != self._known:
                    await self._renew()
            except OSError as error:
                log.warning("the leaf could not be renewed: %s", error)

    async def _renew(self) -> None:
        known = self._ca.read_bytes()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.web.leaf", str(self._signer),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LEAF_SECONDS):
                found, said = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise LeafError(f"no leaf within {LEAF_SECONDS:.0f} s") from None
        ends, _, rest = found.partition(b"\n")
        chain, mark, key = rest.partition(_KEY)
        if process.returncode or not mark or not ends.isdigit() or len(found) > MOST_OUTPUT:
            raise LeafError(said.decode(errors="replace").strip()[-512:] or f"exit code {process.returncode}")
        load_chain(self.context, chain, mark + key)
        self._known = known
        self._renew_at = (time.time() + int(ends)) / 2


def server_context() -> ssl.SSLContext:
    """TLS 1.2 and 1.3 as browsers speak them (RFC 9325 section 4.2), HTTP/1.1 only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context
