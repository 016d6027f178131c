"""How vendor hosts prove their names: TLS 1.3, the public authorities, the exact name. It must never be made to trust less.

No client certificate, no session shared between devices, no renegotiation (TLS 1.3 has none), no compression.
"""

from __future__ import annotations

import ssl
from pathlib import Path

ALPN, ALPN2 = "http/1.1", "h2"


class Authorities:
    """The file of CA certificates; read again when it changes, since a context costs some 30 ms and 1 MB to make."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int, int] | None = None
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}

    def context(self, *protocols: str) -> ssl.SSLContext:
        """The TLS settings of the outer leg. ``protocols``: offered by ALPN, HTTP/1.1 where none is named.

        Raises OSError (ssl.SSLError is one) where the file is unusable.
        """
        found = self.path.stat()
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._contexts, self._stamp = {}, stamp
        context = self._contexts.get(protocols)
        if context is None:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.path))
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
            context.hostname_checks_common_name = False  # RFC 9525 section 2
            context.options |= ssl.OP_NO_COMPRESSION
            context.set_alpn_protocols(list(protocols or (ALPN,)))
            self._contexts[protocols] = context
        return context
