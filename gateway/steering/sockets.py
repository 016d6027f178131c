"""The listening sockets that steering makes for door, enrolment and names. It must never accept or read from one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator

from gateway.steering.layout import MARK_DOOR

# Linux uapi numbers that Python's socket module does not name: linux/in.h, linux/in6.h
IP_TRANSPARENT = 19
IP_PKTINFO = 8
IP_RECVORIGDSTADDR = 20
IPV6_TRANSPARENT = 75
IPV6_RECVORIGDSTADDR = 74
DNS_PORT = 53
BACKLOG = 1024


def make(role: str, interface: str, uid: int) -> dict[str, socket.socket]:
    """Fresh sockets for one worker of ``role`` ("door", "enrolment", "names"), by the names that ipc.messages.Listeners lists.

    They answer for any address (IP_TRANSPARENT), are bound to the DMZ's interface so that no other network reaches them,
    and belong to ``uid``. Raises OSError.
    """
    names = ["tcp4", "tcp6", "udp4", "udp6"] if role == "names" else ["tcp4", "tcp6"]
    made: dict[str, socket.socket] = {}
    try:
        for name in names:
            family = socket.AF_INET if name.endswith("4") else socket.AF_INET6
            made[name] = _tcp(family, interface, uid) if name.startswith("tcp") else _udp(family, interface, uid)
    except OSError:
        for each in made.values():
            each.close()
        raise
    return made


def _tcp(family: socket.AddressFamily, interface: str, uid: int) -> socket.socket:
    sock = _transparent(family, socket.SOCK_STREAM, interface, uid)
    try:
        # Accepted connections inherit the mark; steer.c takes no other established socket for ours.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK_DOOR)
        # Any free port: devices are steered here whatever port they asked for, and no SO_REUSEPORT (FACTS.md).
        sock.bind(("", 0))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _udp(family: socket.AddressFamily, interface: str, uid: int) -> socket.socket:
    sock = _transparent(family, socket.SOCK_DGRAM, interface, uid)
    try:
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        # An answer's source port is the socket's own, so it must be 53; dnsmasq may hold 53 on the LAN's address.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", DNS_PORT))
    except OSError:
        sock.close()
        raise
    return sock


def _transparent(family: socket.AddressFamily, kind: socket.SocketKind, interface: str, uid: int) -> socket.socket:
    with _opened_by(uid):
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except OSError:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def _opened_by(uid: int) -> Iterator[None]:
    """What is opened meanwhile on this thread belongs to ``uid`` (setfsuid(2)); the capabilities for networks stay.

    A broken worker can turn its listener into an outgoing socket (connect to AF_UNSPEC, then anywhere). nftables knows it
    by the credentials of whoever opened it; a later fchown(2) would not change them.
    """
    libc = ctypes.CDLL(None)
    libc.setfsuid(uid)
    try:
        if libc.setfsuid(-1) != uid:  # an invalid uid changes nothing and tells the one in force
            raise PermissionError(f"cannot open sockets as uid {uid}; steering needs CAP_SETUID")
        yield
    finally:
        libc.setfsuid(os.geteuid())
