"""The ruleset as text; what it does to packets is shown in tests/home/test_network.py."""

from __future__ import annotations

from gateway.config import Config, Lan
from gateway.network import nft

USERS = nft.uids({"door": 951, "names": 952, "signer": 953, "ledger": 954, "courier": 955, "dhcp": 956})


def test_every_chain_of_ours_ends_in_a_counted_drop_or_has_nothing_to_refuse() -> None:
    chains = {}
    for part in nft.render(Config(), USERS).split("chain ")[1:]:
        name, _, body = part.partition(" {")
        chains[name] = [line.strip() for line in body.split("}\n\n")[0].splitlines() if line.strip() not in ("", "}")]
    ending = {name for name, lines in chains.items() if lines[-1] == "counter drop"}
    assert ending == {"input", "from_dmz", "from_lan", "from_wan", "forward", "from_confined", "from_courier"}
    for name in ("input", "forward"):
        assert "policy drop;" in chains[name][0]


def test_a_lan_that_may_not_open_connections() -> None:
    text = nft.render(Config(lan=Lan(may_open_to_dmz=False)), USERS)
    assert 'oifname "dmz0" ip daddr' not in text
    assert 'oifname "lan0" meta mark' not in text


def test_resolvers_are_read_as_the_c_library_does() -> None:
    text = "# comment\nnameserver 192.168.1.1\nnameserver fe80::1%wan0\nsearch home\nnameserver nonsense\nnameserver\n" * 2
    assert [str(address) for address in nft.resolvers(text)] == ["192.168.1.1", "fe80::1"]


def test_the_couriers_resolvers_are_for_dns_alone() -> None:
    text = nft.render(Config(), USERS, nft.resolvers("nameserver 192.168.1.1\nnameserver 127.0.0.53\n"))
    assert 'oifname "wan0" ip daddr { 192.168.1.1 } meta l4proto { tcp, udp } th dport 53 accept' in text
    assert 'oifname "lo" ip daddr { 127.0.0.53 } meta l4proto { tcp, udp } th dport 53 accept' in text
