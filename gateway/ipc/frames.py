"""Frames: four bytes of length (big-endian), then one MessagePack value. Pure; it must never import an event loop.

A command that asks one question (``ask``) needs no more than this.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

MAX_FRAME = 4 * 1024 * 1024
_LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()


class FrameError(ValueError):
    """The peer broke the framing."""


def encode(message: msgspec.Struct) -> bytes:
    """One message as a frame."""
    payload = _encoder.encode(message)
    return _LENGTH.pack(len(payload)) + payload


def decoded(decoder: msgspec.msgpack.Decoder[Any], payload: bytes) -> Any:
    """The message that ``payload`` holds. Raises FrameError."""
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # the latter, no kin of the former, for text that is not UTF-8
        raise FrameError(str(error)) from None


class FrameReader:
    """Bytes in, whole payloads out; never holds more than one frame beyond what it was fed."""

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._buffer = bytearray()
        self._max = max_frame

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that ``data`` completes. Raises FrameError."""
        buffer = self._buffer
        buffer += data
        payloads: list[bytes] = []
        position = 0
        while len(buffer) - position >= 4:
            (length,) = _LENGTH.unpack_from(buffer, position)
            if length > self._max:
                raise FrameError(f"a frame of {length} bytes; the limit is {self._max}")
            if len(buffer) - position - 4 < length:
                break
            payloads.append(bytes(buffer[position + 4 : position + 4 + length]))
            position += 4 + length
        if position:
            del buffer[:position]
        return payloads
