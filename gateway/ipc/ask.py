"""One question to a service, asked by a command that has no event loop."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import msgspec

from gateway.ipc.frames import FrameReader, encode

_making = threading.Lock()  # msgspec (0.22) makes a type's decoder at its first use, and threads that meet there crash


class NoAnswer(OSError):
    """The service is not there, broke off or took too long."""


def ask[T: msgspec.Struct](path: Path, question: msgspec.Struct, answer: type[T], timeout: float = 5.0) -> T:
    """Send ``question`` to the service at ``path`` and return its answer. ``timeout`` in seconds. Raises NoAnswer."""
    reader = FrameReader()
    with _making:
        decoder = msgspec.msgpack.Decoder(answer)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(timeout)
            sock.connect(str(path))
            sock.sendall(encode(question))
            while True:
                data = sock.recv(65_536)
                if not data:
                    raise NoAnswer(f"{path}: the service ended the conversation; its log says why")
                if payloads := reader.feed(data):
                    return decoder.decode(payloads[0])
    except (OSError, ValueError) as error:
        if isinstance(error, NoAnswer):
            raise
        raise NoAnswer(f"{path}: no answer ({error}); is the service running? `mudroom status` tells") from error
