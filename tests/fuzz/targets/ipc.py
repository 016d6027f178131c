"""What a process of the gateway may be sent by one that was taken over: the first byte chooses the link, two more the cuts."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.ipc import messages
from gateway.ipc.frames import FrameError, FrameReader, decoded, encode
from tests.fuzz.oracles import same_however_cut

LINKS = [
    messages.ToLedger, messages.LedgerToDoor, messages.LedgerToCourier, messages.CourierToLedger, messages.ToSigner,
    messages.FromSigner, messages.ToSteering, messages.FromSteering, messages.AskStatus, messages.Status,
]  # fmt: skip
WORDS = (
    b"\xa6Submit", b"\xa7Refused", b"\xa7Attempt", b"\xa8Counters", b"\xa7Outcome", b"\xa7Deliver", b"\xa9Delivered",
    b"\xa8Deferred",
    b"\xa8SignLeaf", b"\xaaSignDevice", b"\xa6Signed", b"\xa8Register", b"\xa9Listeners", b"\xa5WhoIs", b"\xa6Holder",
    b"\xa9AskStatus",
    b"\xa6Status", b"\xc4\x01a", b"\xd9\x20", b"\xcf", b"\xdd\xff\xff\xff\xff", b"\xa1\xff",
)  # fmt: skip
MAX_FRAME = 4096
DECODERS: list[msgspec.msgpack.Decoder[Any]] = [msgspec.msgpack.Decoder(link) for link in LINKS]


def check(data: bytes) -> None:
    """The same payloads however cut; each is a message that survives being sent on, or a FrameError."""
    decoder = DECODERS[data[0] % len(LINKS) if data else 0]
    payloads = same_however_cut(data[3:], int.from_bytes(data[1:3]), frames)
    for payload in payloads:
        try:
            message = decoded(decoder, payload)
        except FrameError:
            continue
        again = decoded(decoder, FrameReader().feed(encode(message))[0])
        assert encode(again) == encode(message), "sent on, it is another message"


def frames(pieces: list[bytes]) -> list[bytes]:
    """The payloads; where the framing broke, nothing but that: what came before it in one read is dropped with the peer."""
    reader, found = FrameReader(MAX_FRAME), []
    for piece in pieces:
        try:
            found += reader.feed(piece)
        except FrameError:
            return [b"broken"]
    return found
