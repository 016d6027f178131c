"""Enrolment over real TLS on the loopback: what a visitor can hold, and what each ends with."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7

from gateway.enrolment import server as serving
from gateway.enrolment.est import Est
from gateway.enrolment.server import Server
from gateway.enrolment.tls import server_context
from gateway.ipc.messages import Enrol, Enrolled, Holder, Proof, Prove, Renew
from gateway.pki import issue
from gateway.pki.ca import new_authority
from gateway.reasons import Reason
from gateway.standard import enrolment

NOW = datetime.now(UTC)
AUTHORITY, FOREIGN = new_authority(NOW), new_authority(NOW)
CA_PEM = AUTHORITY.certificate.public_bytes(Encoding.PEM)
MAC = "02:00:00:00:00:01"
POST = "Content-Type: application/pkcs10\r\n"


def papers(make: Callable[[bytes], x509.Certificate]) -> tuple[bytes, bytes, bytes]:
    """Certificate and key (PEM) and the request (DER)."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    csr = request.public_bytes(Encoding.DER)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return make(csr).public_bytes(Encoding.PEM), pem, csr


CHAIN, KEY, _ = papers(lambda csr: issue.leaf(AUTHORITY, enrolment.HOST, csr, NOW))
CONTEXT = server_context(CA_PEM, CHAIN, KEY)
DEVICE, DEVICE_KEY, REQUEST = papers(lambda csr: issue.device_certificate(AUTHORITY, "plug", csr, 30, NOW))


@dataclass
class Gate:
    """A server whose signer and steering answer as the test says."""

    port: int = 0
    holder: Holder = field(default_factory=lambda: Holder(0, "", MAC))
    answer: Any = None
    asked: list[Any] = field(default_factory=list)
    noted: list[tuple[str, Reason]] = field(default_factory=list)

    async def whois(self, _address: str) -> Holder:
        return self.holder

    async def ask(self, question: Callable[[int], Any], _answer: type[Any]) -> Any:
        self.asked.append(question(7))
        if self.answer is None:
            raise ConnectionError("the signer is away")
        return self.answer

    async def connect(
        self, *, name: str = enrolment.HOST, certificate: tuple[bytes, bytes] | None = None, folder: Path | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.create_default_context(cadata=CA_PEM.decode())
        if certificate is not None:
            assert folder is not None
            (folder / "both.pem").write_bytes(b"".join(certificate))
            context.load_cert_chain(folder / "both.pem")
        context.check_hostname = name == enrolment.HOST
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=name)

    async def talk(self, head: str, body: bytes = b"", **how: Any) -> tuple[int, str, bytes]:
        """Status, head and content of one answer on a connection of its own."""
        reader, writer = await self.connect(**how)
        length = f"Content-Length: {len(body)}\r\n" if head.startswith("POST") else ""
        writer.write(f"{head}Host: {enrolment.HOST}\r\n{length}Connection: close\r\n\r\n".encode() + body)
        async with asyncio.timeout(10):
            whole = await reader.read()
        writer.close()
        top, _, content = whole.partition(b"\r\n\r\n")
        return int(top.split()[1]), top.decode().lower(), content


@contextlib.asynccontextmanager
async def gate() -> AsyncIterator[Gate]:
    made = Gate()

    async def context() -> ssl.SSLContext:
        return CONTEXT

    server = Server(made.whois, context, Est(made, lambda: AUTHORITY.certificate), lambda who, why: made.noted.append((who, why)))
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setblocking(False)
    made.port = listener.getsockname()[1]
    task = asyncio.create_task(server.accept(listener))
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.close()
        listener.close()
        assert not server._each
        assert server._strangers == 0


def certificates(content: bytes) -> list[x509.Certificate]:
    import base64

    return pkcs7.load_der_pkcs7_certificates(base64.b64decode(content))


def get(path: str, more: str = "") -> str:
    return f"GET {enrolment.PREFIX}{path} HTTP/1.1\r\n{more}"


def post(path: str, more: str = POST) -> str:
    return f"POST {enrolment.PREFIX}{path} HTTP/1.1\r\n{more}"


