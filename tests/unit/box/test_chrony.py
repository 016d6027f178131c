"""chronyd's settings as text; the real one runs in tests/home/test_services.py."""

from __future__ import annotations

from gateway.box import chrony
from gateway.config import Config, Time


def test_addresses_are_servers_and_names_are_pools_that_give_four_sources() -> None:
    lines = chrony.text(Config(time=Time(servers=("192.0.2.1", "2001:db8::1", "pool.example")))).splitlines()
    assert "server 192.0.2.1 iburst" in lines
    assert "server 2001:db8::1 iburst" in lines
    assert "pool pool.example iburst maxsources 2" in lines
    assert "pool pool.example iburst maxsources 4" in chrony.text(Config(time=Time(servers=("pool.example",))))


def test_without_servers_the_box_still_gives_its_own_time() -> None:
    text = chrony.text(Config(time=Time(servers=())))
    assert "iburst" not in text
    assert "local stratum 10 orphan" in text


def test_only_lan_and_dmz_are_served_and_nothing_steps_by_itself() -> None:
    lines = chrony.text(Config()).splitlines()
    assert [line for line in lines if line.startswith("allow")] == [
        "allow 192.168.77.0/24",
        "allow fd4d:7564:726d:1::/64",
        "allow 10.77.0.0/24",
        "allow fd4d:7564:726d:2::/64",
    ]
    assert "cmdport 0" in lines
    assert not [line for line in lines if line.startswith(("makestep", "initstepslew", "log"))]
