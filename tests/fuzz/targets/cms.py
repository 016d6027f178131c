"""A detached signature: the first byte chooses the document. The kept inputs were made with openssl; their keys are gone."""

from __future__ import annotations

from gateway.standard.cms import MAX_SUBJECT, SignatureError, verify

WORDS = (
    bytes.fromhex("06092a864886f70d010702"), bytes.fromhex("06092a864886f70d010701"), bytes.fromhex("06092a864886f70d010903"),
    bytes.fromhex("06092a864886f70d010904"), bytes.fromhex("0609608648016503040201"), bytes.fromhex("06032b6570"),
    bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06092a864886f70d01010b"), b"\xa0\x82", b"\x30\x82", b"\x31\x00",
    b"\xa1\x00", b"\x05\x00", b"\x30\x80", b"\x00\x00", b"\x02\x01\x01", b"\x02\x01\x03",
)  # fmt: skip
DOCUMENTS = (b'{"ietf-mud:mud":{}}\n', b"")
KEYS = frozenset(  # of those who signed the kept inputs
    {
        "ffcd9135d2fb70f9257d498da54cab86892ad59e4519f2da16962200b25dfb54",
        "f3e60738f0140480dc095f576e5323fe1339730ed5e4cfae4a73b300894cec03",
        "0e39f6f2808784e11a78f5a23395198b5697cee4c450a13fbcd3bdcfed5e5295",
        "32d948509a12ff581f4cb2e8bdd88554c805a1a6f5910d92e02b61c7784487e8",
    }
)


def check(data: bytes) -> None:
    """A SignatureError in words, or one of the known signers: nobody can forge by changing bytes, nor sign what he did not."""
    document, signature = DOCUMENTS[data[0] % len(DOCUMENTS) if data else 0], data[1:]
    try:
        signer = verify(document, signature)
    except SignatureError as error:
        assert 0 < len(str(error)) < 1000
        return
    assert signer.key in KEYS, "a signature by nobody"
    assert signer.subject.isprintable()
    assert 0 < len(signer.subject) <= MAX_SUBJECT
    for other in (document + b" ", document[1:] or b"x"):
        try:
            verify(other, signature)
        except SignatureError:
            continue
        raise AssertionError("one signature for two documents")
