"""The LAN's dnsmasq settings as text; what dnsmasq makes of them is shown in tests/home/test_services.py."""

from __future__ import annotations

from gateway.box import lan_dnsmasq
from gateway.box.ports import Assignment
from gateway.box.rendered import Reload
from gateway.config import Box, Config, Dmz, Lan


def lines(config: Config) -> list[str]:
    (file,) = lan_dnsmasq.render(config, Assignment())
    assert (file.path, file.reload) == (lan_dnsmasq.PATH, Reload.LAN)
    return file.text.splitlines()


def test_what_the_settings_say_is_what_is_leased() -> None:
    lan = Lan(
        address4="10.20.0.1/16",
        address6="fd00:1:2:3::1/64",
        interface="br-home",
        lease_first=256,
        lease_last=511,
        lease_seconds=600,
        domain="house.example",
    )
    found = lines(Config(lan=lan))
    for line in (
        "interface=br-home",
        "dhcp-range=10.20.1.0,10.20.1.255,255.255.0.0,600",
        "dhcp-lease-max=256",
        "dhcp-range=fd00:1:2:3::,ra-only,64,600",
        "ra-param=br-home,60,1800",
        "local=/house.example/",
        "host-record=mudroom.house.example,mudroom,10.20.0.1,fd00:1:2:3::1",
        "dhcp-option=option:ntp-server,10.20.0.1",
    ):
        assert line in found


def test_the_box_answers_to_its_own_name_too_once() -> None:
    assert "host-record=mudroom.home.arpa,mudroom,hall.home.arpa,hall,192.168.77.1,fd4d:7564:726d:1::1" in lines(
        Config(box=Box(name="hall"))
    )
    assert "host-record=mudroom.home.arpa,mudroom,192.168.77.1,fd4d:7564:726d:1::1" in lines(Config())


def test_nobodys_questions_are_written_down_and_no_device_is_served() -> None:
    found = lines(Config())
    assert not [line for line in found if line.startswith("log-") and line != "log-facility=-"]
    assert [line for line in found if line.startswith("interface=")] == ["interface=lan0"]
    assert "stop-dns-rebind" in found


def test_no_answer_from_outside_leads_into_the_home_whatever_its_prefixes() -> None:
    """`stop-dns-rebind` passes 100.64.0.0/10, which the settings allow."""
    found = lines(Config(dmz=Dmz(address4="100.64.0.1/24")))
    assert [line.split("=")[1] for line in found if line.startswith("bogus-nxdomain=")] == [
        "192.168.77.0/24",
        "fd4d:7564:726d:1::/64",
        "100.64.0.0/24",
        "fd4d:7564:726d:2::/64",
        "10.127.0.0/16",
        "fd4d:7564:726d:7f::/64",
    ]


def test_no_machine_of_the_lan_is_called_what_others_trust() -> None:
    found = lines(Config())
    for name in ("wpad", "isatap", "localhost"):
        assert f"dhcp-name-match=set:orders,{name}" in found
    assert "dhcp-ignore-names=tag:orders" in found
