"""New names of interfaces, in a network namespace of the test's own: swaps, ports that are up, names that are taken."""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import ip_interface

import pytest

from gateway.network import links
from gateway.network.errors import NetworkError
from gateway.network.rtnl import in_thread, with_netlink


def alone[T](work: Callable[[], T]) -> T:
    """Run ``work`` where eth0 (up) and eth1 (down) are two ends of a wire, and nothing else is."""

    def body() -> T:
        os.unshare(os.CLONE_NEWNET)

        def wire(ip: object) -> None:
            ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "eth1"})  # type: ignore[attr-defined]
            ip.link("set", ifname="eth0", state="up")  # type: ignore[attr-defined]

        with_netlink(wire)
        return work()

    return in_thread(body)


def indexes() -> dict[str, int]:
    return with_netlink(lambda ip: {str(link.get("ifname")): int(link["index"]) for link in ip.get_links()})


def is_up(name: str) -> bool:
    return with_netlink(lambda ip: bool(ip.get_links(ifname=name)[0]["flags"] & 1))


def test_ports_get_new_names_while_up_and_keep_the_old_ones_beside_them() -> None:
    def work() -> None:
        before = indexes()
        assert links.rename([("eth0", "wan0"), ("eth1", "port2")]) == ["eth0 is now called wan0", "eth1 is now called port2"]
        after = indexes()
        assert (after["wan0"], after["port2"]) == (before["eth0"], before["eth1"])
        assert (links.other_names()["wan0"], links.other_names()["port2"]) == (("eth0",), ("eth1",))
        assert is_up("wan0")
        assert not is_up("port2")

    alone(work)


def test_names_can_be_swapped_and_swapped_back() -> None:
    def work() -> None:
        before = indexes()
        for _ in range(3):
            links.rename([("eth0", "eth1"), ("eth1", "eth0")])
        after = indexes()
        assert (after["eth0"], after["eth1"]) == (before["eth1"], before["eth0"])

    alone(work)


def test_a_name_passes_on_and_another_name_gives_way_to_it() -> None:
    def work() -> None:
        before = indexes()
        links.rename([("eth0", "wan0"), ("eth1", "port2")])
        links.rename([("wan0", "port1"), ("port2", "wan0")])
        links.rename([("wan0", "eth0")])  # which port1 was called before
        after = indexes()
        assert (after["port1"], after["eth0"]) == (before["eth0"], before["eth1"])

    alone(work)


def test_a_taken_name_and_an_absent_port_are_refused_and_nothing_changes() -> None:
    def work() -> None:
        before = indexes()
        with pytest.raises(NetworkError, match=r"eth1.*taken"):
            links.rename([("eth0", "eth1")])
        with pytest.raises(NetworkError, match=r"eth9.*gone"):
            links.rename([("eth0", "wan0"), ("eth9", "port9")])
        assert indexes() == before

    alone(work)


def test_addresses_are_listed_without_link_local_ones() -> None:
    def work() -> None:
        with_netlink(lambda ip: ip.addr("add", index=ip.link_lookup(ifname="eth0")[0], address="203.0.113.9", prefixlen=24))
        assert links.addresses()["eth0"] == [ip_interface("203.0.113.9/24")]

    alone(work)
