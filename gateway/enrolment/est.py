"""EST's four operations (RFC 7030) as answers to whole requests. It relays to the signer and must never decide by itself
who gets a certificate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from gateway.http1 import Request
from gateway.ipc.asking import Asks
from gateway.ipc.messages import Enrol, Enrolled, Proof, Prove, Renew
from gateway.reasons import Reason
from gateway.standard import enrolment
from gateway.standard.enrolment import EnrolmentError

RETRY_SECONDS = {Reason.ENROLMENT_WAITING: 10, Reason.ENROLMENT_RATE: 60, Reason.ENROLMENT_FAILED: 10}
_STATUS = {
    Reason.ENROLMENT_WAITING: 202,  # RFC 7030 section 4.2.3: the owner is still to be asked
    Reason.ENROLMENT_REQUEST: 400,
    Reason.ENROLMENT_RATE: 429,
    Reason.ENROLMENT_FAILED: 503,
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, as steering knows the address; ``certificate``: what TLS saw (DER), chained to the home CA, expired or not."""

    mac: str
    device: str = ""
    certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """``reason``: why it is not what was asked for; None where it is."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    reason: Reason | None = None


class _Refused(Exception):
    def __init__(self, reason: Reason, detail: str = "", status: int = 0, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.answer = refused(reason, detail, status, headers)


class Est:
    """``ca``: the home CA's certificate, as it is now; raises ValueError or OSError."""

    def __init__(self, signer: Asks, ca: Callable[[], x509.Certificate]) -> None:
        self._signer = signer
        self._ca = ca

    async def answer(self, request: Request, visitor: Visitor) -> Answer:
        """The answer to one request. Raises nothing of what a device can bring about."""
        try:
            match self._operation(request):
                case "cacerts":
                    return await self._certificates(request, visitor)
                case "csrattrs":
                    return _given(enrolment.ATTRIBUTES_TYPE, enrolment.CSR_ATTRIBUTES)
                case "simpleenroll":
                    return await self._enrol(request, visitor)
                case _:
                    return await self._renew(request, visitor)
        except _Refused as refusal:
            return refusal.answer
        except EnrolmentError as error:
            return refused(Reason.ENROLMENT_REQUEST, str(error))
        except (ConnectionError, OSError, ValueError) as error:
            return refused(Reason.ENROLMENT_FAILED, f"try again later ({type(error).__name__})")

    @staticmethod
    def _operation(request: Request) -> str:
        if (request.header("host") or "").lower() not in (enrolment.HOST, f"{enrolment.HOST}:443"):
            raise _Refused(Reason.ENROLMENT_HTTP, f"Host is {enrolment.HOST}", 421)
        name = request.target.removeprefix(enrolment.PREFIX)
        method = enrolment.OPERATIONS.get(name)
        if method is None or not request.target.startswith(enrolment.PREFIX):
            raise _Refused(Reason.ENROLMENT_HTTP, f"{enrolment.PREFIX} and one of {', '.join(enrolment.OPERATIONS)}", 404)
        if request.method != method:
            raise _Refused(Reason.ENROLMENT_HTTP, f"{name} is asked for with {method}", 405, (("allow", method),))
        return name

    async def _certificates(self, request: Request, visitor: Visitor) -> Answer:
        given = _given(enrolment.CERTIFICATES_TYPE, pkcs7.serialize_certificates([self._ca()], Encoding.DER))
        text = request.header(enrolment.NONCE_HEADER)
        if text is None:
            return given  # anybody may know the CA; whether to trust it, only the proof tells
        nonce = enrolment.read_hex(enrolment.NONCE_HEADER, text)
        proof = await self._signer.ask(lambda ref: Prove(ref, visitor.mac, nonce), Proof)
        if proof.reason != -1:
            raise _Refused(_reason(proof.reason))
        shown = ((enrolment.NONCE_HEADER, proof.nonce.hex()), (enrolment.PROOF_HEADER, proof.proof.hex()))
        return Answer(given.status, (*given.headers, *shown), given.body)

    async def _enrol(self, request: Request, visitor: Visitor) -> Answer:
        csr = _request(request)
        text = request.header(enrolment.PROOF_HEADER)
        if text is None:
            raise _Refused(Reason.ENROLMENT_PROOF, f"the field {enrolment.PROOF_HEADER} proves the code on the label; send it")
        proof = enrolment.read_hex(enrolment.PROOF_HEADER, text)
        return _issued(await self._signer.ask(lambda ref: Enrol(ref, visitor.mac, csr, proof), Enrolled))

    async def _renew(self, request: Request, visitor: Visitor) -> Answer:
        csr = _request(request)
        certificate = visitor.certificate
        if certificate is None:
            raise _Refused(Reason.CERTIFICATE_MISSING, "a renewal comes over TLS with the certificate that it renews")
        return _issued(await self._signer.ask(lambda ref: Renew(ref, visitor.mac, certificate, csr), Enrolled))


def refused(reason: Reason, detail: str = "", status: int = 0, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Words for people (RFC 7030 section 4.2.3), and when to come back where that helps."""
    status = status or _STATUS.get(reason, 403)
    if (seconds := RETRY_SECONDS.get(reason)) is not None:
        headers = (*headers, ("retry-after", str(seconds)))
    words = f"{reason.words}: {detail}\n" if detail else f"{reason.words}\n"
    return Answer(status, (("content-type", "text/plain"), *headers), words.encode("ascii", "replace"), reason)


def _request(request: Request) -> bytes:
    kind = (request.header("content-type") or "").lower()
    if kind != enrolment.REQUEST_TYPE:
        raise _Refused(Reason.ENROLMENT_HTTP, f"Content-Type is {enrolment.REQUEST_TYPE}", 415)
    return enrolment.read_request(request.body)


def _reason(code: int) -> Reason:
    try:
        return Reason.from_code(code)
    except KeyError:
        return Reason.ENROLMENT_FAILED


def _issued(answer: Enrolled) -> Answer:
    if not answer.chain:
        raise _Refused(_reason(answer.reason), answer.detail)
    certificates = x509.load_pem_x509_certificates(answer.chain)
    return _given(enrolment.CERTIFICATES_TYPE, pkcs7.serialize_certificates(certificates, Encoding.DER))


def _given(media_type: str, der: bytes) -> Answer:
    headers = (("content-type", media_type), ("content-transfer-encoding", "base64"))
    return Answer(200, headers, enrolment.write_content(der))
