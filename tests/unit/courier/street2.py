"""A vendor host on the street that speaks HTTP/2 by the library ``h2``, and that can be made to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.unit.courier.street import Request, Vendor


@dataclass
class Speaker:
    """One connection of a ``Vendor2``, in the hands of a misbehaving answer."""

    http: h2.connection.H2Connection
    writer: asyncio.StreamWriter
    number: int
    open: dict[int, tuple[list[tuple[str, str]], bytearray]] = field(default_factory=dict)

    def flush(self) -> None:
        self.writer.write(self.http.data_to_send())

    def raw(self, data: bytes) -> None:
        self.flush()
        self.writer.write(data)


Misbehaviour = Callable[[Speaker, int], None]


@dataclass
class Vendor2(Vendor):
    """Its ``answers`` are those of ``Vendor``, said in HTTP/2, or functions of connection and stream.

    ``first``: what it does when a connection begins.
    """

    first: Callable[[Speaker], None] | None = None
    errors: asyncio.Queue[int] = field(default_factory=asyncio.Queue)  # codes of the GOAWAY frames that came
    at_once: int = 0  # most requests that were under way together

    async def open(self) -> None:
        self.context.set_alpn_protocols(["h2"])
        await super().open()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handshakes += 1
        self._writers.add(writer)
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        here = Speaker(http, writer, self.handshakes)
        tasks: list[asyncio.Task[None]] = []
        try:
            http.initiate_connection()
            if self.first is not None:
                self.first(here)
            here.flush()
            while data := await reader.read(65_536):
                for event in http.receive_data(data):
                    self._heard(here, event, tasks)
                here.flush()
        except (OSError, ssl.SSLError, h2.exceptions.ProtocolError):
            pass
        finally:
            for task in tasks:
                task.cancel()
            self._writers.discard(writer)
            writer.close()

    def _heard(self, here: Speaker, event: h2.events.Event, tasks: list[asyncio.Task[None]]) -> None:
        if isinstance(event, h2.events.RequestReceived):
            here.open[event.stream_id] = ([(str(n), str(v)) for n, v in event.headers], bytearray())
            self.at_once = max(self.at_once, len(here.open))
        elif isinstance(event, h2.events.DataReceived):
            here.open[event.stream_id][1].extend(event.data)
            here.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            tasks.append(asyncio.ensure_future(self._answer(here, event.stream_id)))
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.errors.put_nowait(int(event.error_code))

    async def _answer(self, here: Speaker, stream: int) -> None:
        headers, body = here.open[stream]
        pseudo = {name: value for name, value in headers if name.startswith(":")}
        fields = [("host", pseudo[":authority"]), *((n, v) for n, v in headers if not n.startswith(":"))]
        line = f"{pseudo[':method']} {pseudo[':path']} HTTP/1.1"  # so that tests say it once for both
        self.requests.put_nowait(Request(here.number, line, fields, bytes(body)))
        if self.gate is not None:
            await self.gate.wait()
        answer: Any = self.answers.pop(0) if self.answers else self.otherwise
        here.open.pop(stream, None)
        if answer is None:
            here.writer.close()
        elif callable(answer):
            answer(here, stream)
            here.flush()
        else:
            speak(here, stream, answer)

    async def next_error(self) -> int:
        return await asyncio.wait_for(self.errors.get(), 10)


def speak(here: Speaker, stream: int, answer: bytes) -> None:
    """An answer of HTTP/1.1 in HTTP/2."""
    if not answer.startswith(b"HTTP/1.1 "):
        here.raw(answer)
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *rest = head.decode().split("\r\n")
    fields = [(name.lower(), value) for name, _, value in (entry.partition(": ") for entry in rest)]
    here.http.send_headers(stream, [(":status", line.split(" ")[1]), *fields], end_stream=not body)
    here.flush()
    with contextlib.suppress(h2.exceptions.FlowControlError):  # its head alone is too much
        for start in range(0, len(body), 16_000):
            here.http.send_data(stream, body[start : start + 16_000], end_stream=start + 16_000 >= len(body))
        here.flush()
