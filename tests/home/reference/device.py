#!/usr/bin/env python3
"""A device of Clear Envelope 1: a thermometer to read and copy. It needs Python and `cryptography` (for its key and requests).

It knows the code on its label and its vendor's host, and nothing of the home: the network's DHCP gives it address and name
server. It must never say anything to a gateway that did not prove the code, nor repeat what was refused.

    device.py --folder /var/lib/thermometer --code MUDROOMSAFEBOOTS --host in.celsia.example
"""

import argparse
import base64
import hashlib
import hmac
import http.client
import json
import os
import random
import ssl
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7

HOME = "mudroom.home.arpa"
LATER = (408, 425, 429, 503)  # not now: the same message again, after Retry-After
VENDOR = {"name": "Celsia", "hosts": ["in.celsia.example"]}  # as the manifest has it

Heard = tuple[int, http.client.HTTPMessage, bytes]


def exchange(link: http.client.HTTPConnection, method: str, path: str, body: bytes | None, fields: dict[str, str]) -> Heard:
    """One request and its answer."""
    link.request(method, path, body, fields)
    answer = link.getresponse()
    return answer.status, answer.headers, answer.read(65_536)


def pause(fields: http.client.HTTPMessage, otherwise: int) -> None:
    """Wait as Retry-After says, an hour at most."""
    wait = fields.get("Retry-After", "")
    time.sleep(min(int(wait), 3600) if wait.isascii() and wait.isdigit() and len(wait) < 9 else otherwise)


