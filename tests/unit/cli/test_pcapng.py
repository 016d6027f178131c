"""A reader that is not ours reads what we write; the filter passes frames of one MAC only."""

from __future__ import annotations

import io

from scapy.utils import PcapNgReader

from gateway.cli import pcapng
from gateway.cli.capturing import frames_of

OURS, OTHER, THIRD = bytes.fromhex("020000000001"), bytes.fromhex("020000000002"), bytes.fromhex("030000000001")


def test_another_reader_reads_it() -> None:
    frames = [OURS + OTHER + b"\x08\x00" + bytes(range(n)) for n in range(46, 51)]
    file = pcapng.section("mudroom capture plug, record 7") + pcapng.interface("dmz0")
    file += pcapng.secrets(b"CLIENT_RANDOM 00 11\n")
    file += b"".join(pcapng.packet(1_764_000_000_123_456_789 + n, frame, len(frame)) for n, frame in enumerate(frames))
    assert len(file) % 4 == 0
    with PcapNgReader(io.BytesIO(file)) as reader:
        found = list(reader)
    assert [bytes(packet) for packet in found] == frames
    assert int(found[3].time * 10**9) == 1_764_000_000_123_456_792
    assert found[0].sniffed_on == "dmz0"


def passes(frame: bytes) -> bool:
    """Runs the program as the kernel would (bpf(4)): these five instructions and no others."""
    program, at, value = frames_of(OURS), 0, 0
    while True:
        code, true, false, number = program[at]
        at += 1
        match code:
            case 0x20:
                value = int.from_bytes(frame[number : number + 4])
            case 0x28:
                value = int.from_bytes(frame[number : number + 2])
            case 0x15:
                at += true if value == number else false
            case 0x06:
                return number > 0
            case _:
                raise ValueError(hex(code))


def test_only_frames_of_one_mac_pass() -> None:
    for to in (OURS, OTHER, THIRD, b"\xff" * 6):
        for source in (OURS, OTHER, THIRD):
            assert passes(to + source + b"\x08\x00") == (OURS in (to, source)), (to, source)
