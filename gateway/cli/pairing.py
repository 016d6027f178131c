"""The owner's half of enrolment: hand the label's code to the signer, wait for the device, list its certificate.

The code lies in the signer's memory for as long as this runs, and nowhere else. This must never list a certificate that the
signer did not send.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.ipc.ask import NoAnswer
from gateway.ipc.frames import FrameReader, encode
from gateway.ipc.messages import Knocked, Pair, Paired, Recorded
from gateway.pairing import listed
from gateway.registry import Certificate

SPARE_SECONDS = 10.0  # the signer ends the wait; this is for a signer that hangs


def pair(
    signer: Path, question: Pair, record: Callable[[Certificate], None], knocked: Callable[[int], None] = lambda asked: None
) -> Certificate:
    """Wait until the device proved its code, ``record`` its certificate, let the device have it.

    ``knocked`` hears how often the device asked meanwhile. Raises NoAnswer, OSError.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(question.seconds + SPARE_SECONDS)
            sock.connect(str(signer))
            sock.sendall(encode(question))
            answer = _paired(signer, sock, knocked)
            if answer.error or not answer.chain:
                raise NoAnswer(answer.error or "the signer sent nothing")
            certificate = listed(answer.chain)
            record(certificate)
            sock.sendall(encode(Recorded(question.ref)))
            return certificate
    except (TimeoutError, ConnectionError, FileNotFoundError) as error:
        raise NoAnswer(f"{signer}: no answer ({error}); is the signer running? `mudroom status` tells") from error


def _paired(signer: Path, sock: socket.socket, knocked: Callable[[int], None]) -> Paired:
    reader = FrameReader()
    while data := sock.recv(65_536):
        for payload in reader.feed(data):
            answer = msgspec.msgpack.decode(payload, type=Paired | Knocked)
            if isinstance(answer, Paired):
                return answer
            knocked(answer.asked)
    raise NoAnswer(f"{signer}: the signer ended the conversation; its log says why")
