"""Fetches a fresh key and certificate for the pages, prints its end and both (PEM): `python -m gateway.web.leaf SOCKET`.

A process of its own, because what makes keys is large and needed once a day. It must never write to anything but its
standard output, which is its parent's pipe.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.ipc.ask import ask
from gateway.ipc.messages import Signed, SignLeaf
from gateway.standard.enrolment import HOST


def fetch(signer: Path) -> tuple[bytes, bytes]:
    """Chain and key. Raises NoAnswer, and ValueError where the signer refuses."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    signed = ask(signer, SignLeaf(1, HOST, request.public_bytes(Encoding.DER)), Signed)
    if signed.error or not signed.chain:
        raise ValueError(f"the signer gave no leaf: {signed.error}")
    return signed.chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def main() -> None:
    """Prints what ``fetch`` found; its error, in one line, on standard error."""
    try:
        chain, key = fetch(Path(sys.argv[1]))
    except (OSError, ValueError) as error:
        sys.exit(f"leaf: {error}")
    ends = x509.load_pem_x509_certificate(chain).not_valid_after_utc
    sys.stdout.buffer.write(b"%d\n%s%s" % (ends.timestamp(), chain, key))


if __name__ == "__main__":
    main()
