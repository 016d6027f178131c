"""Traffic through a router, by two processes: `python3 -m tests.bench.stream receive|send udp|tcp OPTIONS`.

receive: takes one stream and tells how much came and for how long; its first answer makes the flow "established" for the
router's connection tracking. send: as fast as it may for some seconds; datagrams at a given pace, because a sender that
runs wild takes the cores from the router. Both print one JSON object. Only between namespaces of the bench.
"""

from __future__ import annotations

import argparse
import json
import socket
from time import perf_counter, sleep

HELLO, END = b"hello", b"end"
BURST = 16


def receive_udp(sock: socket.socket) -> dict[str, float]:
    """Datagrams until the end mark, or one second of silence after the first."""
    sock.settimeout(20)
    data, peer = sock.recvfrom(2048)
    sock.sendto(HELLO, peer)
    sock.settimeout(1.0)
    number, first, last = 0, 0.0, 0.0
    try:
        while True:
            data = sock.recv(2048)
            if data == END:
                break
            if data == HELLO:
                sock.sendto(HELLO, peer)
                continue
            last = perf_counter()
            first = first or last
            number += 1
    except TimeoutError:
        pass
    return {"count": number, "seconds": last - first}


def receive_tcp(sock: socket.socket) -> dict[str, float]:
    """Bytes of one connection."""
    sock.settimeout(20)
    with sock.accept()[0] as stream:
        stream.settimeout(20)
        room = bytearray(1 << 18)
        number, first = 0, 0.0
        while got := stream.recv_into(room):
            first = first or perf_counter()
            number += got
        return {"count": number, "seconds": perf_counter() - first}


def send_udp(to: tuple[str, int], seconds: float, rate: float, size: int) -> dict[str, float]:
    """Datagrams of ``size`` bytes, ``rate`` a second, in bursts."""
    load = bytes(size)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(to)
        sock.settimeout(1.0)
        for _ in range(5):
            sock.send(HELLO)
            try:
                sock.recv(2048)
                break
            except TimeoutError:
                continue
        sock.send(HELLO)  # the first packet of an established flow puts it into the flowtable
        sleep(0.1)
        start = now = perf_counter()
        sent = 0
        while now - start < seconds:
            for _ in range(BURST):
                sock.send(load)
            sent += BURST
            ahead = sent / rate - (perf_counter() - start)
            if ahead > 0.0005:
                sleep(ahead)
            now = perf_counter()
        sleep(0.1)
        sock.send(END)
    return {"count": sent, "seconds": now - start}


def send_tcp(to: tuple[str, int], seconds: float) -> dict[str, float]:
    """One connection, as fast as it goes."""
    load = bytes(1 << 17)
    with socket.create_connection(to, timeout=20) as sock:
        sent = 0
        start = now = perf_counter()
        while now - start < seconds:
            sent += sock.send(load)
            now = perf_counter()
        sock.shutdown(socket.SHUT_WR)
    return {"count": sent, "seconds": now - start}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("receive", "send"))
    parser.add_argument("kind", choices=("udp", "tcp"))
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=20_000.0)
    parser.add_argument("--size", type=int, default=64)
    chosen = parser.parse_args()
    to = (chosen.address, chosen.port)
    if chosen.role == "send":
        found = send_udp(to, chosen.seconds, chosen.rate, chosen.size) if chosen.kind == "udp" else send_tcp(to, chosen.seconds)
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if chosen.kind == "udp" else socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            sock.bind(to)
            if chosen.kind == "tcp":
                sock.listen()
            print("ready", flush=True)
            found = receive_udp(sock) if chosen.kind == "udp" else receive_tcp(sock)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
