"""A load generator, run as a process of its own so that its CPU is nobody else's: `python3 -m tests.bench.load OPTIONS`.

It opens its connections and warms them up, writes "ready", waits for a line on standard input, sends a fixed number of
messages (or stops at the time limit), and writes one JSON object: what came back, how fast, and each failure by name.
It must never count an answer that it did not read to its end, nor hide a status.

keep: N connections, each sends its next message when its answer has come.
new: N workers, each makes a connection with a full handshake (never resumed), sends one message and closes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import ssl
import sys
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import uvloop

PATIENCE = 15.0  # seconds without any answer after which a run is over


class Run:
    """What all connections of one run share."""

    def __init__(self, request: bytes, messages: int, seconds: float) -> None:
        self.request = request
        self.left = messages
        self.seconds = seconds
        self.deadline = float("inf")
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def take(self) -> bool:
        """Whether one more message is to be sent; counts it as taken."""
        if self.left <= 0 or perf_counter() >= self.deadline:
            return False
        self.left -= 1
        return True

    def begin(self, messages: int) -> None:
        """Start the clock and forget what the warm-up saw."""
        self.left = messages
        self.deadline = perf_counter() + self.seconds
        self.latencies.clear()
        self.statuses.clear()
        self.failures.clear()


class Client(asyncio.Protocol):
    """One connection. ``done`` is set when it has no more to do, ``closed`` when it is gone."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sent = 0.0
        self._busy = False
        self._once = False
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's TLS transport does not inherit from asyncio's

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._busy:
            self._run.failures[f"connection lost: {type(exc).__name__ if exc else 'closed by the peer'}"] += 1
            self._busy = False
        self._finish()
        if not self.closed.done():
            self.closed.set_result(None)

    def go(self, since: float | None = None, once: bool = False) -> None:
        """Send messages until the run has no more (or one only); ``since``: when this message's clock began."""
        self._once = once
        self.done = asyncio.get_running_loop().create_future()
        self._next(since)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = buffer
            return
        head = buffer[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17 : (head + b"\r\n").index(b"\r\n", at + 2)]) if at >= 0 else 0
        if len(buffer) < end + 4 + length:
            self._buffer = buffer
            return
        self._buffer = buffer[end + 4 + length :]
        run = self._run
        run.latencies.append(perf_counter() - self._sent)
        run.statuses[head[9:12].decode("latin-1")] += 1
        self._busy = False
        if self._once:
            self._finish()
        else:
            self._next(None)

    def _next(self, since: float | None) -> None:
        if self._transport is None:
            self._run.failures["no connection"] += 1
            self._finish()
        elif self._once or self._run.take():
            self._busy = True
            self._sent = perf_counter() if since is None else since
            self._transport.write(self._run.request)
        else:
            self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def connected(run: Run, options: argparse.Namespace, context: ssl.SSLContext) -> Client:
    """A new connection with a full handshake. Raises OSError."""
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: Client(run), options.address, options.port, ssl=context, server_hostname=options.host, ssl_handshake_timeout=10
    )
    return client


async def keep(run: Run, clients: list[Client]) -> None:
    """All connections at once, each one message at a time."""
    for client in clients:
        client.go()
    seen = -1
    waiting = {client.done for client in clients}
    while waiting:
        _, waiting = await asyncio.wait(waiting, timeout=PATIENCE)
        if waiting and len(run.latencies) == seen:
            run.failures["no answer"] += len(waiting)
            for client in clients:
                client.abort()
            return
        seen = len(run.latencies)


async def new(run: Run, options: argparse.Namespace, context: ssl.SSLContext) -> None:
    """One worker: connect, send, read, close; again."""
    while run.take():
        since = perf_counter()
        try:
            client = await connected(run, options, context)
        except (OSError, ssl.SSLError, TimeoutError) as error:
            run.failures[f"connect: {type(error).__name__}: {error}"] += 1
            continue
        client.go(since, once=True)
        try:
            await asyncio.wait_for(client.done, PATIENCE)
            client.close()
            await asyncio.wait_for(client.closed, PATIENCE)
        except TimeoutError:
            run.failures["no answer"] += 1
            client.abort()


async def main(options: argparse.Namespace) -> dict[str, Any]:
    """The whole run."""
    context = ssl.create_default_context(cafile=str(options.ca))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2 if options.tls == "1.2" else ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(options.certificate, options.key)
    context.set_alpn_protocols(["http/1.1"])
    if options.address is None:
        found = await asyncio.get_running_loop().getaddrinfo(
            options.host, options.port, family=socket.AF_INET, type=socket.SOCK_STREAM
        )
        options.address = found[0][4][0]
    body = options.message.read_bytes().strip()
    request = (
        f"POST {options.path} HTTP/1.1\r\nHost: {options.host}\r\nContent-Type: application/clear-envelope+json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    run = Run(request, 0, options.seconds)
    clients: list[Client] = []
    run.begin(options.warm)
    if options.mode == "keep":
        try:
            clients = [await connected(run, options, context) for _ in range(options.connections)]
        except OSError as error:
            raise SystemExit(f"load: no connection: {type(error).__name__}: {error}") from None
        await keep(run, clients)
    else:
        await new(run, options, context)
    if run.failures:
        raise SystemExit(f"load: the warm-up failed: {dict(run.failures)}")
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    run.begin(options.messages)
    start = perf_counter()
    if options.mode == "keep":
        await keep(run, clients)
    else:
        await asyncio.gather(*(new(run, options, context) for _ in range(options.connections)))
    spent = perf_counter() - start
    for client in clients:
        client.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*(client.closed for client in clients)), 3)
    times = sorted(run.latencies)
    return {
        "messages": len(times),
        "seconds": spent,
        "p50": times[len(times) // 2] if times else None,
        "p99": times[min(len(times) - 1, int(len(times) * 0.99))] if times else None,
        "statuses": dict(run.statuses),
        "failures": dict(run.failures),
    }


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=("keep", "new"), required=True)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--warm", type=int, default=50, help="messages sent before the clock starts")
    parser.add_argument("--seconds", type=float, default=30.0, help="time limit of the run")
    parser.add_argument("--tls", choices=("1.2", "1.3"), default="1.3")
    parser.add_argument("--host", required=True, help="name for SNI, Host and certificate")
    parser.add_argument("--address", help="IPv4 address; without it the name is resolved")
    parser.add_argument("--port", type=int, default=443)
    parser.add_argument("--path", required=True)
    parser.add_argument("--message", type=Path, required=True)
    for name in ("ca", "certificate", "key"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(arguments()))), flush=True)