async def test_the_ca_is_public_and_its_proof_is_the_signers() -> None:
    async with gate() as at:
        status, head, content = await at.talk(get("cacerts"))
        assert (status, at.asked) == (200, [])
        assert "content-type: application/pkcs7-mime; smime-type=certs-only" in head
        assert certificates(content) == [AUTHORITY.certificate]
        assert enrolment.PROOF_HEADER not in head
        at.answer = Proof(7, b"\x22" * 32, b"\x33" * 32, -1)
        status, head, _ = await at.talk(get("cacerts", f"{enrolment.NONCE_HEADER}: {'11' * 32}\r\n"))
        assert at.asked == [Prove(7, MAC, b"\x11" * 32)]
        assert f"{enrolment.NONCE_HEADER}: {'22' * 32}" in head
        assert f"{enrolment.PROOF_HEADER}: {'33' * 32}" in head
        assert at.noted == []


async def test_csrattrs_asks_for_p256() -> None:
    import base64

    async with gate() as at:
        status, head, content = await at.talk(get("csrattrs"))
        assert status == 200
        assert "application/csrattrs" in head
        assert base64.b64decode(content) == enrolment.CSR_ATTRIBUTES


async def test_a_request_goes_to_the_signer_with_who_asks_and_its_answer_comes_back() -> None:
    async with gate() as at:
        at.answer = Enrolled(7, DEVICE, -1, "")
        proof = f"{enrolment.PROOF_HEADER}: {'44' * 32}\r\n"
        status, _, content = await at.talk(post("simpleenroll", POST + proof), enrolment.write_content(REQUEST))
        assert status == 200
        assert [c.public_bytes(Encoding.PEM) for c in certificates(content)] == [DEVICE]
        assert at.asked == [Enrol(7, MAC, REQUEST, b"\x44" * 32)]


@pytest.mark.parametrize(
    ("reason", "status", "wait"),
    [
        (Reason.ENROLMENT_WAITING, 202, "retry-after: 10"),
        (Reason.ENROLMENT_RATE, 429, "retry-after: 60"),
        (Reason.ENROLMENT_PROOF, 403, ""),
        (Reason.ENROLMENT_REQUEST, 400, ""),
        (Reason.ENROLMENT_FAILED, 503, "retry-after: 10"),
        (Reason.IDENTITY_UNKNOWN, 403, ""),
        (Reason.CERTIFICATE_REVOKED, 403, ""),
    ],
)
async def test_what_the_signer_refuses_has_status_words_and_a_record(reason: Reason, status: int, wait: str) -> None:
    async with gate() as at:
        at.answer = Enrolled(7, b"", reason.code, "because")
        proof = f"{enrolment.PROOF_HEADER}: {'44' * 32}\r\n"
        found, head, content = await at.talk(post("simpleenroll", POST + proof), enrolment.write_content(REQUEST))
        assert found == status
        assert wait in head
        assert content.decode().endswith("because\n")
        assert at.noted == [(MAC, reason)]


async def test_without_the_signer_nobody_is_enrolled() -> None:
    async with gate() as at:
        proof = f"{enrolment.PROOF_HEADER}: {'44' * 32}\r\n"
        status, _, _ = await at.talk(post("simpleenroll", POST + proof), enrolment.write_content(REQUEST))
        assert (status, at.noted) == (503, [(MAC, Reason.ENROLMENT_FAILED)])


@pytest.mark.parametrize(
    ("head", "body", "status", "reason"),
    [
        (get("serverkeygen"), b"", 404, Reason.ENROLMENT_HTTP),
        ("GET / HTTP/1.1\r\n", b"", 404, Reason.ENROLMENT_HTTP),
        ("GET /.well-known/est/a/cacerts HTTP/1.1\r\n", b"", 404, Reason.ENROLMENT_HTTP),
        ("GET cacerts HTTP/1.1\r\n", b"", 400, Reason.HTTP_TARGET),
        (post("cacerts"), b"x", 405, Reason.ENROLMENT_HTTP),
        (get("simpleenroll"), b"", 405, Reason.ENROLMENT_HTTP),
        (post("simpleenroll", "Content-Type: text/plain\r\n"), b"x", 415, Reason.ENROLMENT_HTTP),
        (post("simpleenroll"), b"%", 400, Reason.ENROLMENT_REQUEST),
        (post("simpleenroll"), enrolment.write_content(REQUEST), 403, Reason.ENROLMENT_PROOF),
        (post("simpleenroll"), b"A" * 8193, 413, Reason.HTTP_TOO_LARGE),
        (post("simpleenroll", POST + f"{enrolment.PROOF_HEADER}: 00\r\n"), enrolment.write_content(REQUEST), 400, None),
        (post("simplereenroll"), enrolment.write_content(REQUEST), 403, Reason.CERTIFICATE_MISSING),
        (get("cacerts", f"{enrolment.NONCE_HEADER}: {'0' * 63}\r\n"), b"", 400, Reason.ENROLMENT_REQUEST),
        (get("cacerts", f"X: {'y' * 5000}\r\n"), b"", 431, Reason.HTTP_TOO_LARGE),
    ],
)
async def test_what_no_device_should_ask(head: str, body: bytes, status: int, reason: Reason | None) -> None:
    async with gate() as at:
        found, _, _ = await at.talk(head, body)
        assert found == status
        assert at.asked == []
        assert [why for _, why in at.noted] == [reason or Reason.ENROLMENT_REQUEST]


