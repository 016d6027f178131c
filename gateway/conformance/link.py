"""A small blocking client: one request at a time over TLS 1.3, and what came back, well or badly.

It must never follow a redirect, go to another place than the one it was made for, or send more requests than it was allowed.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from gateway.conformance.report import CannotLook
from gateway.http1.response import Response, ResponseParser
from gateway.http1.violation import Limits, Violation

KEPT = 2048  # bytes of an answer that are kept as they came
CHUNK = 16_384
MOST_REQUESTS = 240  # of one run
MOST_SILENT = 3


class TooMany(CannotLook):
    """The run has sent as much as it said that it would, or waited for too many answers in vain."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer. ``response`` is None where none came (``trouble`` says why) or where it broke HTTP (``violation``)."""

    response: Response | None
    violation: Violation | None = None
    trouble: str = ""
    raw: bytes = b""  # the first bytes of it
    seconds: float = 0.0  # from the first byte of the request to the last of the answer


@dataclass
class Place:
    """Where the peer is. ``address`` and ``port``: where TCP goes; ``left``: requests that may still be sent."""

    host: str
    address: str
    port: int
    context: ssl.SSLContext
    seconds: float = 30.0
    left: int = MOST_REQUESTS
    silent: int = 0  # how often there was no answer in time
    limits: Limits = field(default_factory=Limits)
    _link: Link | None = field(default=None, repr=False)

    def open(self) -> Link:
        """A new connection. Raises OSError (ssl.SSLError is one), TooMany."""
        self.may_wait()
        try:
            sock = socket.create_connection((self.address, self.port), timeout=self.seconds)
            try:
                wrapped = self.context.wrap_socket(sock, server_hostname=self.host)
            except BaseException:
                sock.close()
                raise
        except TimeoutError:
            self.silent += 1
            raise
        return Link(self, wrapped)

    def may_wait(self) -> None:
        """Raise TooMany where the peer was waited for often enough."""
        if self.silent >= MOST_SILENT:
            raise TooMany(f"not tried: {MOST_SILENT} times there was no answer in time")

    def once(self, request: bytes) -> Heard:
        """One request on a connection of its own."""
        try:
            with self.open() as link:
                return link.exchange(request)
        except OSError as error:
            return Heard(None, trouble=told(error))

    def kept(self, request: bytes) -> Heard:
        """One request on a connection that is kept, as the gateway keeps its own; a new one where the peer ended it meanwhile."""
        if self._link is not None and self._link.usable:
            heard = self._link.exchange(request)
            if heard.response is not None or heard.raw:
                return heard
        self.close()
        try:
            self._link = self.open()
        except OSError as error:
            return Heard(None, trouble=told(error))
        return self._link.exchange(request)

    def close(self) -> None:
        """End the kept connection."""
        if self._link is not None:
            self._link.close()
        self._link = None


def context(authorities: str | None = None) -> ssl.SSLContext:
    """The outer leg's TLS, as in gateway/courier/trust.py.

    ``authorities``: a file of CA certificates; None: the system's. Raises OSError.
    """
    made = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authorities)
    made.minimum_version = made.maximum_version = ssl.TLSVersion.TLSv1_3
    made.hostname_checks_common_name = False
    made.set_alpn_protocols(["http/1.1"])
    return made


class Link:
    """One connection. A context manager."""

    def __init__(self, place: Place, sock: ssl.SSLSocket) -> None:
        self._place, self._socket = place, sock
        self._parser = ResponseParser(place.limits)
        self.usable = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self.usable = False
        with contextlib.suppress(OSError):
            self._socket.close()

    @property
    def protocol(self) -> str:
        """What ALPN chose; empty where the peer chose nothing."""
        return self._socket.selected_alpn_protocol() or ""

    def exchange(self, request: bytes) -> Heard:
        """Send and read one answer; the connection is over after anything but a whole one."""
        if self._place.left <= 0:
            raise TooMany("not tried: the number of requests that was announced is used up")
        self._place.may_wait()
        self._place.left -= 1
        raw = bytearray()
        begun = time.monotonic()
        end = begun + self._place.seconds
        response: Response | None = None
        try:
            self._socket.settimeout(self._place.seconds)
            self._socket.sendall(request)
            self._parser.expect("POST")
            while response is None:
                self._socket.settimeout(max(end - time.monotonic(), 0.001))
                data = self._socket.recv(CHUNK)
                if not data:
                    self.usable = False
                    return Heard(None, trouble="the connection ended without a whole answer", raw=bytes(raw))
                raw += data[: max(KEPT - len(raw), 0)]
                response = self._parser.feed(data)
        except Violation as violation:
            self.usable = False
            return Heard(None, violation, violation.detail, bytes(raw))
        except TimeoutError:
            self.usable = False
            self._place.silent += 1
            return Heard(None, trouble=f"no whole answer within {self._place.seconds:g} s", raw=bytes(raw))
        except OSError as error:
            self.usable = False
            return Heard(None, trouble=told(error), raw=bytes(raw))
        self.usable = not response.close
        return Heard(response, raw=bytes(raw), seconds=time.monotonic() - begun)


def told(error: OSError) -> str:
    """An error in bounded words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not prove its name: {error.verify_message}"[:200]
    return f"{type(error).__name__}: {error.strerror or error}"[:200]
