"""Any MUD file: what it says of itself, and what its device would want, in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.standard.manifest import ManifestError, parse_manifest
from gateway.standard.mud import Mud, is_plain_url, read_mud

REAL = Path(__file__).parents[4] / "shared" / "mud"


def document(*aces: dict[str, Any], outwards: bool = True, **head: Any) -> bytes:
    policy = "from-device-policy" if outwards else "to-device-policy"
    lists = {"access-lists": {"access-list": [{"name": "l"}]}}
    entries = [{"name": f"a{n}", "matches": matches} for n, matches in enumerate(aces)]
    return json.dumps(
        {
            "ietf-mud:mud": {"mud-version": 1, "mud-url": "https://lamp.example/m", policy: lists, **head},
            "ietf-access-control-list:acls": {"acl": [{"name": "l", "type": "ipv4-acl-type", "aces": {"ace": entries}}]},
        }
    ).encode()


def words(found: Mud) -> list[str]:
    return [wish.words for wish in found.wishes]


@pytest.mark.parametrize(
    ("matches", "outwards", "said"),
    [
        ({"ipv4": {"ietf-acldns:dst-dnsname": "api.lamp.example", "protocol": 6},
          "tcp": {"destination-port": {"operator": "eq", "port": 443}}}, True, "to api.lamp.example: TCP port 443"),
        ({"ipv4": {"ietf-acldns:src-dnsname": "api.lamp.example", "protocol": 17},
          "udp": {"source-port": {"lower-port": 5000, "upper-port": 5009}}}, False,
          "from api.lamp.example: UDP ports 5000 to 5009"),
        ({"ipv4": {"destination-ipv4-network": "8.8.8.8/32", "protocol": 17},
          "udp": {"destination-port": {"operator": "gte", "port": 53}}}, True, "to 8.8.8.8/32: UDP port from 53"),
        ({"ietf-mud:mud": {"local-networks": [None]}, "ipv6": {"protocol": 58}}, True, "to machines of the home: ICMPv6"),
        ({"ietf-mud:mud": {"controller": "urn:x"}, "tcp": {}}, True, "to a controller of the kind urn:x: TCP, any port"),
        ({"ietf-mud:mud": {"same-manufacturer": [None]}}, False, "from devices of the same maker: anything"),
        ({"eth": {"ethertype": "0x888e"}}, True, "to anybody: Ethernet type 0x888e"),
    ],
)  # fmt: skip
def test_wishes_in_words(matches: dict[str, Any], outwards: bool, said: str) -> None:
    found = read_mud(document(matches, outwards=outwards))
    assert words(found) == [said]
    assert found.unread == 0


def test_what_is_not_understood_is_counted_not_dropped() -> None:
    found = read_mud(document({"l2vpn": 1}, {}, {"eth": {"ethertype": "0x0006"}}))
    assert (found.unread, len(found.wishes)) == (2, 1)
    lost = json.loads(document())
    lost["ietf-access-control-list:acls"] = []
    assert read_mud(json.dumps(lost).encode()).unread == 1  # a list that is named and not there


@pytest.mark.parametrize(("given_", "hours"), [(1, 1), (168, 168), (169, 48), (0, 48), ("7", 48), (None, 48), (True, 48)])
def test_cache_validity(given_: object, hours: int) -> None:
    assert read_mud(document(**{"cache-validity": given_})).cache_validity == hours


@pytest.mark.parametrize(
    "junk", [b"", b"[]", b"{}", b'{"ietf-mud:mud": 1}', b"{" * 100, b'{"ietf-mud:mud":{},"ietf-mud:mud":{}}']
)
def test_what_is_no_mud_file(junk: bytes) -> None:
    with pytest.raises(ManifestError):
        read_mud(junk)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://acme.example/mud/plug.json", True), ("https://acme.example", True), ("http://acme.example/x", False),
        ("https://acme.example:8443/x", False), ("https://a@acme.example/x", False), ("https://acme.example/x?device=1", False),
        ("https://acme.example/x#y", False), ("https://10.0.0.1/x", False), ("https://[2001:db8::1]/x", False),
        ("https://router/x", False), ("https://acme.example/\r\nx", False), ("https://ACME.example/x", False),
        ("HTTPS://acme.example/x", False), ("https://acme.example\\@evil.example/", False), ("https://acmé.example/", False),
        ("https://acme.example/?", False), ("", False),
    ],
)  # fmt: skip
def test_which_urls_are_fetched(url: str, plain: bool) -> None:
    assert is_plain_url(url) == plain


MEMBERS = ["aces", "ace", "acl", "matches", "ipv4", "tcp", "eth", "name", "access-lists", "access-list"]
_junk = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=30,
)


@settings(max_examples=200, deadline=None)
@given(_junk)
def test_no_access_list_breaks_the_reader(junk: Any) -> None:
    top = {"ietf-mud:mud": {"from-device-policy": junk, "to-device-policy": junk}, "ietf-access-control-list:acls": junk}
    read_mud(json.dumps(top).encode())


@pytest.mark.skipif(not REAL.is_dir(), reason="the collected MUD files are not beside this checkout")
def test_real_mud_files_are_read_whole() -> None:
    files = sorted(REAL.glob("*.json"))
    assert len(files) >= 10
    for file in files:
        found = read_mud(file.read_bytes())
        assert found.unread == 0, file
        assert found.hosts and found.url.startswith("https://") and found.cache_validity == 100
        assert all(": " in wish.words for wish in found.wishes)
        with pytest.raises(ManifestError, match="can only be local"):
            parse_manifest(file.read_bytes())
