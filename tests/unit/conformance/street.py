"""A vendor host on loopback with a certificate of its own authority, for holding it against the kit."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.conformance.link import Place, context
from gateway.conformance.report import Line, Verdict
from gateway.conformance.talk import Talk
from gateway.conformance.vendor import check
from gateway.standard.manifest import parse_manifest
from tests.home.lab import papers
from tests.home.reference import vendor as reference

MANIFEST = Path(reference.__file__).with_name("thermometer.mud.json")
HOST = "in.celsia.example"


def service(message: reference.Message) -> tuple[str, dict[str, object]] | None:
    """The reference's own, without printing."""
    return ("interval", {"minutes": 1}) if message.type == "temperature-reading" else None


@dataclass(frozen=True)
class Papers:
    """A host's certificate and the authority that vouches for it."""

    ca: Path
    certificate: Path
    key: Path

    @property
    def tls(self) -> ssl.SSLContext:
        return reference.tls(self.certificate, self.key)


def issued(folder: Path, name: str = HOST) -> Papers:
    authority = papers.Authority("Test authority")
    found = Papers(folder / "ca.pem", folder / "host.pem", folder / "host.key")
    found.ca.write_bytes(authority.pem)
    found.certificate.write_bytes(authority.issue(papers.new_key(found.key).public_key(), "host", (name,)))
    return found


@contextlib.contextmanager
def serving(
    host: reference.VendorHost, tls: ssl.SSLContext, handler: type[reference.Handler] = reference.Handler
) -> Iterator[int]:
    """The port at which it serves."""
    with reference.Server(host, ("127.0.0.1", 0), tls, handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
            with host.lock:
                host.store.close()


def checked(
    found: Papers,
    host: type[reference.VendorHost] = reference.VendorHost,
    handler: type[reference.Handler] = reference.Handler,
    *,
    tls: ssl.SSLContext | None = None,
    claim: bool = True,
    document: dict[str, Any] | None = None,
) -> list[Line]:
    """The report on such a host. ``document``: the manifest, if it is another."""
    raw = MANIFEST.read_bytes() if document is None else json.dumps(document).encode()
    made = host(HOST, json.loads(raw), service)
    with serving(made, tls or found.tls, handler) as port:
        place = Place(HOST, "127.0.0.1", port, context(str(found.ca)))
        text = made.new_claim("me") if claim else ""
        talk = Talk(place, parse_manifest(raw), time.time_ns(), text)
        try:
            return check(talk)
        finally:
            place.close()


def ids(lines: list[Line], verdict: Verdict = Verdict.BROKEN) -> set[str]:
    """The requirements with that verdict."""
    return {line.id for line in lines if line.verdict is verdict}