async def test_a_renewal_brings_its_certificate_expired_or_not(tmp_path: Path) -> None:
    long_ago = NOW - timedelta(days=300)
    old, old_key, csr = papers(lambda csr: issue.device_certificate(AUTHORITY, "plug", csr, 30, long_ago))
    async with gate() as at:
        at.answer = Enrolled(7, DEVICE, -1, "")
        body = enrolment.write_content(csr)
        status, _, _ = await at.talk(post("simplereenroll"), body, certificate=(old, old_key), folder=tmp_path)
        assert status == 200
        assert at.asked == [Renew(7, MAC, x509.load_pem_x509_certificate(old).public_bytes(Encoding.DER), csr)]


async def test_a_foreign_certificate_does_not_get_through_tls(tmp_path: Path) -> None:
    foreign, key, _ = papers(lambda csr: issue.device_certificate(FOREIGN, "plug", csr, 30, NOW))
    async with gate() as at:
        with pytest.raises((ssl.SSLError, ConnectionError, IndexError)):
            await at.talk(get("cacerts"), certificate=(foreign, key), folder=tmp_path)
        assert at.noted == [(MAC, Reason.CERTIFICATE_UNTRUSTED)]


@pytest.mark.parametrize("name", ["api.acme.example", "127.0.0.1"])
async def test_no_other_server_name(name: str) -> None:
    async with gate() as at:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await at.connect(name=name)
        assert at.noted == [(MAC, Reason.SNI_NOT_APPROVED)]


async def test_who_holds_no_address_is_not_spoken_to() -> None:
    async with gate() as at:
        at.holder = Holder(0, "", "")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await at.connect()
        assert at.noted == [("127.0.0.1", Reason.IDENTITY_UNKNOWN)]


async def test_strangers_hold_few_places_and_a_device_finds_one() -> None:
    async with gate() as at:
        held = []
        for number in range(serving.MOST_STRANGERS):
            at.holder = Holder(0, "", f"02:00:00:00:01:{number:02x}")
            held.append(await at.connect())
        at.holder = Holder(0, "", "02:00:00:00:02:00")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await at.connect()
        assert at.noted == [("02:00:00:00:02:00", Reason.CONNECTION_LIMIT)]
        at.holder = Holder(0, "plug", MAC)
        assert (await at.talk(get("cacerts")))[0] == 200
        for _, writer in held:
            writer.transport.abort()


async def test_one_visitor_holds_two_connections() -> None:
    async with gate() as at:
        held = [await at.connect() for _ in range(serving.MOST_EACH)]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await at.connect()
        assert at.noted == [(MAC, Reason.CONNECTION_LIMIT)]
        for _, writer in held:
            writer.transport.abort()


async def test_a_connection_ends_in_time_whatever_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "WHOLE_SECONDS", 0.2)
    async with gate() as at:
        reader, writer = await at.connect()
        writer.write(b"GET ")
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        assert at.noted == [(MAC, Reason.TIMEOUT)]
        writer.transport.abort()
    async with gate() as at:
        with socket.create_connection(("127.0.0.1", at.port)) as silent:  # not even a hello
            silent.setblocking(False)
            async with asyncio.timeout(5):
                assert await asyncio.get_running_loop().sock_recv(silent, 1) == b""
        assert at.noted == [(MAC, Reason.TIMEOUT)]


async def test_one_connection_carries_some_requests_and_no_more() -> None:
    async with gate() as at:
        reader, writer = await at.connect()
        for number in range(1, serving.REQUESTS + 1):
            writer.write(f"{get('csrattrs')}Host: {enrolment.HOST}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert (b"Connection: close" in head) is (number == serving.REQUESTS)
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(int(length.split()[1]))
        assert await reader.read() == b""
        writer.close()
