"""A door with everything around it real but the far ends: the signer, TLS, sockets and files are; ledger and steering are peers
in this process that the tests can question. Devices are told apart by their loopback source address."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config import Config, Door, Paths
from gateway.door.main import serve_on
from gateway.ipc import channel
from gateway.ipc.channel import Channel
from gateway.ipc.handouts import HandedOut, Handout
from gateway.ipc.messages import AskInbox, Attempt, EntryRefused, Holder, InboxAnswer, Outcome, Refused, Submit, ToLedger
from gateway.pki import issue
from gateway.pki.ca import Authority, load_or_create, new_authority
from gateway.pki.main import serve as serve_signer
from gateway.reasons import Reason
from gateway.registry import Certificate, Device, Kind, PoolAddress, RegistryFile

SAMPLES = Path(__file__).parents[2] / "samples"
HOST, OTHER_HOST = "api.acme.example", "in.borealis.example"
TARGET = "/.well-known/clear-envelope/v1/messages/power-reading"
PREFIX = TARGET.rpartition("/")[0]
MESSAGE = (SAMPLES / "acme.message.json").read_bytes()
MEDIA = "application/clear-envelope+json"
PLUG, SENSOR, STRANGER = "127.0.0.1", "127.0.0.2", "127.0.0.99"
WAIT = 10.0


@dataclass(frozen=True)
class Identity:
    """A device's files."""

    certificate: Path
    key: Path
    serial: str


@dataclass
class LedgerPeer:
    """Takes what the door tells, and answers as the test says."""

    submits: queue.Queue[Submit] = field(default_factory=queue.Queue)
    refused: queue.Queue[Refused] = field(default_factory=queue.Queue)
    attempts: queue.Queue[Attempt] = field(default_factory=queue.Queue)
    decide: Callable[[Submit], Outcome | None] = lambda submit: Outcome(submit.ref, "answered", 200, b'{"ok":true}', MEDIA, -1)
    handouts: queue.Queue[Handout] = field(default_factory=queue.Queue)
    handed: queue.Queue[HandedOut] = field(default_factory=queue.Queue)
    hands_out: Callable[[Handout], Outcome | None] = lambda handout: Outcome(handout.ref, "accepted", 0, b"", "", -1)
    asks: queue.Queue[AskInbox] = field(default_factory=queue.Queue)
    entries_refused: queue.Queue[EntryRefused] = field(default_factory=queue.Queue)
    waits: Callable[[AskInbox], InboxAnswer | None] = lambda ask: InboxAnswer(ask.ref, -1, ())
    links: set[Channel] = field(default_factory=set)
    linked: threading.Event = field(default_factory=threading.Event)

    def make(self) -> Channel:
        return Channel(ToLedger | Handout | HandedOut, self._receive, lost=self.links.discard, made=self._made)

    def _made(self, link: Channel) -> None:
        self.links.add(link)
        self.linked.set()

    def _receive(self, link: Channel, message: Any) -> None:
        if isinstance(message, Submit):
            self.submits.put(message)
            outcome = self.decide(message)
            if outcome is not None:
                link.send(outcome)
        elif isinstance(message, AskInbox):
            self.asks.put(message)
            answer = self.waits(message)
            if answer is not None:
                link.send(answer)
        elif isinstance(message, EntryRefused):
            self.entries_refused.put(message)
        elif isinstance(message, Refused):
            self.refused.put(message)
        elif isinstance(message, Attempt):
            self.attempts.put(message)
        elif isinstance(message, Handout):
            self.handouts.put(message)
            outcome = self.hands_out(message)
            if outcome is not None:
                link.send(outcome)
        elif isinstance(message, HandedOut):
            self.handed.put(message)


