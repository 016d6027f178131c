"""Does a network of ours clash with what the WAN's side uses? Values in, notices out.

Where the provider's router uses the same prefix as the LAN or the DMZ, packets go astray. Nothing is changed by itself: the
owner is told, with a prefix that is free.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_network

from gateway.box.notices import Notice, Severity
from gateway.config import Config

Network = IPv4Network | IPv6Network
# Where a free prefix is looked for: what few providers' routers use.
SEARCHED = {
    "lan.address4": [f"192.168.{number}.0/24" for number in range(77, 240)] + [f"172.20.{number}.0/24" for number in range(256)],
    "dmz.address4": [f"10.{number}.0.0/24" for number in range(77, 256)] + ["172.21.77.0/24"],
    "dmz.pool4": [f"10.{number}.0.0/16" for number in range(127, 256)] + ["172.22.0.0/16"],
}


def notices(config: Config, wan: Iterable[IPv4Interface | IPv6Interface], routes: Iterable[Network] = ()) -> list[Notice]:
    """What clashes, in words. ``wan``: the WAN's addresses as observed; ``routes``: prefixes that are routed to the WAN.

    A default route clashes with nothing.
    """
    theirs: list[Network] = [interface.network for interface in wan] + [route for route in routes if route.prefixlen]
    ours = _ours(config)
    found = []
    for setting, (words, network) in ours.items():
        clash = next((other for other in theirs if other.version == network.version and other.overlaps(network)), None)
        if clash is None:
            continue
        taken = [*theirs, *(other for name, (_, other) in ours.items() if name != setting)]
        found.append(
            Notice(
                "clash",
                Severity.ERROR,
                f"{words} ({setting}, {network}) and the network on the WAN's side ({clash}) are the same addresses: "
                f"what is meant for one goes to the other.",
                f'set {setting} = "{_proposal(setting, network, taken)}" in /etc/mudroom/mudroom.toml, '
                "then run `mudroom box apply`",
            )
        )
    return found


def _ours(config: Config) -> dict[str, tuple[str, Network]]:
    return {
        "lan.address4": ("The LAN", config.lan.ipv4.network),
        "dmz.address4": ("The devices' network", config.dmz.ipv4.network),
        "dmz.pool4": ("The addresses of approved names", config.dmz.pool_ipv4),
        "lan.address6": ("The LAN", config.lan.ipv6.network),
        "dmz.address6": ("The devices' network", config.dmz.ipv6.network),
        "dmz.pool6": ("The addresses of approved names", config.dmz.pool_ipv6),
    }


def _proposal(setting: str, network: Network, taken: list[Network]) -> str:
    """A value for ``setting`` that overlaps nothing of ``taken``; of the same size where that is the usual one or smaller."""
    if network.version == 6:
        chance = random.Random(str(network))  # noqa: S311 - any prefix does; the same one at each look
        candidates: Iterable[str] = (f"fd{chance.getrandbits(8):02x}:{chance.getrandbits(16):x}::/64" for _ in range(64))
    else:
        candidates = SEARCHED[setting]
    for text in candidates:
        free = ip_network(text)
        if not any(free.version == other.version and free.overlaps(other) for other in taken):
            return str(free) if setting.startswith("dmz.pool") else f"{free[1]}/{free.prefixlen}"
    return "a private prefix that nothing else uses"
