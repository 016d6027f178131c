"""Who gets in: every way of not being a listed device of this home ends before a message is read, under its own reason."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import time
from datetime import timedelta

import pytest

from gateway.reasons import Reason
from gateway.registry import Kind
from tests.unit.door.lab import HOST, OTHER_HOST, PLUG, SENSOR, STRANGER, Lab, drain, foreign_authority, post


def refused_after_handshake(sock: ssl.SSLSocket) -> None:
    """TLS 1.3 clients believe the handshake done before the server has looked at their certificate."""
    with sock, pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
        sock.sendall(post())
        if not sock.recv(65_536):
            raise ConnectionResetError("closed without an answer")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_and_ciphers(lab: Lab, version: ssl.TLSVersion) -> None:
    context = lab.client_context(lab.plug)
    context.minimum_version = context.maximum_version = version
    with lab.tls(context=context) as sock:
        assert sock.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
        assert sock.selected_alpn_protocol() == "http/1.1"
        cipher = sock.cipher()
        assert cipher is not None
        assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]
        sock.sendall(post())
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_over_ipv6(lab: Lab) -> None:
    with (
        socket.create_connection(("::1", lab.port), timeout=5) as tcp,
        lab.client_context(lab.plug).wrap_socket(tcp, server_hostname=HOST) as sock,
    ):
        sock.sendall(post())
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_openssl_agrees(lab: Lab) -> None:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{lab.pool[HOST]}:{lab.port}", "-servername", HOST, "-verify_return_error",
         "-CAfile", str(lab.config.paths.ca_certificate), "-cert", str(lab.plug.certificate), "-key", str(lab.plug.key),
         "-bind", PLUG, "-no_ign_eof"],
        input=b"Q\n", capture_output=True, timeout=20,
    )  # fmt: skip
    out = done.stdout.decode()
    assert "Verification: OK" in out, out
    assert "Max Early Data: 0" in out or "Early data was not sent" in out
    assert "Mudroom home CA" in out.partition("Acceptable client certificate CA names")[2] or "Acceptable" not in out


def test_old_tls(lab: Lab) -> None:
    context = lab.client_context(lab.plug)
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        lab.tls(context=context)
    lab.attempt(Reason.TLS_FAILED)


def test_weak_ciphers(lab: Lab) -> None:
    context = lab.client_context(lab.plug)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")  # CBC
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        lab.tls(context=context)
    lab.attempt(Reason.TLS_FAILED)


def test_only_what_is_not_spoken_here_offered(lab: Lab) -> None:
    context = lab.client_context(lab.plug)
    context.set_alpn_protocols(["h3", "http/1.0"])
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        lab.tls(context=context)
    lab.attempt(Reason.TLS_FAILED)


@pytest.mark.parametrize(
    "first",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-x\r\n", b"\x00", b"\x80\x2e\x01\x00\x02"],
    ids=["HTTP", "SSH", "NUL", "SSLv2"],
)
def test_not_tls(lab: Lab, first: bytes) -> None:
    with lab.tcp() as sock:
        sock.sendall(first)
        assert drain(sock) == b""
    found = lab.attempt(Reason.NOT_TLS)
    assert (found.device, found.protocol, found.destination, found.port) == ("plug-1", "tcp", lab.pool[HOST], lab.port)


def test_a_broken_hello(lab: Lab) -> None:
    with lab.tcp() as sock:
        sock.sendall(b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03")
        assert drain(sock) == b""
    lab.attempt(Reason.TLS_FAILED)


def test_an_endless_hello(lab: Lab) -> None:
    with lab.tcp() as sock:
        # a handshake message of 16 MB, in records that each look well
        sock.sendall(b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + b"\0" * 0x3FFC)
        sock.sendall(b"\x16\x03\x01\x40\x00" + b"\0" * 0x4000)
        assert drain(sock) == b""
    lab.attempt(Reason.TLS_FAILED)


def test_the_hello_may_come_byte_by_byte(lab: Lab) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = lab.client_context(lab.plug).wrap_bio(incoming, outgoing, server_hostname=HOST)
    with lab.tcp() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                for number in outgoing.read():
                    sock.send(bytes([number]))
                incoming.write(sock.recv(65_536))
        client.write(post())
        for number in outgoing.read():
            sock.send(bytes([number]))
        answer = b""
        while b"\r\n\r\n" not in answer:
            incoming.write(sock.recv(65_536))
            try:
                answer += client.read(65_536)
            except ssl.SSLWantReadError:
                continue
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_no_server_name(lab: Lab) -> None:
    context = lab.client_context(lab.plug)
    context.check_hostname = False
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        lab.tls(context=context, sni=None)
    assert lab.attempt(Reason.SNI_MISSING).destination == lab.pool[HOST]


@pytest.mark.parametrize("name", ["tracker.example", OTHER_HOST, "acme.example", "x.api.acme.example"])
def test_names_outside_the_devices_manifest(lab: Lab, name: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        lab.tls(sni=name)
    found = lab.attempt(Reason.SNI_NOT_APPROVED)
    assert (found.device, found.protocol, found.destination) == ("plug-1", "tls", name)


def test_an_upper_case_name_is_the_same_name(lab: Lab) -> None:
    context = lab.client_context(lab.plug)
    with lab.tls(context=context, sni=HOST.upper()) as sock:
        sock.sendall(post())
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_an_address_that_is_not_the_names(lab: Lab) -> None:
    with lab.tcp(host=OTHER_HOST) as sock, pytest.raises((ssl.SSLError, ConnectionResetError)):
        lab.client_context(lab.plug).wrap_socket(sock, server_hostname=HOST)
    assert lab.attempt(Reason.ADDRESS_MISMATCH).destination == HOST


@pytest.mark.parametrize("source", [STRANGER, "127.0.0.3"], ids=["unknown", "local"])
def test_addresses_without_an_admitted_device(lab: Lab, source: str) -> None:
    with lab.tcp(source) as sock:
        assert drain(sock) == b""
    lab.attempt(Reason.IDENTITY_UNKNOWN)


def test_no_certificate(lab: Lab) -> None:
    refused_after_handshake(lab.tls(context=lab.client_context(None)))
    assert lab.attempt(Reason.CERTIFICATE_MISSING).device == "plug-1"


def test_a_foreign_ca_of_the_same_name(lab: Lab) -> None:
    foreign = lab.identity("plug-1", authority=foreign_authority())
    refused_after_handshake(lab.tls(foreign))
    lab.attempt(Reason.CERTIFICATE_UNTRUSTED)


def test_a_foreign_certificate_in_the_old_version(lab: Lab) -> None:
    context = lab.client_context(lab.identity("plug-1", authority=foreign_authority()))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        lab.tls(context=context)
    lab.attempt(Reason.CERTIFICATE_UNTRUSTED)


def test_a_server_certificate_of_the_home_ca(lab: Lab) -> None:
    refused_after_handshake(lab.tls(lab.identity("plug-1", server=True)))
    lab.attempt(Reason.CERTIFICATE_UNTRUSTED)


def test_an_expired_certificate(lab: Lab) -> None:
    refused_after_handshake(lab.tls(lab.identity("plug-1", ago=timedelta(days=2))))
    lab.attempt(Reason.CERTIFICATE_UNTRUSTED)


def test_a_certificate_that_nobody_recorded(lab: Lab) -> None:
    refused_after_handshake(lab.tls(lab.identity("plug-1", listed=False)))
    lab.attempt(Reason.CERTIFICATE_REVOKED)


def test_another_devices_certificate(lab: Lab) -> None:
    refused_after_handshake(lab.tls(lab.identity("sensor-2")))
    assert lab.attempt(Reason.CERTIFICATE_OTHER).device == "plug-1"


def test_a_revoked_certificate(lab: Lab) -> None:
    revoked = lab.identity("plug-1")
    with lab.registry.change() as change:
        change.revoke("plug-1", revoked.serial)
    refused_after_handshake(lab.tls(revoked))
    lab.attempt(Reason.CERTIFICATE_REVOKED)


def test_revocation_holds_at_the_next_request_of_an_open_connection(lab: Lab) -> None:
    identity = lab.identity("plug-1")
    with lab.tls(identity) as sock:
        sock.sendall(post())
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")
        lab.ledger.submits.get(timeout=10)
        with lab.registry.change() as change:
            change.revoke("plug-1", identity.serial)
        sock.sendall(post())
        assert drain(sock) == b""
    lab.attempt(Reason.CERTIFICATE_REVOKED)
    assert lab.ledger.submits.empty()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_resume_but_not_after_revocation(lab: Lab, version: ssl.TLSVersion) -> None:
    identity = lab.identity("plug-1")
    context = lab.client_context(identity)
    context.minimum_version = context.maximum_version = version
    with lab.tls(context=context) as sock:
        sock.sendall(post())
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")
        session = sock.session
    with lab.tls(context=context, session=session) as sock:
        assert sock.session_reused
        sock.sendall(post())
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")
        session = sock.session
    with lab.registry.change() as change:
        change.revoke("plug-1", identity.serial)
    with contextlib.suppress(ssl.SSLError, ConnectionResetError):  # TLS 1.2 may notice within the handshake
        refused_after_handshake(lab.tls(context=context, session=session))
    lab.attempt(Reason.CERTIFICATE_REVOKED)


def test_a_session_is_worth_nothing_to_another_device(lab: Lab) -> None:
    context = lab.client_context(lab.plug)
    with lab.tls(context=context) as sock:
        sock.sendall(post())
        assert sock.recv(65_536)
        session = sock.session
    # the same bytes from the sensor's address: it may not even ask for this name
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        lab.tls(context=context, session=session, source=SENSOR)
    lab.attempt(Reason.SNI_NOT_APPROVED)


def test_a_quarantined_device_is_cut_off_at_its_next_request(lab: Lab) -> None:
    with lab.tls() as sock:
        sock.sendall(post())
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")
        with lab.registry.change() as change:
            change.set_kind("plug-1", Kind.QUARANTINED)
        try:
            sock.sendall(post())
            assert drain(sock) == b""
            lab.attempt(Reason.IDENTITY_UNKNOWN)
        finally:
            with lab.registry.change() as change:
                change.set_kind("plug-1", Kind.STANDARD)


def test_renegotiation_is_refused(lab: Lab) -> None:
    with subprocess.Popen(
        ["openssl", "s_client", "-connect", f"{lab.pool[HOST]}:{lab.port}", "-servername", HOST, "-tls1_2", "-bind", PLUG,
         "-CAfile", str(lab.config.paths.ca_certificate), "-cert", str(lab.plug.certificate), "-key", str(lab.plug.key)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
    ) as client:  # fmt: skip
        assert client.stdin is not None
        assert client.stdout is not None
        seen = b""
        while b"Verify return code" not in seen:
            seen += client.stdout.read(4096)
        client.stdin.write(b"R\n")
        out = client.stdout.read()
    assert b"no renegotiation" in out, out
    lab.attempt(Reason.TLS_FAILED)  # OpenSSL's client takes that as the end


def test_connections_per_device(lab: Lab) -> None:
    most = lab.config.door.max_connections
    held = [lab.tls() for _ in range(most)]
    try:
        with lab.tcp() as sock:
            assert drain(sock) == b""
        assert lab.attempt(Reason.CONNECTION_LIMIT).device == "plug-1"
        with lab.tcp(SENSOR) as other:
            other.settimeout(0.1)
            with pytest.raises(TimeoutError):
                other.recv(1)  # another device is not held back: the door waits for its hello
        lab.attempt(Reason.TLS_FAILED)  # and notes that it left without one
    finally:
        for sock in held:
            sock.close()
    deadline = time.monotonic() + 10
    while True:  # the places are free again as soon as the door has seen the ends
        try:
            with lab.tls() as sock:
                sock.sendall(post())
                if sock.recv(65_536).startswith(b"HTTP/1.1 200 "):
                    break
        except (ssl.SSLError, ConnectionError):
            pass
        assert time.monotonic() < deadline


def test_a_handshake_that_never_ends(lab: Lab) -> None:
    with lab.tcp() as sock:
        sock.sendall(b"\x16\x03\x01")
        started = time.monotonic()
        assert drain(sock) == b""
        assert time.monotonic() - started < 10
    assert lab.attempt(Reason.TIMEOUT).count == 1


def test_a_flood_of_attempts_becomes_few_reports(lab: Lab) -> None:
    for number in range(80):
        with lab.tcp() as sock, pytest.raises((ssl.SSLError, ConnectionResetError)):
            lab.client_context(lab.plug).wrap_socket(sock, server_hostname=f"n{number}.tracker.example")
    reports, count = 0, 0
    while count < 80:
        found = lab.attempt(Reason.SNI_NOT_APPROVED)
        reports, count = reports + 1, count + found.count
    assert count == 80
    assert reports <= 80
