"""HTTP/2 before a vendor of the virtual internet, as load balancers have it: each stream becomes a request of HTTP/1.1 and back.

``behaviour.json`` says {"http2": true} where the vendor offers it; what it says besides holds for both protocols. By the library
``h2``, as its users use it: it shares no code with the gateway.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import h2.config
import h2.connection
import h2.events
import h2.exceptions

STREAMS = 20


def offering(certificate: Path, key: Path, wanted: Callable[[], bool]) -> ssl.SSLContext:
    """A server's context that offers HTTP/2 to each newcomer for whom ``wanted`` says so."""
    plain, both = (ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) for _ in range(2))
    for context, protocols in ((plain, ["http/1.1"]), (both, ["h2", "http/1.1"])):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols(protocols)

    def choose(tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        tls.context = both if wanted() else plain

    plain.sni_callback = choose  # type: ignore[assignment]
    return plain


class Newcomer(asyncio.Protocol):
    """A connection until it is known what it speaks. ``make``: a connection of HTTP/1.1."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.Transport, transport)
        chosen = made.get_extra_info("ssl_object").selected_alpn_protocol()
        become: Any = Front(self._make) if chosen == "h2" else self._make()
        made.set_protocol(become)
        become.connection_made(made)


class Front(asyncio.Protocol):
    """One connection of HTTP/2."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._number = 0  # that of the first stream, so that one connection has one
        config = h2.config.H2Configuration(client_side=False, header_encoding="ascii")
        self.http = h2.connection.H2Connection(config)
        self._requests: dict[int, tuple[list[tuple[str, str]], bytearray]] = {}
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.http.local_settings.max_concurrent_streams = STREAMS
        self.http.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        try:
            events = self.http.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.flush()
            if self.transport:
                self.transport.close()
            return
        for event in events:
            stream = getattr(event, "stream_id", None) or 0
            if isinstance(event, h2.events.RequestReceived):
                self._requests[stream] = ([(str(n), str(v)) for n, v in event.headers or []], bytearray())
            elif isinstance(event, h2.events.DataReceived):
                self._requests[stream][1].extend(event.data or b"")
                self.http.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            elif isinstance(event, h2.events.StreamEnded):
                self._hand_on(stream, *self._requests.pop(stream))
            elif isinstance(event, h2.events.StreamReset):
                self._requests.pop(stream, None)
        self.flush()

    def flush(self) -> None:
        """Write what there is."""
        if self.transport:
            self.transport.write(self.http.data_to_send())

    def _hand_on(self, stream: int, headers: list[tuple[str, str]], body: bytearray) -> None:
        pseudo = {name: value for name, value in headers if name.startswith(":")}
        fields = [("host", pseudo[":authority"]), *((name, value) for name, value in headers if not name.startswith(":"))]
        head = [f"{pseudo[':method']} {pseudo[':path']} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        inner = self._make()
        inner.http = "2"
        self._number = inner._number = self._number or inner._number
        inner.connection_made(Back(self, stream))
        inner.data_received("\r\n".join(head).encode() + b"\r\n\r\n" + bytes(body))


class Back:
    """What a connection of HTTP/1.1 takes for its transport: its answer goes out on a stream."""

    def __init__(self, front: Front, stream: int) -> None:
        self._front, self._stream = front, stream

    def write(self, answer: bytes) -> None:
        """A whole answer."""
        head, _, body = answer.partition(b"\r\n\r\n")
        line, *rest = head.decode("ascii").split("\r\n")
        fields = [(name.lower(), value) for name, _, value in (entry.partition(": ") for entry in rest)]
        http = self._front.http
        try:
            http.send_headers(self._stream, [(":status", line.split(" ")[1]), *fields], end_stream=not body)
            for start in range(0, len(body), 16_000):
                http.send_data(self._stream, body[start : start + 16_000], end_stream=start + 16_000 >= len(body))
        except h2.exceptions.ProtocolError:
            self.abort()  # the other side has gone, or takes no more
        self._front.flush()

    def is_closing(self) -> bool:
        """As a transport says it."""
        return self._front.transport is None

    def close(self) -> None:
        """The whole connection."""
        if self._front.transport:
            self._front.transport.close()

    def abort(self) -> None:
        """At once."""
        if self._front.transport:
            self._front.transport.abort()
