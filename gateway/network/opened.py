"""Which LAN host may open connections to which device's address, as an nftables table of its own. Text out; ``hooks`` loads it.

The table only marks packets from LAN to DMZ; it accepts none. The base firewall (``nft``) lets pass what is marked, so without
this table nothing passes. It is apart from the base firewall because it changes with leases and decisions, and replacing the
base table would cost the flows between LAN and WAN their short way (its flowtable). It must never match a packet of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from gateway.network.plan import MARK_LAN
from gateway.registry import ANYONE

TABLE = "mudroom_lan"
Opening = tuple[str, IPv4Address | IPv6Address]  # a LAN host's hardware address or ANYONE, and a device's address


def render(lan: str, dmz: str, openings: Iterable[Opening]) -> str:
    """The table for ``nft -f -``; it replaces an older one in one transaction."""
    wanted = sorted({(host, address.version, str(address)) for host, address in openings})
    rules, sets = [], []
    for version, family in ((4, "ip"), (6, "ip6")):
        pairs = [f"{host} . {address}" for host, found, address in wanted if found == version and host != ANYONE]
        free = [address for host, found, address in wanted if found == version and host == ANYONE]
        for name, kind, match, elements in (
            (f"hosts{version}", f"ether_addr . ipv{version}_addr", f"ether saddr . {family} daddr", pairs),
            (f"anyone{version}", f"ipv{version}_addr", f"{family} daddr", free),
        ):
            listed = f"elements = {{ {', '.join(elements)} }}; " if elements else ""
            sets.append(f"    set {name} {{ type {kind}; {listed}}}")
            rules.append(f'        iifname "{lan}" oifname "{dmz}" {match} @{name} meta mark set {MARK_LAN:#x}')
    chain = ["    chain opened {", "        type filter hook forward priority filter - 10; policy accept;", *rules, "    }"]
    return "\n".join([f"table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{", *sets, *chain, "}", ""])


def pairs(parts: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
    """LAN host (or ANYONE) and device's address, of each opening that a listed table holds (``nftprogram.listed``)."""
    found: set[tuple[str, str]] = set()
    for part in parts:
        for element in part.get("set", {}).get("elem", ()):
            match element:
                case {"concat": [str(host), str(address)]}:
                    found.add((host, address))
                case str(address):
                    found.add((ANYONE, address))
    return found
