"""A device's own HTTPS client: keeps its connection, reconnects when told, resolves names as a device does."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from dnslib import DNSRecord

from tests.home.client import MEDIA_TYPE
from tests.home.lab import layout
from tests.home.sockets import socket_in


@dataclass(frozen=True)
class Reply:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The RFC 9457 problem in it."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class House(Protocol):
    """What the client needs to know of a home, virtual or around a virtual machine."""

    def namespace(self, number: int) -> str:
        """A device's network namespace."""

    def folder(self, number: int) -> Path:
        """A device's files."""

    def host(self, number: int) -> str:
        """Its vendor host."""


class NoRoute(OSError):
    """The name did not resolve."""


def resolve(namespace: str, name: str, kind: str = "A", server: str = layout.DMZ4) -> list[str]:
    """The addresses that a name server gives a device; empty where there are none."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket_in(namespace, family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        sock.connect((server, 53))
        sock.send(DNSRecord.question(name, kind).pack())
        return [str(answer.rdata) for answer in DNSRecord.parse(sock.recv(4096)).rr]


class DeviceClient:
    """One device's connection to one host. A context manager."""

    def __init__(
        self, here: House, number: int, *, host: str | None = None, v6: bool = False, papers: tuple[str, str] | None = None
    ) -> None:
        self.here, self.number, self.v6 = here, number, v6
        self.host = host or here.host(number)
        folder = here.folder(number)
        self._tls = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        certificate, key = papers or ("cert.pem", "key.pem")
        self._tls.load_cert_chain(folder / certificate, folder / key)
        self._connection: http.client.HTTPConnection | None = None
        self._address = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; the next request opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def post(
        self, envelope: bytes, *, type: str | None = None, headers: dict[str, str] | None = None, timeout: float = 10.0
    ) -> Reply:
        """Send an envelope. Raises OSError or HTTPException; the connection is then gone."""
        kind = type or json.loads(envelope)["type"]
        try:
            if self._connection is None:
                self._connection = self._open(timeout)
            self._connection.request(
                "POST",
                f"/.well-known/clear-envelope/v1/messages/{kind}",
                envelope,
                {"Content-Type": MEDIA_TYPE, **(headers or {})},
            )
            response = self._connection.getresponse()
            reply = Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if response.will_close:
            self.close()
        return reply

    def _open(self, timeout: float) -> http.client.HTTPConnection:
        namespace = self.here.namespace(self.number)
        if not self._address:
            found = resolve(namespace, self.host, "AAAA" if self.v6 else "A")
            if not found:
                raise NoRoute(f"{self.host} does not resolve")
            self._address = found[0]
        sock = socket_in(namespace, socket.AF_INET6 if self.v6 else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as http.client does for its own sockets
            sock.settimeout(timeout)
            sock.connect((self._address, 443))
            wrapped = self._tls.wrap_socket(sock, server_hostname=self.host)
        except OSError:
            sock.close()
            raise
        connection = http.client.HTTPConnection(self.host)
        connection.sock = wrapped
        return connection
