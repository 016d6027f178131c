"""Sends one UDP datagram: ADDRESS PORT PAYLOAD-IN-HEXADECIMAL."""

from __future__ import annotations

import contextlib
import socket
import sys

if __name__ == "__main__":
    address, port, payload = sys.argv[1:]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.settimeout(1)
        sock.sendto(bytes.fromhex(payload), (address, int(port)))
        sock.recv(1500)
