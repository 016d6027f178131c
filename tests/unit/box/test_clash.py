"""Where the provider's network is one of ours: said, with a prefix that is free."""

from __future__ import annotations

import re
from ipaddress import ip_interface, ip_network

from gateway.box import clash
from gateway.config import Config, parse


def test_a_clash_is_said_with_a_prefix_that_is_free() -> None:
    wan = [ip_interface("192.168.77.23/24"), ip_interface("2001:db8::7/64")]
    (found,) = clash.notices(Config(), wan, [ip_network("192.168.78.0/23"), ip_network("0.0.0.0/0")])
    assert "lan.address4" in found.words
    assert "192.168.77.0/24" in found.words
    proposed = re.search(r'lan\.address4 = "([^"]+)"', found.remedy)
    assert proposed
    assert proposed[1] == "192.168.80.1/24"
    assert clash.notices(parse(f'[lan]\naddress4 = "{proposed[1]}"'), wan) == []


def test_a_provider_that_uses_all_of_ten_clashes_with_dmz_and_pool() -> None:
    found = clash.notices(Config(), [ip_interface("10.3.4.5/8")])
    assert [notice.words.split(" (")[1].split(",")[0] for notice in found] == ["dmz.address4", "dmz.pool4"]
    assert ['"172.21.77.1/24"' in found[0].remedy, '"172.22.0.0/16"' in found[1].remedy] == [True, True]


def test_no_clash_without_overlap_and_none_with_a_default_route() -> None:
    assert clash.notices(Config(), [ip_interface("203.0.113.9/24")], [ip_network("::/0")]) == []


def test_ipv6_too() -> None:
    (found,) = clash.notices(Config(), [ip_interface("fd4d:7564:726d:1::99/64")])
    assert "lan.address6" in found.words
