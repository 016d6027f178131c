"""Makes ready what the scenes need: forged and revoked certificates beside each device's own."""

from __future__ import annotations

import shutil

from cryptography import x509

from tests.home.client import Here, mudroom
from tests.home.lab import layout, papers


def stage(here: Here) -> None:
    """forged.pem (same names, another CA's signature) and revoked.pem for devices 1, 3 and 4; safe to repeat."""
    forger = papers.Authority("Mudroom home CA")
    first = here.folder(1)
    if not (first / "revoked.pem").exists():
        key = papers.new_key(first / "revoked.key")
        (first / "revoked-request.pem").write_bytes(papers.request(key, "device-1"))
        certificate = mudroom("devices", "certify", "device-1", str(first / "revoked-request.pem"))
        (first / "revoked.pem").write_text(certificate)
        serial = x509.load_pem_x509_certificate(certificate.encode()).serial_number
        mudroom("devices", "revoke", "device-1", "--serial", f"{serial:x}")
    for number in (1, 3, 4):
        folder = layout.RUN / "devices" / str(number)
        key = papers.new_key(folder / "forged.key")
        (folder / "forged.pem").write_bytes(forger.issue(key.public_key(), f"device-{number}", ()))
        if number != 1:
            for name in ("revoked.pem", "revoked.key"):
                shutil.copyfile(first / name, folder / name)