class Steering:
    """Plain loopback listeners and a table of holders."""

    def __init__(self, holders: Mapping[str, str]) -> None:
        self.holders = dict(holders)
        self.lost = asyncio.Event()
        self.registrations = 0
        self.port = 0
        self.gone = False
        self.listeners: dict[str, socket.socket] = {}

    async def register(self) -> Steering:
        if self.gone:
            raise ConnectionRefusedError("no steering")
        self.registrations += 1
        self.lost.clear()
        four = socket.create_server(("0.0.0.0", self.port))
        self.port = four.getsockname()[1]
        six = socket.create_server(("::1", self.port), family=socket.AF_INET6)
        self.listeners = {"tcp4": four, "tcp6": six}
        return self

    async def whois(self, address: str) -> Holder:
        await asyncio.sleep(0.002)  # steering is another process: bytes of the device arrive meanwhile
        return Holder(0, self.holders.get(address, ""), "" if address not in self.holders else "02:00:00:00:00:01")

    async def wait_lost(self) -> None:
        await self.lost.wait()

    def close(self) -> None:
        for sock in self.listeners.values():
            sock.close()


class Lab:
    """The running whole. Everything here is called from the test's thread."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        for name in ("state", "run/signer", "run/ledger", "run/steering"):
            (folder / name).mkdir(parents=True)
        chosen = {"handshake_seconds": 1.0, "request_seconds": 1.0, "idle_seconds": 30.0, "max_connections": 8, **settings}
        paths = Paths(state=str(folder / "state"), run=str(folder / "run"), policy=str(folder / "policy.d"))
        self.config = Config(paths=paths, door=Door(**chosen))
        self.registry = RegistryFile(self.config.paths.registry)
        self.ledger = LedgerPeer()
        self.authority: Authority = load_or_create(self.config.paths.ca_certificate, self.config.paths.ca_key)
        self._admit()
        self.plug = self.identity("plug-1")
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()), daemon=True)
        self._thread.start()
        if not self._ready.wait(WAIT) or not self.ledger.linked.wait(WAIT):
            raise TimeoutError("the door did not come up")

    def _admit(self) -> None:
        with self.registry.change() as change:
            for number, (device, sample) in enumerate((("plug-1", "acme"), ("sensor-2", "borealis"))):
                change.admit(Device(device, device, Kind.STANDARD, f"02:00:00:00:00:0{number + 1}"))
                document = (SAMPLES / f"{sample}.mud.json").read_bytes().replace(b'"rate": 360', b'"rate": 100000')
                change.approve(device, document, IPv4Network("127.77.0.0/24"), IPv6Network("fd00::/64"))
            change.admit(Device("local-3", "local", Kind.LOCAL, "02:00:00:00:00:03"))
            pool = {**change.registry.pool, HOST: PoolAddress(change.registry.pool[HOST].v4, "::1")}
            change.registry = msgspec.structs.replace(change.registry, pool=pool)
        self.pool = {name: entry.v4 for name, entry in pool.items()}

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.stop = asyncio.Event()
        self.steering = Steering({PLUG: "plug-1", SENSOR: "sensor-2", "::1": "plug-1", "127.0.0.3": "local-3"})
        self.ledger_server = await channel.serve(self.config.paths.socket("ledger"), self.ledger.make)
        signer = asyncio.ensure_future(serve_signer(self.config, self.stop))
        first = await self.steering.register()
        given = [first]

        async def register() -> Steering:
            return given.pop() if given else await self.steering.register()

        door = asyncio.ensure_future(serve_on(self.config, register, self.stop, port=self.steering.port))
        while not self.config.paths.socket("signer").exists():  # noqa: ASYNC110  # serve() has no event to await
            await asyncio.sleep(0.005)
        self._ready.set()
        await self.stop.wait()
        await asyncio.gather(signer, door)
        for link in list(self.ledger.links):
            link.close()
        self.ledger_server.close()
        await asyncio.sleep(0.01)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self._thread.join(WAIT)
        if self._thread.is_alive():
            raise TimeoutError("the door did not stop")

    @property
    def port(self) -> int:
        return self.steering.port

    def on_loop(self, work: Callable[[], Any]) -> Any:
        """Run ``work`` in the door's thread and return what it returns."""

        async def wrapped() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(wrapped(), self.loop).result(WAIT)

    def identity(
        self,
        device: str,
        *,
        listed: bool = True,
        authority: Authority | None = None,
        server: bool = False,
        ago: timedelta = timedelta(),
    ) -> Identity:
        """A key and a certificate; ``listed``: recorded in the registry; ``ago``: how long ago it was issued, for a day."""
        authority = authority or self.authority
        key = ec.generate_private_key(ec.SECP256R1())
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        der, now = csr.public_bytes(Encoding.DER), datetime.now(UTC) - ago
        made = issue.leaf(authority, HOST, der, now) if server else issue.device_certificate(authority, device, der, 1, now)
        serial = f"{made.serial_number:x}"
        folder = self.folder / f"device-{serial}"
        folder.mkdir()
        (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
        (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        if listed:
            with self.registry.change() as change:
                change.add_certificate(device, Certificate(serial, int(made.not_valid_after_utc.timestamp())))
        return Identity(folder / "cert.pem", folder / "key.pem", serial)

    def client_context(self, identity: Identity | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.config.paths.ca_certificate))
        context.set_alpn_protocols(["http/1.1"])
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        return context

    def tcp(self, source: str = PLUG, host: str = HOST, port: int | None = None) -> socket.socket:
        """A TCP connection from ``source`` to the pool address of ``host``."""
        return socket.create_connection((self.pool[host], port or self.port), timeout=WAIT, source_address=(source, 0))

    def tls(
        self,
        identity: Identity | None = None,
        *,
        source: str = PLUG,
        sni: str | None = HOST,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        """A TLS connection as a device makes it; default: plug-1 with its own certificate."""
        context = context or self.client_context(identity or self.plug)
        sock = self.tcp(source)
        try:
            return context.wrap_socket(sock, server_hostname=sni, session=session)
        except BaseException:
            sock.close()
            raise

    def half_closed(self, sent: bytes, protocol: str = "http/1.1") -> bytes:
        """All that a device hears which says ``sent`` and then closes its half of the connection, below TLS."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = self.client_context(self.plug)
        context.set_alpn_protocols([protocol])
        client = context.wrap_bio(incoming, outgoing, server_hostname=HOST)
        with self.tcp() as sock:
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    incoming.write(sock.recv(65_536))
            client.write(sent)
            sock.sendall(outgoing.read())
            sock.shutdown(socket.SHUT_WR)
            incoming.write(drain(sock))
        heard = b""
        with contextlib.suppress(ssl.SSLError):  # the end
            while record := client.read(65_536):
                heard += record
        return heard

    @contextlib.contextmanager
    def http(self, **kwargs: Any) -> Iterator[http.client.HTTPConnection]:
        """An HTTP client on such a connection."""
        client = http.client.HTTPConnection(HOST, timeout=WAIT)
        client.sock = self.tls(**kwargs)
        try:
            yield client
        finally:
            client.close()

    def attempt(self, reason: Reason) -> Attempt:
        """The next report with this reason; others before it are an error."""
        found = self.ledger.attempts.get(timeout=WAIT)
        assert Reason.from_code(found.reason) is reason, f"{Reason.from_code(found.reason)} {found}"
        assert found.layer == "door"
        return found

    def refusal(self, reason: Reason) -> Refused:
        """The next recorded refusal."""
        found = self.ledger.refused.get(timeout=WAIT)
        assert Reason.from_code(found.reason) is reason, f"{Reason.from_code(found.reason)} {found}"
        return found


def foreign_authority() -> Authority:
    """A CA with the home CA's own name and another key."""
    return new_authority(datetime.now(UTC))


def post(body: bytes = MESSAGE, *, target: str = TARGET, host: str = HOST, media: str = MEDIA, more: str = "") -> bytes:
    """A request as bytes."""
    return (
        f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode()
        + body
    )


def drain(sock: socket.socket) -> bytes:
    """Everything until the door ends the connection; a reset counts as an end."""
    got = bytearray()
    try:
        while data := sock.recv(65_536):
            got += data
    except (ConnectionResetError, ssl.SSLError):
        pass
    return bytes(got)


def problem_of(raw: bytes) -> tuple[int, dict[str, Any]]:
    """Status and problem details of a raw response."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), json.loads(body)
