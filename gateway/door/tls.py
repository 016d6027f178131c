"""The door's TLS: which versions, ciphers and certificates, and who is believed. OpenSSL verifies, nobody overrides it.

One context serves one (host, leaf, CA): building one costs more than a handshake. Sessions may be resumed (it halves the
handshake's CPU); the certificate travels in the session and is checked like a new one, and a context's ticket keys die
with its leaf. This module must never accept a certificate that OpenSSL rejected.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from gateway.door.leaves import Leaf
from gateway.reasons import Reason

# RFC 9325, section 4.2, for a leaf with an ECDSA key; the TLS 1.3 suites are OpenSSL's own.
CIPHERS_TLS12 = b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
# ML-KEM, which OpenSSL would prefer, costs another 0.3 ms for each handshake and guards against whoever records a home's own
# wire for decades; a device that offers it offers X25519 as well.
GROUPS = b"X25519:P-256"
ALPN, ALPN2 = b"http/1.1", b"h2"
SESSION_SECONDS = 3600
MAX_CONTEXTS = 256
# Not in pyOpenSSL's namespace; ssl.h: SSL_OP_NO_RENEGOTIATION, SSL_MODE_RELEASE_BUFFERS.
OP_NO_RENEGOTIATION = SSL._lib.SSL_OP_NO_RENEGOTIATION  # type: ignore[attr-defined]
MODE_RELEASE_BUFFERS = SSL._lib.SSL_MODE_RELEASE_BUFFERS  # type: ignore[attr-defined]


class CaUnreadable(Exception):
    """The home CA's certificate is not there or is no certificate."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The home CA's certificate as devices' chains are held against it."""

    certificate: x509.Certificate
    pem: bytes


class AnchorFile:
    """The home CA's certificate on disk; one stat(2) when it did not change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._anchor: Anchor | None = None

    def current(self) -> Anchor:
        """The certificate as it is now. Raises CaUnreadable."""
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if self._anchor is None or stamp != self._stamp:
                certificate = x509.load_pem_x509_certificate(self._path.read_bytes())
                self._anchor, self._stamp = Anchor(certificate, certificate.public_bytes(Encoding.PEM)), stamp
        except (OSError, ValueError) as error:
            self._anchor = None
            raise CaUnreadable(f"{self._path}: {error}; has the signer made the home CA?") from error
        return self._anchor


class Contexts:
    """OpenSSL contexts, made once for each (host, leaf, CA) and kept while they are in use."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, bytes], SSL.Context] = OrderedDict()
        self._telling: tuple[tuple[str, int, bytes, str], SSL.Context] | None = None

    def telling(self, host: str, leaf: Leaf, anchor: Anchor, device: str, tell: Callable[[str, bytes], None]) -> SSL.Context:
        """The context for ``host`` and one device, of whose connections ``tell`` gets the secrets; the last is kept."""
        key = (host, leaf.generation, anchor.pem, device)
        if self._telling is None or self._telling[0] != key:
            context = make_context(leaf, anchor)
            context.set_keylog_callback(lambda _connection, line: tell(device, line))
            self._telling = key, context
        return self._telling[1]

    def get(self, host: str, leaf: Leaf, anchor: Anchor) -> SSL.Context:
        """The context for ``host``."""
        key = (host, leaf.generation, anchor.pem)
        found = self._kept.get(key)
        if found is None:
            for old in [other for other in self._kept if other[0] == host]:
                del self._kept[old]  # older leaves of this host serve no new connection
            found = self._kept[key] = make_context(leaf, anchor)
            while len(self._kept) > MAX_CONTEXTS:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found


def make_context(leaf: Leaf, anchor: Anchor) -> SSL.Context:
    """A server's context: TLS 1.2 and 1.3, a device certificate demanded and verified against the home CA."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_cipher_list(CIPHERS_TLS12)
    if SSL._lib.SSL_CTX_set1_curves_list(context._context, GROUPS) != 1:  # type: ignore[attr-defined]
        raise RuntimeError("OpenSSL does not know the key exchange groups of the door")
    context.set_options(OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_mode(MODE_RELEASE_BUFFERS)  # 34 KB less for each idle connection
    context.use_certificate(leaf.certificate)
    context.use_privatekey(leaf.key)
    store = context.get_cert_store()
    if store is None:
        raise RuntimeError("OpenSSL gave a context without a certificate store")
    ca = crypto.X509.from_cryptography(anchor.certificate)
    store.add_cert(ca)
    store.set_flags(crypto.X509StoreFlags.X509_STRICT)
    # no callback: OpenSSL's verdict stands; a server's default purpose demands clientAuth of every certificate with an EKU
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    context.set_verify_depth(1)
    context.set_alpn_select_callback(_select_alpn)
    # the session is bound to this host and leaf; OpenSSL refuses to resume one whose id context differs
    context.set_session_id(f"{leaf.host}\0{leaf.generation}".encode()[-32:])
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # tickets only: nothing to hold in memory for each session
    context.set_timeout(SESSION_SECONDS)
    return context


def _select_alpn(_connection: SSL.Connection, offered: list[bytes]) -> bytes | Any:
    # the device's order decides; hellos that offer neither are dropped before a context is chosen (RFC 7301, section 3.2)
    return next((name for name in offered if name in {ALPN, ALPN2}), SSL.NO_OVERLAPPING_PROTOCOLS)


def failure_reason(error: str) -> Reason:
    """Why a handshake failed, from OpenSSL's words as mitmproxy hands them on."""
    if "peer did not return a certificate" in error:
        return Reason.CERTIFICATE_MISSING
    if "certificate verify failed" in error.lower():
        return Reason.CERTIFICATE_UNTRUSTED
    return Reason.TLS_FAILED
