"""Detached signatures, made and checked by openssl as well as by us."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.standard.cms import MAX_SIGNATURE, SignatureError, sign, verify
from tests.unit.standard.conftest import SAMPLES

DOCUMENT = (SAMPLES / "acme.mud.json").read_bytes()
KEYS = {
    "rsa": ("RSA", "rsa_keygen_bits:2048"),
    "p256": ("EC", "ec_paramgen_curve:P-256"),
    "p384": ("EC", "ec_paramgen_curve:P-384"),
    "ed25519": ("ED25519", ""),
    "rsa-1024": ("RSA", "rsa_keygen_bits:1024"),
    "p521": ("EC", "ec_paramgen_curve:P-521"),
    "k1": ("EC", "ec_paramgen_curve:secp256k1"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("signers")
    (made / "mud.json").write_bytes(DOCUMENT)
    return made


def openssl(*words: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *words], cwd=cwd, capture_output=True, check=True)


def signer(folder: Path, name: str, usage: str = "digitalSignature") -> tuple[bytes, bytes]:
    """Certificate and key in PEM."""
    certificate, key = folder / f"{name}-{usage}.pem", folder / f"{name}.key"
    if not certificate.exists():
        algorithm, option = KEYS[name]
        if not key.exists():
            openssl("genpkey", "-algorithm", algorithm, *(["-pkeyopt", option] if option else []), "-out", key.name, cwd=folder)
        words = ["req", "-x509", "-new", "-key", key.name, "-subj", f"/O=Acme/CN=MUD signer {name}", "-days", "90"]
        openssl(*words, "-addext", f"keyUsage={usage}", "-out", certificate.name, cwd=folder)
    return certificate.read_bytes(), key.read_bytes()


def signed(folder: Path, name: str, *more: str, usage: str = "digitalSignature") -> bytes:
    signer(folder, name, usage)
    words = ["cms", "-sign", "-signer", f"{name}-{usage}.pem", "-inkey", f"{name}.key", "-in", "mud.json", "-outform", "DER"]
    return openssl(*words, "-binary", *more, cwd=folder).stdout


@pytest.mark.parametrize(
    ("name", "more", "algorithm"),
    [
        ("rsa", (), "RSA 2048, SHA256"),
        ("rsa", ("-md", "sha512"), "RSA 2048, SHA512"),
        ("rsa", ("-keyid",), "RSA 2048, SHA256"),
        ("p256", (), "ECDSA secp256r1, SHA256"),
        ("p384", ("-md", "sha384", "-nosmimecap"), "ECDSA secp384r1, SHA384"),
        ("ed25519", ("-md", "sha512"), "Ed25519"),
    ],
)
def test_what_openssl_signs_is_good(folder: Path, name: str, more: tuple[str, ...], algorithm: str) -> None:
    found = verify(DOCUMENT, signed(folder, name, *more))
    der = openssl("pkey", "-in", f"{name}.key", "-pubout", "-outform", "DER", cwd=folder).stdout
    (folder / "public.der").write_bytes(der)
    assert found.key == openssl("dgst", "-sha256", "-r", "public.der", cwd=folder).stdout.decode().split()[0]
    assert found.subject == f"CN=MUD signer {name},O=Acme"
    assert found.algorithm == algorithm


@pytest.mark.parametrize("name", ["rsa", "p256", "p384"])
def test_openssl_takes_what_we_sign(folder: Path, name: str) -> None:
    made = sign(DOCUMENT, *signer(folder, name))
    (folder / "ours.p7s").write_bytes(made)
    words = [
        "cms",
        "-verify",
        "-binary",
        "-inform",
        "DER",
        "-in",
        "ours.p7s",
        "-content",
        "mud.json",
        "-noverify",
        "-out",
        "seen",
    ]
    openssl(*words, cwd=folder)
    assert (folder / "seen").read_bytes() == DOCUMENT
    assert verify(DOCUMENT, made).subject.startswith("CN=MUD signer")


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("rsa", ("-md", "sha1"), "digest is weak"),
        ("rsa-1024", (), "key is weak"),
        ("p521", (), "key is weak or of an unknown kind"),
        ("k1", (), "key is weak or of an unknown kind"),
        ("rsa", ("-nodetach",), "detached"),
        ("rsa", ("-noattr",), "signed attributes"),
        ("rsa", ("-nocerts",), "signer's certificate"),
        ("rsa", ("-keyopt", "rsa_padding_mode:pss"), "not a detached CMS signature"),
        ("rsa", ("-econtent_type", "1.2.3.4"), "plain data"),
        ("rsa", ("-stream", "-indef"), "in DER"),
    ],
)
def test_what_is_weak_or_another_thing_is_refused(folder: Path, name: str, more: tuple[str, ...], words: str) -> None:
    with pytest.raises(SignatureError, match=words):
        verify(DOCUMENT, signed(folder, name, *more))


def test_two_signers_and_a_key_for_other_ends(folder: Path) -> None:
    signer(folder, "p256")
    two = signed(folder, "rsa", "-signer", "p256-digitalSignature.pem", "-inkey", "p256.key")
    with pytest.raises(SignatureError, match="one signer"):
        verify(DOCUMENT, two)
    with pytest.raises(SignatureError, match="key usage"):
        verify(DOCUMENT, signed(folder, "rsa", usage="keyEncipherment"))


def test_another_file_or_another_files_signature(folder: Path) -> None:
    made = signed(folder, "p256")
    for document in (DOCUMENT + b" ", DOCUMENT.replace(b"Acme", b"Evil", 1), b""):
        with pytest.raises(SignatureError, match="another file's"):
            verify(document, made)
    # the attributes of one signature with the value of another
    other = signed(folder, "rsa")
    with pytest.raises(SignatureError):
        verify(DOCUMENT, made[:-70] + other[-70:])


@pytest.mark.parametrize("junk", [b"", b"\x30", b"-----BEGIN PKCS7-----", b"\x30\x80" * 5000, bytes(MAX_SIGNATURE + 1), DOCUMENT])
def test_what_is_no_signature_at_all(junk: bytes) -> None:
    with pytest.raises(SignatureError):
        verify(DOCUMENT, junk)


def test_sign_says_what_it_cannot_use(folder: Path) -> None:
    certificate, key = signer(folder, "rsa")
    with pytest.raises(SignatureError, match="PEM"):
        sign(DOCUMENT, certificate, b"junk")
    with pytest.raises(SignatureError, match="openssl cms"):
        sign(DOCUMENT, *signer(folder, "ed25519"))
    with pytest.raises(SignatureError, match="another key's"):
        sign(DOCUMENT, signer(folder, "p256")[0], key)
    with pytest.raises(SignatureError, match="weak"):
        sign(DOCUMENT, *signer(folder, "rsa-1024"))


@cache
def good() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "mud.json").write_bytes(DOCUMENT)
        return signed(Path(name), "p256", "-nosmimecap")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_change_of_a_signature_turns_it_into_another_signers(data: st.DataObject) -> None:
    whole = bytearray(good())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = verify(DOCUMENT, bytes(whole))
    except SignatureError:
        return
    assert found.key == verify(DOCUMENT, good()).key  # what is not covered, such as the certificate's own signature