class Device:
    """``folder``: keeps ca.pem, key.pem, cert.pem; ``code``: the label's, in capitals without hyphens."""

    def __init__(self, folder: Path, code: str, host: str, renew_at: float = 0.5) -> None:
        self.ca, self.key, self.certificate = (folder / name for name in ("ca.pem", "key.pem", "cert.pem"))
        self.code, self.host, self.renew_at = code, host, renew_at
        self.link: http.client.HTTPSConnection | None = None
        self.tried = 0.0

    # --- enrolment (docs/clear-envelope.md, section 11) ---

    def est(self, context: ssl.SSLContext, operation: str, body: bytes | None = None, **fields: str) -> Heard:
        """One operation of EST (RFC 7030) on a connection of its own; a body is a certificate request (DER)."""
        link = http.client.HTTPSConnection(HOME, timeout=20, context=context)
        named = {"Clear-Envelope-" + name.capitalize(): value for name, value in fields.items()}
        if body is not None:
            named["Content-Type"], body = "application/pkcs10", base64.b64encode(body)
        try:
            return exchange(link, "GET" if body is None else "POST", f"/.well-known/est/{operation}", body, named)
        finally:
            link.close()

    def proof(self, *lines: str) -> str:
        """The label code's HMAC over these lines."""
        return hmac.new(self.code.encode(), "".join(f"{line}\n" for line in lines).encode(), hashlib.sha256).hexdigest()

    def enrol(self) -> None:
        """Ask, for ever, until the owner has entered the code and gateway and device have proved it to each other."""
        while not self.certificate.exists():
            try:
                self.enrol_once()
            except (OSError, http.client.HTTPException, ValueError) as error:
                print(f"not enrolled: {error}", file=sys.stderr)
                time.sleep(10)

    def enrol_once(self) -> None:
        """One round. Raises OSError, HTTPException, ValueError."""
        stranger = ssl.create_default_context()  # nobody is trusted yet: what comes is believed only if it is proved
        stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
        mine = os.urandom(32).hex()
        status, fields, content = self.est(stranger, "cacerts", nonce=mine)
        if status != 200:
            return pause(fields, 10)
        (ca,) = pkcs7.load_der_pkcs7_certificates(base64.b64decode(content))
        print_, theirs = ca.fingerprint(hashes.SHA256()).hex(), fields.get("Clear-Envelope-Nonce", "")
        proof = self.proof("clear-envelope-1 enrolment gateway", print_, mine, theirs)
        if not hmac.compare_digest(proof.encode(), fields.get("Clear-Envelope-Proof", "").encode()):
            time.sleep(60)
            raise ValueError("a false gateway, or a mistyped code")
        self.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        request = self.request()
        ours = self.proof("clear-envelope-1 enrolment device", print_, theirs, hashlib.sha256(request).hexdigest())
        status, fields, content = self.est(ssl.create_default_context(cafile=self.ca), "simpleenroll", request, proof=ours)
        return self.keep(content) if status == 200 else pause(fields, 10)

    def request(self) -> bytes:
        """A certificate request for this device's only key, made at the first time."""
        if not self.key.exists():
            self.key.touch(mode=0o600)
            encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            self.key.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(*encoding))
        key: Any = serialization.load_pem_private_key(self.key.read_bytes(), None)
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        return request.public_bytes(serialization.Encoding.DER)

    def keep(self, content: bytes) -> None:
        """Put a certificate where the next start finds it."""
        (certificate,) = pkcs7.load_der_pkcs7_certificates(base64.b64decode(content))
        fresh = self.certificate.with_suffix(".new")
        fresh.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        fresh.replace(self.certificate)
        print("a certificate until", certificate.not_valid_after_utc.isoformat(), flush=True)

    def renew_if_due(self) -> None:
        """At half of the certificate's life; where it fails, again an hour later."""
        known = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        begins, ends = known.not_valid_before_utc, known.not_valid_after_utc
        if datetime.now(UTC) < begins + (ends - begins) * self.renew_at or time.monotonic() < self.tried:
            return
        self.tried = time.monotonic() + 3600
        try:
            status, _, content = self.est(self.papers(), "simplereenroll", self.request())
            if status == 200:
                self.keep(content)
                self.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            print(f"not renewed: {error}", file=sys.stderr)

    # --- messages (sections 1 to 3 and 6) ---

    def papers(self) -> ssl.SSLContext:
        """TLS with this device's certificate, to whoever the home's CA vouches for."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def close(self) -> None:
        """The next message opens a new connection."""
        if self.link is not None:
            self.link.close()
        self.link = None

    def send(self, type: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        """Send until the gateway has it. Returns what the vendor answers, None where it says nothing or the line is down.

        Raises ValueError with the problem's title where it is refused: sending it again would not help.
        """
        body = json.dumps({"ce": 1, "type": type, "vendor": VENDOR, "payload": payload}).encode()
        path, named = f"/.well-known/clear-envelope/v1/messages/{type}", {"Content-Type": "application/clear-envelope+json"}
        while True:
            self.link = self.link or http.client.HTTPSConnection(self.host, timeout=30, context=self.papers())
            try:
                status, fields, content = exchange(self.link, "POST", path, body, named)
            except (OSError, http.client.HTTPException) as error:
                print(f"{self.host}: {error}", file=sys.stderr)
                self.close()
                time.sleep(5)
                continue
            if status in LATER:
                pause(fields, 60)
            elif status == 200:
                answer: dict[str, Any] = json.loads(content)
                return answer
            elif status in (202, 204, 502):  # recorded: the gateway delivers it, and this device has nothing more to do
                return None
            else:
                problem = json.loads(content)
                raise ValueError(f"{type} is refused: {problem.get('title')}: {problem.get('detail')} {problem.get('pointers')}")


def main() -> None:
    """Measure for ever, or --count times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--code", required=True)
    parser.add_argument("--host", default=VENDOR["hosts"][0])
    parser.add_argument("--every", type=float, default=60.0, help="seconds, until the vendor says otherwise")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--renew-at", type=float, default=0.5, help="of the certificate's life")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    device, every, number = Device(options.folder, options.code, options.host, options.renew_at), options.every, 0
    device.enrol()
    while not options.count or number < options.count:
        number += 1
        device.renew_if_due()
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:00Z")
        reading = {"measured": now, "temperature": round(20 + random.random() * 3, 1), "humidity": random.randint(40, 50)}
        try:
            answer = device.send("temperature-reading", reading)
            if number == 1:
                device.send("battery-low", {"charge": 20})
        except ValueError as error:
            print(error, file=sys.stderr)
            answer = None
        print(f"reading {number}: {json.dumps(answer)}", flush=True)
        if answer and answer["type"] == "interval" and not options.count:
            every = answer["payload"]["minutes"] * 60
        if number != options.count:
            time.sleep(every)


if __name__ == "__main__":
    main()
