"""The listening sockets of the pages: on the LAN's interface alone.

Little is loaded here, for the process that waits for a visitor stays small.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config import Config

BACKLOG = 64
IP_FREEBIND, IPV6_FREEBIND = 15, 78  # linux/in.h, linux/in6.h


def listeners(config: Config) -> list[socket.socket]:
    """One socket for each of the LAN's addresses, bound to its interface: what comes in elsewhere never finds it.

    Raises OSError, where there is no such interface yet, for one.
    """
    found: list[socket.socket] = []
    try:
        for family, address in ((socket.AF_INET, config.lan.ipv4.ip), (socket.AF_INET6, config.lan.ipv6.ip)):
            sock = socket.socket(family, socket.SOCK_STREAM)
            found.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, config.lan.interface.encode() + b"\0")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((str(address), config.web.port))
            sock.listen(BACKLOG)
            sock.setblocking(False)
    except OSError:
        for sock in found:
            sock.close()
        raise
    return found
