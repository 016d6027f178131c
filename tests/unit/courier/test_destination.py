"""Where the courier may connect to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.courier.destination import is_permitted

HOME = (IPv4Network("9.9.0.0/16"), IPv6Network("2a00:1234::/48"))


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254",
        "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.88.99.1", "192.168.77.1", "198.18.0.1", "198.19.255.255",
        "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "9.9.1.1",
        "::", "::1", "::ffff:8.8.8.8", "::ffff:10.0.0.1", "::8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1", "100::1",
        "2001::1", "2001:10::1", "2001:20::1", "2002:a00:1::1", "2620:4f:8000::1", "3fff::1", "5f00::1", "fc00::1",
        "fd4d:7564:726d:1::1", "fe80::1", "fe80::1%eth0", "2606:4700::1%eth0", "fec0::1", "ff02::1", "2a00:1234::1",
    ],
)  # fmt: skip
def test_no_vendor_can_be_there(text: str) -> None:
    assert not is_permitted(ip_address(text), HOME)


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1", "8.8.8.8", "9.8.255.255", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "198.17.255.255",
        "198.20.0.1", "223.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1",
        "2001:db8::1", "2001:200::1", "2606:4700::1111", "2a00:1450:4001::1", "3ffe::1",
    ],
)  # fmt: skip
def test_a_vendor_may_be_there(text: str) -> None:
    assert is_permitted(ip_address(text), HOME)


@given(st.ip_addresses(v=4))
def test_ipv4_agrees_with_the_standard_library_but_for_documentation(address: IPv4Address) -> None:
    documentation = any(address in IPv4Network(p) for p in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"))
    if is_permitted(address):
        assert documentation or (address.is_global and not address.is_multicast)


@given(st.ip_addresses(v=6))
def test_ipv6_agrees_with_the_standard_library_but_for_documentation(address: IPv6Address) -> None:
    if is_permitted(address):
        assert address in IPv6Network("2001:db8::/32") or (address.is_global and not address.is_multicast)
