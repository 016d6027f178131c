"""What may be told notices: machines in the LAN, by address."""

from __future__ import annotations

import pytest

from gateway.config import Config
from gateway.lan_url import UrlError, target

LAN = (Config().lan.ipv4, Config().lan.ipv6)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://192.168.77.5:8123/api/hook?id=x", ("192.168.77.5", 8123, "/api/hook?id=x")),
        ("http://192.168.77.5", ("192.168.77.5", 80, "/")),
        (f"http://[{LAN[1].network[5]}]:81/", (str(LAN[1].network[5]), 81, "/")),
    ],
)
def test_a_machine_in_the_lan(url: str, where: tuple[str, int, str]) -> None:
    assert target(url, LAN) == where


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://203.0.113.9/", "not in the LAN"),
        ("http://[2001:db8::1]/", "not in the LAN"),
        ("http://10.77.0.9/", "not in the LAN"),
        ("http://192.168.77.1/", "the gateway itself"),
        ("http://hub.lan/", "not a name"),
        ("http://192.168.77.5.evil.example/", "not a name"),
        ("http://3232255237/", "not a name"),
        ("http://0xc0a84d05/", "not a name"),
        ("https://192.168.77.5/", "does not leave the house"),
        ("ftp://192.168.77.5/", "does not leave the house"),
        ("http://u:p@192.168.77.5/", "does not leave the house"),
        ("http://192.168.77.5@203.0.113.9/", "does not leave the house"),
        ("http://192.168.77.5:0/", "does not leave the house"),
        ("http://192.168.77.5:99999/", "not a name"),
        ("http://192.168.77.5/\r\nX: y", "plain ASCII"),
        ("http://192.168.77.5/ä", "plain ASCII"),
        ("", "not a name"),
    ],
)
def test_nothing_else(url: str, words: str) -> None:
    with pytest.raises(UrlError, match=words):
        target(url, LAN)
