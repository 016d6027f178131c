"""Where in the house something may be told: an address of the LAN, by plain http. Pure.

It must never take a name, which somebody would have to be asked for, nor an address outside the LAN.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from urllib.parse import urlsplit


class UrlError(ValueError):
    """This address is not told anything. Says why and what to write."""


def target(url: str, lan: Sequence[IPv4Interface | IPv6Interface]) -> tuple[str, int, str]:
    """Address, port and path of ``url``; ``lan``: the gateway's own addresses there. Raises UrlError."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise UrlError(f"{url}: write http://, an address of the LAN and a path, in plain ASCII")
    try:
        parts = urlsplit(url)
        address, port = ip_address(parts.hostname or ""), parts.port if parts.port is not None else 80
    except ValueError:
        raise UrlError(f"{url}: write the system's address, not a name") from None
    if parts.scheme != "http" or parts.username or parts.password or parts.fragment or not port:
        raise UrlError(f"{url}: http:// and an address of the LAN; it does not leave the house")
    if not any(address in own.network for own in lan if own.version == address.version):
        raise UrlError(f"{url}: that is not in the LAN ({', '.join(str(own.network) for own in lan)})")
    if any(address == own.ip for own in lan):
        raise UrlError(f"{url}: that is the gateway itself; write the address of another machine in the LAN")
    return str(address), port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
