"""Packets and TLS secrets as one pcapng file (draft-ietf-opsawg-pcapng), which Wireshark opens in clear. Pure: bytes out."""

from __future__ import annotations

import struct

LINK_ETHERNET = 1
SNAP_LENGTH = 262_144
TLS_KEY_LOG = 0x544C534B  # "TLSK": the secrets are an NSS key log
NANOSECONDS = 9  # if_tsresol: ten to the minus nine

_SECTION, _INTERFACE, _PACKET, _SECRETS = 0x0A0D0D0A, 1, 6, 10
_IF_NAME, _IF_TSRESOL, _COMMENT, _END = 2, 9, 1, 0


def section(comment: str) -> bytes:
    """The Section Header Block that begins a file."""
    body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    return _block(_SECTION, body + _option(_COMMENT, comment.encode()) + _option(_END, b""))


def interface(name: str) -> bytes:
    """The Interface Description Block of the one interface that packets belong to."""
    body = struct.pack("<HHI", LINK_ETHERNET, 0, SNAP_LENGTH)
    options = _option(_IF_NAME, name.encode()) + _option(_IF_TSRESOL, bytes([NANOSECONDS])) + _option(_END, b"")
    return _block(_INTERFACE, body + options)


def secrets(lines: bytes) -> bytes:
    """A Decryption Secrets Block; it stands before the packets that need it. ``lines``: an NSS key log."""
    return _block(_SECRETS, struct.pack("<II", TLS_KEY_LOG, len(lines)) + lines)


def packet(nanoseconds: int, frame: bytes, length: int) -> bytes:
    """An Enhanced Packet Block. ``nanoseconds`` since the epoch; ``length``: on the wire, should the frame be cut."""
    head = struct.pack("<IIIII", 0, nanoseconds >> 32, nanoseconds & 0xFFFFFFFF, len(frame), length)
    return _block(_PACKET, head + frame)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    padded = _padded(body)
    length = len(padded) + 12
    return struct.pack("<II", kind, length) + padded + struct.pack("<I", length)


def _padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)
