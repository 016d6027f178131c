"""dnsmasq's lease file, which holds what devices told dnsmasq: whoever is not plainly in it has no address."""

from __future__ import annotations

from ipaddress import IPv4Address

from gateway.steering.bindings import parse_leases

WORDS = (
    "1764201600 02:00:00:00:00:01 10.99.0.16 * *\n", "0 02:00:00:00:00:02 10.99.0.17 host 01:02\n", "duid 00:01\n", "\n", " ",
    "\r", "\x0b", "\x1c", "\u2028", "\x85", "02:00:00:00:00:01", "10.99.0.16", "010.99.0.16", "9" * 400, "1e999", "nan", "-1",
    "\u0663", "\u00b2", "ff:ff:ff:ff:ff:ff",
)  # fmt: skip
NOW = 1_764_201_000.0


def check(data: bytes) -> None:
    """Each address has one holder, and stands with it on a line of the file; one line more about others changes nothing."""
    text = data.decode("utf-8", errors="replace")
    found = parse_leases(text, NOW)
    assert len(set(found.values())) == len(found)
    lines = [line.split(" ") for line in text.split("\n")]
    for mac, address in found.items():
        assert isinstance(address, IPv4Address)
        assert len(mac) == 17
        assert mac == mac.lower()
        ends = [line[0] for line in lines if line[1:3] == [mac, str(address)] and line[0].isascii() and line[0].isdecimal()]
        assert any(not int(end) or int(end) > NOW for end in ends), mac
    stranger = "0 02:ff:ff:ff:ff:fe 10.255.255.254 * *\n"
    if "02:ff:ff:ff:ff:fe" not in text and "10.255.255.254" not in text:
        assert parse_leases(stranger + text, NOW) == {"02:ff:ff:ff:ff:fe": IPv4Address("10.255.255.254"), **found}
