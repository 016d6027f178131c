"""The street before the house, for tests: vendor hosts with real TLS on documentation addresses, and a ledger's end of the link.

Everything stands in a network namespace of the test's own thread, so nothing is left behind, whatever happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import grp
import ipaddress
import json
import os
import pwd
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.config import Config
from gateway.courier.main import serve
from gateway.ipc import channel as ipc
from gateway.ipc.channel import Channel
from gateway.ipc.messages import Deferred, Deliver, Delivered, Fetched, Polled
from gateway.network.rtnl import in_thread
from gateway.registry import Device, Kind, RegistryFile
from gateway.standard.canonical import encode
from tests.unit.ledger.peers import settings

ADDRESSES = ("203.0.113.10", "203.0.113.11", "198.51.100.7", "2001:db8:10::7")
HOST = "in.acme.example"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def on_the_street(work: Callable[[], Coroutine[Any, Any, None]], seconds: float = 60) -> None:
    """Run ``work`` on uvloop in a thread that has a network of its own, with ADDRESSES on its loopback."""

    def body() -> None:
        os.unshare(os.CLONE_NEWNET)
        for command in (["link", "set", "lo", "up"], *(["address", "add", a, "dev", "lo"] for a in ADDRESSES)):
            subprocess.run(["ip", *command, *(["nodad"] if ":" in command[2] else [])], check=True)

        async def bounded() -> None:
            async with asyncio.timeout(seconds):
                await work()

        uvloop.run(bounded())

    in_thread(body)


class Authority:
    """A CA that vendor hosts have their certificates from."""

    def __init__(self, name: str = "Public CA") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.certificate = (
            self._builder(self.name, self.key.public_key(), -1, 1)
            .add_extension(x509.BasicConstraints(True, 0), True)
            .add_extension(usage, True)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def context(self, folder: Path, *names: str, first_day: int = -1, last_day: int = 1) -> ssl.SSLContext:
        """A server's TLS settings with a certificate for ``names``. Days count from today."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(x509.Name([]), key.public_key(), first_day, last_day)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), True)
            .add_extension(x509.BasicConstraints(False, None), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
            .sign(self.key, hashes.SHA256())
        )
        path = folder / f"{names[0]}-{certificate.serial_number:x}.pem"
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _builder(self, name: x509.Name, key: Any, first: int, last: int) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=first))
            .not_valid_after(now + datetime.timedelta(days=last))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
        )


