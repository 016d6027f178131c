"""Packets at full speed out of a namespace, by a process of its own: `python3 -m tests.bench.flood udp|tcp|accept OPTIONS`.

udp: DNS-sized datagrams, cut into packets by the kernel just before the wire (UDP_SEGMENT; the interface's own
segmentation must be off), so that the sender's system calls cost little beside the path that is measured. On a veth the
receiver's path runs on the sender's core, inside its sends: one pinned core pays for both.
tcp: connections opened and closed one after the other. accept: the other end of those, on an inherited listener.
Bounded by time. It must never run outside a namespace of the bench or of the virtual home.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import struct
from time import perf_counter

UDP_SEGMENT = 103  # include/uapi/linux/udp.h
SEGMENTS = 64
# A question for "api.acme.example", type A
QUESTION = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03api\x04acme\x07example\x00\x00\x01\x00\x01"
LINGER_NONE = struct.pack("ii", 1, 0)  # close by RST: no TIME_WAIT that would use up the ports


def udp(address: str, port: int, seconds: float) -> int:
    """Packets sent."""
    load = QUESTION * SEGMENTS
    rounds = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(QUESTION))
        sock.connect((address, port))
        until = perf_counter() + seconds
        while perf_counter() < until:
            for _ in range(16):
                with contextlib.suppress(ConnectionRefusedError):
                    sock.send(load)
                    rounds += 1
    return rounds * SEGMENTS


def tcp(address: str, port: int, seconds: float) -> int:
    """Connections made and ended."""
    made = 0
    until = perf_counter() + seconds
    while perf_counter() < until:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(5)
            with contextlib.suppress(ConnectionResetError):  # the other end has accepted and closed
                sock.connect((address, port))
                sock.recv(1)
        made += 1
    return made


def accept(descriptor: int) -> None:
    """Close whatever comes, until killed."""
    with socket.socket(fileno=descriptor) as listener:
        listener.setblocking(True)
        while True:
            found, _ = listener.accept()
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            found.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("udp", "tcp", "accept"))
    parser.add_argument("--address", default="")
    parser.add_argument("--port", type=int, default=53)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--descriptor", type=int, default=-1)
    parser.add_argument("--core", type=int, default=0)
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core % (os.cpu_count() or 1)})
    if options.what == "accept":
        accept(options.descriptor)
    start = perf_counter()
    count = (udp if options.what == "udp" else tcp)(options.address, options.port, options.seconds)
    print(json.dumps({"count": count, "seconds": perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main()
