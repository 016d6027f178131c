"""The owner's half of enrolment: hand the label's code to the signer, wait for the device, list its certificate.

The code lies in the signer's memory for as long as this runs, and nowhere else. This must never list a certificate that the
signer did not send.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.ipc.ask import NoAnswer
from gateway.ipc.frames import FrameReader, encode
from gateway.ipc.messages import Pair, Paired, Recorded
from gateway.registry import Certificate

SPARE_SECONDS = 10.0  # the signer ends the wait; this is for a signer that hangs


def pair(signer: Path, question: Pair, record: Callable[[Certificate], None]) -> Certificate:
    """Wait until the device proved its code, ``record`` its certificate, let the device have it. Raises NoAnswer, OSError."""
    reader = FrameReader()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(question.seconds + SPARE_SECONDS)
            sock.connect(str(signer))
            sock.sendall(encode(question))
            payloads: list[bytes] = []
            while not payloads:
                data = sock.recv(65_536)
                if not data:
                    raise NoAnswer(f"{signer}: the signer ended the conversation; its log says why")
                payloads = reader.feed(data)
            answer = msgspec.msgpack.decode(payloads[0], type=Paired)
            if answer.error or not answer.chain:
                raise NoAnswer(answer.error or "the signer sent nothing")
            certificate = listed(answer.chain)
            record(certificate)
            sock.sendall(encode(Recorded(question.ref)))
            return certificate
    except (TimeoutError, ConnectionError, FileNotFoundError) as error:
        raise NoAnswer(f"{signer}: no answer ({error}); is the signer running? `mudroom status` tells") from error


def listed(chain: bytes) -> Certificate:
    """A certificate (PEM) as the registry lists it, with the key that renewals keep."""
    certificate = x509.load_pem_x509_certificates(chain)[0]
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    expires = int(certificate.not_valid_after_utc.timestamp())
    return Certificate(f"{certificate.serial_number:x}", expires, key=hashlib.sha256(spki).hexdigest())
