"""dnsmasq's lease file read: who holds which address, and the name that he gave himself. It must never trust a word of it.

A lease file is dnsmasq's own, and dnsmasq speaks with whoever is on the wire: lines that do not fit are left out.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from gateway.registry import MAC

MOST_BYTES = 1 << 20  # of a lease file: ten thousand leases
NAME = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1123 section 2.1


@dataclass(frozen=True)
class Lease:
    """``ends``: seconds since the epoch, or infinity. ``name``: what the machine calls itself; empty where that is no name."""

    mac: str
    address: IPv4Address
    name: str
    ends: float


def parse(text: str, now: float) -> Iterator[Lease]:
    """The IPv4 leases that hold ("expiry mac address name client-id" per line; expiry 0 is never). ``now``: since the epoch.

    Lines that are not such leases (DHCPv6, half-written ones) are left out.
    """
    for line in text.split("\n"):  # as dnsmasq writes it: no other character of Unicode ends a line or a word
        words = line.split(" ")
        if words[:1] == ["duid"]:
            break  # DHCPv6 leases follow
        if len(words) != 5 or not re.fullmatch(r"[0-9]{1,18}", words[0]) or not re.fullmatch(MAC, words[1]):
            continue
        try:
            address = IPv4Address(words[2])
        except AddressValueError:
            continue
        ends = float(words[0]) or float("inf")
        if ends > now:
            yield Lease(words[1], address, words[3] if re.fullmatch(NAME, words[3]) else "", ends)


def start_of(file: Path, most: int) -> bytes:
    """What a regular file begins with; nothing of anything else: its folder may be of a process that strangers speak to."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as opened:  # noqa: PTH123 - of a descriptor
            return opened.read(most) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""


def read(file: Path) -> str:
    """A lease file's text; empty where there is none that can be read."""
    return start_of(file, MOST_BYTES).decode("utf-8", errors="replace")
