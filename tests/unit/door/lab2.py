"""A device that speaks HTTP/2 by the library ``h2``, over a real TLS connection to the door."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from typing import Any, Self

import h2.config
import h2.connection
import h2.events

from tests.unit.door.lab import HOST, MEDIA, MESSAGE, TARGET, WAIT, Identity, Lab


@dataclass
class Answer:
    """What came on one stream."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False

    @property
    def problem(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def tls2(lab: Lab, identity: Identity | None = None) -> ssl.SSLSocket:
    """A TLS connection of a device that speaks nothing but HTTP/2."""
    context = lab.client_context(identity or lab.plug)
    context.set_alpn_protocols(["h2"])
    return lab.tls(context=context)


class Device2:
    """One connection, whose TLS chose h2. ``window``: what it lets an answer have. A context manager."""

    def __init__(self, sock: ssl.SSLSocket, *, window: int | None = None) -> None:
        self.sock = sock
        self.sock.settimeout(WAIT)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.http.initiate_connection()
        if window is not None:
            self.http.update_settings({4: window})
        self.answers: dict[int, Answer] = {}
        self.quiet: set[int] = set()
        self.goodbye: tuple[int, bytes] | None = None
        self.over = False
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def flush(self) -> None:
        self.sock.sendall(self.http.data_to_send())

    def start(
        self,
        body: bytes = MESSAGE,
        *more: tuple[str, str],
        target: str = TARGET,
        host: str = HOST,
        media: str = MEDIA,
        send: int = -1,
    ) -> int:
        """Begin a message; ``send``: how much of its content goes out, all of it where negative."""
        stream = self.http.get_next_available_stream_id()
        pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", host), (":path", target)]
        self.http.send_headers(stream, [*pseudo, ("content-type", media), ("content-length", str(len(body))), *more])
        if send:
            self.http.send_data(stream, body[: len(body) if send < 0 else send], end_stream=send < 0)
        self.flush()
        self.answers[stream] = Answer()
        return stream

    def get(self, target: str, *, host: str = HOST, quiet: bool = False) -> int:
        """Ask for something; ``quiet``: without opening the window for what comes."""
        stream = self.http.get_next_available_stream_id()
        pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", target)]
        self.http.send_headers(stream, pseudo, end_stream=True)
        self.flush()
        self.answers[stream] = Answer()
        if quiet:
            self.quiet.add(stream)
        return stream

    def hear(self) -> bool:
        """One read; False at the end of the connection."""
        try:
            data = self.sock.recv(65_536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        if not data:
            self.over = True
            return False
        for event in self.http.receive_data(data):
            stream = getattr(event, "stream_id", None) or 0
            if isinstance(event, h2.events.ResponseReceived):
                self.answers[stream].status = int(dict(event.headers)[":status"])
                self.answers[stream].headers = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.answers[stream].body += event.data
                if stream not in self.quiet:
                    self.http.acknowledge_received_data(event.flow_controlled_length, stream)
            elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                self.answers[stream].ended = True
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.goodbye = int(event.error_code), event.additional_data or b""
        if self.goodbye is None:
            self.flush()
        return True

    def answer(self, stream: int) -> Answer:
        """The whole answer on ``stream``; what there is of it where the connection ends."""
        while not self.answers[stream].ended and self.hear():
            pass
        return self.answers[stream]

    def drain(self) -> None:
        """Until the door ends the connection."""
        while self.hear():
            pass
