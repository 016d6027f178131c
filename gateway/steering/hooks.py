"""What steering needs of the kernel's network, as a protocol: it must never speak netlink itself.

``gateway.network.hooks.TrafficHooks`` is the real one; the command joins the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, Protocol

Direction = Literal["ingress", "egress"]


class Hooks(Protocol):
    """Hooks, interfaces and openings of the namespace that the process is in. Methods block; they raise OSError or ValueError."""

    def attach(self, interface: str, direction: Direction, program_fd: int, name: str) -> None:
        """Put a loaded program on the hook, atomically in place of the one that was there."""

    def attached(self, interface: str, direction: Direction) -> int | None:
        """The kernel's id of the program on the hook."""

    def detach(self, interface: str, direction: Direction) -> None:
        """Take the program off the hook."""

    def open_to_lan(self, lan: str, dmz: str, openings: Iterable[tuple[str, IPv4Address | IPv6Address]]) -> None:
        """Let LAN hosts (hardware address, or ANYONE of the registry) open connections to these addresses and to no others."""

    def index(self, interface: str) -> int | None:
        """The interface's number."""

    def mac(self, interface: str) -> str | None:
        """The interface's hardware address (lower case, colons)."""

    def addresses(self) -> list[tuple[str, str]]:
        """All local addresses as (interface, address without prefix)."""
