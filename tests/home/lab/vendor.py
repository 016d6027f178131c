"""A vendor on the virtual internet: takes HTTPS requests and writes down each one exactly as it came.

It believes nothing and repairs nothing. With --verify it holds each request against its signature and writes down whose it
is ("signed_by", a keyid) or what is wrong with it ("unproven"). `behaviour.json` in its folder, read anew when it changes,
lets a test make it slow or failing: {"status": 503, "delay": 2.0, "retry_after": 1, "close": true}. What lies in its folder
`files` is what it publishes. `inbox.json` is what it has for its devices: a list of entries, or a text to be sent as it is.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import time
from pathlib import Path
from typing import Any, cast

import httptools
import uvloop

from gateway import service
from tests.home.lab import vendor2
from tests.home.lab.proof import Pins, Unproven, proven, proven_poll

INBOX = "/.well-known/clear-envelope/v1/inbox"
NUMBERS = itertools.count(1)  # of connections


class Vendor:
    """What all connections of one vendor share."""

    def __init__(self, folder: Path, answers: dict[str, bytes], verify: bool) -> None:
        self._file = (folder / "received.jsonl").open("a", buffering=1, encoding="utf-8")
        self._behaviour_file = folder / "behaviour.json"
        self._files = folder / "files"
        self._inbox = folder / "inbox.json"
        self._stamp = -1
        self._behaviour: dict[str, Any] = {}
        self.answers = answers
        self._pins = Pins() if verify else None

    def judge(self, line: dict[str, Any], body: bytes) -> None:
        """Add to ``line`` who signed it, if this vendor looks."""
        if self._pins is None:
            return
        try:
            if line["path"] == INBOX:
                line["signed_by"], device = proven_poll(line["method"], line["path"], line["headers"])
                self._pins.accept(device, line["signed_by"])
                return
            line["signed_by"] = proven(line["method"], line["path"], line["headers"], body)
            self._pins.accept(json.loads(body)["device"], line["signed_by"])
        except Unproven as error:
            line["unproven"] = str(error)

    def write(self, line: dict[str, Any]) -> None:
        """One request."""
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def published(self, name: str) -> bytes | None:
        """A file by the last part of its path; None where there is none."""
        path = self._files / name
        return path.read_bytes() if name and path.is_file() else None

    def waiting(self, received: int) -> bytes:
        """What it has beyond ``received``, the oldest sixteen."""
        try:
            found = json.loads(self._inbox.read_text())
        except FileNotFoundError:
            return b""
        if isinstance(found, str):
            return found.encode()
        new = [entry for entry in found if entry["seq"] > received][:16]
        return json.dumps({"ce": 1, "inbox": new}).encode() if new else b""

    @property
    def behaviour(self) -> dict[str, Any]:
        """What the test asked for, if anything."""
        try:
            stamp = self._behaviour_file.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if stamp != self._stamp:
            self._behaviour = json.loads(self._behaviour_file.read_text())
            self._stamp = stamp
        return self._behaviour


class Connection(asyncio.Protocol):
    """One TLS connection, HTTP/1.1; or one stream of a connection of HTTP/2 (vendor2.py)."""

    http = "1.1"

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._number = next(NUMBERS)
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's TLS transport does not inherit from asyncio's

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._vendor.write({"time": time.time(), "error": "not HTTP", "body_b64": base64.b64encode(data).decode()})
            if self._transport:
                self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        headers = {name.lower(): value for name, value in self._headers}
        line: dict[str, Any] = {
            "time": time.time(),
            "host": headers.get("host", ""),
            "method": self._parser.get_method().decode(),
            "path": self._target.decode("latin-1"),
            "headers": self._headers,
            "connection": self._number,
            "http": self.http,
        }
        body = bytes(self._body)
        try:
            line["body"] = body.decode("utf-8")
        except UnicodeDecodeError:
            line["body_b64"] = base64.b64encode(body).decode()
        self._vendor.judge(line, body)
        self._vendor.write(line)
        behaviour = self._vendor.behaviour
        received = int(headers.get("clear-envelope-received", "0"))
        asyncio.get_running_loop().call_later(
            behaviour.get("delay", 0), self._answer, behaviour, line["method"], line["path"], received
        )
        self._begin()

    def _answer(self, behaviour: dict[str, Any], method: str, path: str, received: int) -> None:
        if self._transport is None:
            return
        if behaviour.get("close"):
            self._transport.abort()
            return
        name = path.rsplit("/", 1)[-1]
        file = self._vendor.published(name) if method == "GET" else None
        body = self._vendor.answers.get(name, b"") if file is None else file
        if (method, path) == ("GET", INBOX):
            body = self._vendor.waiting(received)
        status = behaviour.get("status", 200 if body else 204)
        if status != 200:
            body = b""
        if "body" in behaviour:
            body = behaviour["body"].encode()
        media = behaviour.get("media_type", "application/clear-envelope+json")
        head = [f"HTTP/1.1 {status} x"]
        if status != 204:
            head += [f"Content-Type: {media}", f"Content-Length: {len(body)}"]
        if "retry_after" in behaviour:
            head.append(f"Retry-After: {behaviour['retry_after']}")
        for name, value in behaviour.get("headers", {}).items():
            head.append(f"{name}: {value}")
        self._transport.write("\r\n".join(head).encode() + b"\r\n\r\n" + (body if status != 204 else b""))


async def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("address", nargs="+")
    options = parser.parse_args()
    answers = (
        {name: json.dumps(value).encode() for name, value in json.loads(options.answers.read_text()).items()}
        if options.answers
        else {}
    )
    vendor = Vendor(options.folder, answers, options.verify)
    context = vendor2.offering(options.certificate, options.key, lambda: bool(vendor.behaviour.get("http2")))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: vendor2.Newcomer(lambda: Connection(vendor)), options.address, 443, ssl=context)
    service.ready("listening")
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    service.start_logging("vendor")
    uvloop.run(main())
