"""Whether an address may be a vendor's: pure. It must never permit an address that could be inside a home.

A vendor chooses what its name resolves to. Without this table a name could lead the courier to the LAN, the DMZ, the
gateway itself or a transition mechanism that ends there.

The documentation prefixes are permitted on purpose: nobody routes them (RFC 5737, RFC 3849), so they harm nobody, and the
virtual internet of our tests is made of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# IANA special-purpose registries (RFC 6890 and what updated them), but for the documentation prefixes.
REFUSED4 = tuple(
    IPv4Network(prefix)
    for prefix in (
        "0.0.0.0/8",  # this network, RFC 791
        "10.0.0.0/8",  # private use, RFC 1918
        "100.64.0.0/10",  # shared address space, RFC 6598
        "127.0.0.0/8",  # loopback, RFC 1122
        "169.254.0.0/16",  # link-local, RFC 3927
        "172.16.0.0/12",  # private use, RFC 1918
        "192.0.0.0/24",  # IETF protocol assignments, RFC 6890
        "192.31.196.0/24",  # AS112, RFC 7535
        "192.52.193.0/24",  # AMT, RFC 7450
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",  # private use, RFC 1918
        "192.175.48.0/24",  # AS112, RFC 7534
        "198.18.0.0/15",  # benchmarking, RFC 2544
        "224.0.0.0/4",  # multicast, RFC 5771
        "240.0.0.0/4",  # reserved and limited broadcast, RFC 1112, RFC 8190
    )
)
# IPv6 the other way round: only global unicast (RFC 4291) is looked at, less the special parts of it.
GLOBAL6 = IPv6Network("2000::/3")
REFUSED6 = tuple(
    IPv6Network(prefix)
    for prefix in (
        "2001::/23",  # IETF protocol assignments, Teredo (RFC 4380) and ORCHID among them
        "2002::/16",  # 6to4, RFC 3056
        "2620:4f:8000::/48",  # AS112, RFC 7534
        "3fff::/20",  # documentation that our tests do not use, RFC 9637
    )
)


def is_permitted(address: Address, home: Iterable[Network] = ()) -> bool:
    """Whether the courier may connect to ``address``. ``home``: the prefixes of this home, refused as well.

    Outside 2000::/3 lie loopback, link-local, ULA (RFC 4193), multicast, IPv4-mapped and NAT64 (RFC 6052) addresses.
    """
    if any(address.version == network.version and address in network for network in home):
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in REFUSED4)
    return address.scope_id is None and address in GLOBAL6 and not any(address in network for network in REFUSED6)
