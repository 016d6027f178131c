"""Enrolment's TLS: a leaf for the gateway's own name, and devices' certificates looked at where they bring one.

A device certificate must chain to the home CA; that it has expired is no fault here, since renewing is why it comes. The
leaf's key never touches the disk.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.ipc.asking import Asks
from gateway.ipc.messages import Signed, SignLeaf
from gateway.keeping import load_chain
from gateway.standard.enrolment import HOST

log = logging.getLogger(__name__)

CIPHERS_TLS12 = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"  # RFC 9325, 4.2
NO_CHECK_TIME = 0x200000  # x509_vfy.h: X509_V_FLAG_NO_CHECK_TIME; the ssl module does not name it


class Contexts:
    """The context to use now: made anew at half the leaf's life, and when the CA's certificate is another one."""

    def __init__(self, signer: Asks, ca: Path, now: Callable[[], float] = time.time) -> None:
        self._signer = signer
        self._now = now
        self._path = ca
        self._ca = b""
        self._context: ssl.SSLContext | None = None
        self._renew_at = self._ends = 0.0
        self._lock = asyncio.Lock()

    def ca(self) -> x509.Certificate:
        """The home CA's certificate on disk. Raises OSError and ValueError."""
        return x509.load_pem_x509_certificate(self._path.read_bytes())

    async def current(self) -> ssl.SSLContext:
        """Raises ConnectionError, OSError and ValueError where there is none: nobody is served then."""
        async with self._lock:
            pem = self._path.read_bytes()
            if self._context is None or pem != self._ca or self._now() >= self._ends:
                self._context = None
                self._context = await self._make(pem)
            elif self._now() >= self._renew_at:
                try:
                    self._context = await self._make(pem)
                except ConnectionError as error:  # the old one serves as long as it lasts
                    log.warning("the leaf could not be renewed: %s", error)
            return self._context

    async def _make(self, ca: bytes) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        request = csr.public_bytes(Encoding.DER)
        signed = await self._signer.ask(lambda ref: SignLeaf(ref, HOST, request), Signed)
        if signed.error or not signed.chain:
            raise ConnectionError(f"the signer gave no leaf: {signed.error}")
        leaf = x509.load_pem_x509_certificate(signed.chain)
        context = server_context(ca, signed.chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self._ca, self._ends = ca, leaf.not_valid_after_utc.timestamp()
        self._renew_at = (self._now() + self._ends) / 2
        return context


def server_context(ca: bytes, chain: bytes, key: bytes) -> ssl.SSLContext:
    """A context for ``chain`` and ``key`` (PEM) that asks for a device certificate under ``ca`` (PEM). Raises ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_TLS12)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0  # nobody comes often enough to resume
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=ca.decode("ascii"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VerifyFlags(NO_CHECK_TIME)
    context.sni_callback = _only_ours
    load_chain(context, chain, key)
    return context


def _only_ours(_connection: object, name: str | None, _context: object) -> int | None:
    return None if (name or "").lower() == HOST else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