@dataclass
class Request:
    """What a vendor host saw. ``connection`` counts from 1."""

    connection: int
    line: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Vendor:
    """A vendor host: answers each request with the next of ``answers``, then with ``otherwise``; None closes the connection."""

    context: ssl.SSLContext
    address: str = ADDRESSES[0]
    answers: list[Any] = field(default_factory=list)
    otherwise: Any = NO_CONTENT
    gate: asyncio.Event | None = None  # answers wait for it
    requests: asyncio.Queue[Request] = field(default_factory=asyncio.Queue)
    handshakes: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.address, 443, ssl=self.context)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    def drop_connections(self) -> None:
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handshakes += 1
        number = self.handshakes
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
                line, *fields = head[:-4].split("\r\n")
                headers = [(name, value) for name, _, value in (entry.partition(": ") for entry in fields)]
                length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)  # a GET has none
                body = await reader.readexactly(length)
                self.requests.put_nowait(Request(number, line, headers, body))
                if self.gate is not None:
                    await self.gate.wait()
                answer = self.answers.pop(0) if self.answers else self.otherwise
                if answer is None:
                    return
                writer.write(answer)
        except (asyncio.IncompleteReadError, OSError, ssl.SSLError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


def answer(status: int, body: bytes = b"", media_type: str = "application/clear-envelope+json", *fields: str) -> bytes:
    """A response as a vendor host writes it."""
    lines = [f"HTTP/1.1 {status} Some words", f"Content-Length: {len(body)}", "Server: acme/9", *fields]
    lines += [f"Content-Type: {media_type}"] if body else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def manifest(*hosts: str) -> bytes:
    """A manifest with one message for each host ("reading-0", …) and one to the device."""
    schema = {"type": "object", "properties": {"on": {"type": "boolean", "title": "On"}}, "required": ["on"]}
    message = {"title": "Reading", "purpose": "Test", "direction": "from-device", "rate": 3_600_000, "payload": schema}
    messages = {f"reading-{n}": {**message, "host": host} for n, host in enumerate(hosts)}
    messages["setting"] = {**message, "direction": "to-device", "host": hosts[0]}
    vendor = {"name": "Acme", "contact": "x@acme.example", "support-end": "2031-12-31", "terms": "https://acme.example/terms"}
    extension = {"version": 1, "vendor": vendor, "hosts": list(hosts), "messages": messages}
    mud = {"mud-version": 1, "mud-url": "https://acme.example/plug.json", "extensions": ["clear-envelope"]}
    return json.dumps({"ietf-mud:mud": {**mud, "clear-envelope": extension}}).encode()


@dataclass
class Street:
    """A running courier, the ledger's end of its link, and who stands where."""

    folder: Path
    config: Config
    authority: Authority
    registry: RegistryFile
    names: dict[str, list[str]]
    told: asyncio.Queue[Delivered | Deferred] = field(default_factory=asyncio.Queue)
    link: Channel | None = None
    linked: asyncio.Event = field(default_factory=asyncio.Event)
    vendors: list[Vendor] = field(default_factory=list)
    pseudonyms: dict[str, str] = field(default_factory=dict)

    def deliver(self, id: str, *, device: str = "plug", host: str = HOST, type: str = "reading-0", body: bytes = b"") -> None:
        assert self.link is not None
        self.link.send(Deliver(id, device, "Acme", host, type, body or self.envelope(id, device=device, type=type)))

    def envelope(self, id: str, /, *, device: str = "plug", type: str = "reading-0", **changes: object) -> bytes:
        """What the door would have made of a conforming message; ``changes`` replace members."""
        if device not in self.pseudonyms:
            self.pseudonyms |= {known.id: known.pseudonym for known in self.registry.current().by_id.values()}
        whole = {
            "ce": 1,
            "device": self.pseudonyms.get(device, device),
            "id": id,
            "payload": {"on": True},
            "sent": "2026-01-31T12:00:00Z",
            "type": type,
            "vendor": {"hosts": [HOST, "two.acme.example"], "name": "Acme"},
            "withheld": [],
        }
        return encode(whole | changes)

    async def outcome(self, seconds: float = 15) -> Any:
        return await asyncio.wait_for(self.told.get(), seconds)

    async def under_way(self) -> tuple[Vendor, asyncio.Event]:
        """A vendor that has "m-1" and answers once the event is set, while "m-2" waits for the pair's only connection."""
        gate = asyncio.Event()
        vendor = await self.vendor(gate=gate)
        self.deliver("m-1")
        self.deliver("m-2")
        await vendor.requests.get()
        return vendor, gate

    async def relink(self) -> None:
        """The ledger goes away and is back."""
        assert self.link is not None
        self.linked.clear()
        self.link.close()
        await asyncio.wait_for(self.linked.wait(), 10)

    async def reasons(self, number: int) -> dict[str, int]:
        """What was told of the next ``number`` messages: reason by id."""
        return {told.id: told.reason for told in [await self.outcome() for _ in range(number)]}

    def approve(self, device: str, document: bytes) -> None:
        """The owner approves a manifest; ``pseudonyms`` are those of afterwards."""
        with self.registry.change() as change:
            change.approve(device, document, self.config.dmz.pool_ipv4, self.config.dmz.pool_ipv6)
        self.pseudonyms = {known.id: known.pseudonym for known in self.registry.current().by_id.values()}

    async def vendor(self, *names: str, **options: Any) -> Vendor:
        made = options.pop("kind", Vendor)(
            options.pop("context", None) or self.authority.context(self.folder, *(names or (HOST,))), **options
        )
        await made.open()
        self.vendors.append(made)
        return made


@contextlib.asynccontextmanager
async def street(
    folder: Path, *, start: bool = True, ledger: bool = False, registry: RegistryFile | None = None, **courier: object
) -> AsyncIterator[Street]:
    """The courier in this loop with two devices, "plug" and "lamp", under one manifest.

    ``start``: run the courier in this loop; ``ledger``: leave the ledger's end of the link to a real one; ``registry``: one
    that is there from before.
    """
    authority = Authority()
    (folder / "public.pem").write_bytes(authority.pem)
    config = settings(folder, courier={"authorities": str(folder / "public.pem"), "inbox_seconds": 0, **courier})
    if registry is None:
        registry = RegistryFile(config.paths.registry)
        document = manifest(HOST, "two.acme.example")
        with registry.change() as change:
            for number, id in enumerate(("plug", "lamp")):
                change.admit(Device(id, id.title(), Kind.LOCAL, f"02:00:00:00:00:0{number}"))
                change.approve(id, document, ipaddress.IPv4Network(config.dmz.pool4), config.dmz.pool_ipv6)
    here = Street(folder, config, authority, registry, {HOST: [ADDRESSES[0]]})
    here.envelope("m-0")  # the pseudonyms, while the registry is whole

    def made(channel: Channel) -> None:
        here.link = channel
        here.linked.set()

    def lost(channel: Channel) -> None:
        here.link = None
        here.linked.clear()

    path = config.paths.socket("ledger")
    server: asyncio.Server | None = None
    if not ledger:
        union = Delivered | Deferred | Fetched | Polled
        server = await ipc.serve(path, lambda: Channel(union, lambda _, message: here.told.put_nowait(message), lost, made))
        path.chmod(0o666)
    stop = asyncio.Event()
    running: Awaitable[None] | None = None
    if start:
        running = asyncio.ensure_future(serve(config, stop, lambda host: here.names[host]))
        await asyncio.wait_for(here.linked.wait(), 10)
    try:
        yield here
    finally:
        stop.set()
        if running is not None:
            await running
        if here.link is not None:
            here.link.close()
        if server is not None:
            server.close()
        for vendor in here.vendors:
            await vendor.close()
        await asyncio.sleep(0)


COURIER = """
import json, sys
from pathlib import Path
from gateway import config, service
from gateway.courier.main import serve
settings = config.load(Path(sys.argv[1]))
names = json.loads(sys.argv[2])
service.run("courier", lambda stop: serve(settings, stop, lambda host: names[host]))
"""


def courier_process(here: Street) -> subprocess.Popen[bytes]:
    """The courier as a process of its own user in this thread's network; only its resolver is the test's."""
    folder = here.config.paths.socket("courier").parent
    folder.mkdir(parents=True, exist_ok=True)
    user, group = pwd.getpwnam("mudroom-courier"), grp.getgrnam("mudroom")
    os.chown(folder, user.pw_uid, group.gr_gid)
    keys = here.config.paths.pair_keys
    keys.mkdir(mode=0o700, exist_ok=True)
    os.chown(keys, user.pw_uid, user.pw_gid)
    command = [sys.executable, "-c", COURIER, str(here.folder / "mudroom.toml"), json.dumps(here.names)]
    with (here.folder / "courier.log").open("ab") as log:
        return subprocess.Popen(command, stderr=log, user=user.pw_uid, group=user.pw_gid, extra_groups=[group.gr_gid])
