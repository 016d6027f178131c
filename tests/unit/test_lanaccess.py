"""Who at home may reach a device: named by name, address or hardware address; on record before it holds; taken back always."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from gateway import deeds as deeds_module
from gateway import lanaccess
from gateway.config import Config, Lan, Paths
from gateway.decisions import DecisionError
from gateway.leases import Lease
from gateway.noting import NotRecorded
from gateway.registry import ANYONE, MOST_LAN_HOSTS, Device, Kind, RegistryError, RegistryFile

LAPTOP, PHONE = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
FOREVER = float("inf")
LEASES = [
    Lease(LAPTOP, IPv4Address("192.168.77.50"), "Laptop", FOREVER),
    Lease(PHONE, IPv4Address("192.168.77.51"), "", FOREVER),
    Lease("02:00:5e:00:00:03", IPv4Address("192.168.77.52"), "tv", FOREVER),
    Lease("02:00:5e:00:00:04", IPv4Address("192.168.77.53"), "tv", FOREVER),
]


@pytest.mark.parametrize(
    ("said", "host"),
    [
        ("laptop", LAPTOP), (" LAPTOP ", LAPTOP), ("192.168.77.51", PHONE), ("02:00:5E:00:00:09", "02:00:5e:00:00:09"),
        ("02-00-5e-00-00-01", LAPTOP), ("anyone", ANYONE),
    ],
)  # fmt: skip
def test_a_machine_is_named_as_leases_know_it(said: str, host: str) -> None:
    assert lanaccess.find(said, LEASES) == host


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("tv", "not one machine: 02:00:5e:00:00:03, 02:00:5e:00:00:04"), ("desk", "name its hardware address"),
        ("", "no machine"),
        ("192.168.77.99", "no machine"), ("fd00::1", "no machine"), ("ff:ff:ff:ff:ff:ff", "means many"),
        ("01:00:5e:00:00:01", "means many"), ("00:00:00:00:00:00", "or none"),
        ("02:00:5e:00:00:01\n02:00:5e:00:00:02", "no machine"),
    ],
)  # fmt: skip
def test_what_names_no_machine_or_several_is_refused(said: str, why: str) -> None:
    with pytest.raises(DecisionError, match=why):
        lanaccess.find(said, LEASES)


def test_those_who_may_come_first_also_when_they_are_not_at_home() -> None:
    device = Device(id="plug", name="", kind=Kind.LOCAL, mac="02:00:00:00:00:01", lan=("02:00:5e:00:00:09", PHONE))
    found = [(each.host, each.allowed) for each in lanaccess.machines(device, LEASES)]
    assert found[:3] == [(ANYONE, False), ("02:00:5e:00:00:09", True), (PHONE, True)]
    assert [host for host, _ in found[3:]] == [LAPTOP, "02:00:5e:00:00:03", "02:00:5e:00:00:04"]


class House:
    """A registry with a plug, and what came on record."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.config = Config(paths=Paths(state=str(folder / "state"), run=str(folder / "run")))
        self.registry = RegistryFile(self.config.paths.registry)
        self.deeds: list[tuple[str, ...]] = []
        self.away = False
        with self.registry.change() as change:
            change.admit(Device(id="plug", name="Plug", kind=Kind.LOCAL, mac="02:00:00:00:00:01"))

        def on_record(config: Config, device: str, what: str, by: str, detail: str = "") -> int:
            assert self.lan == self.before, "on record first"
            if self.away:
                raise NotRecorded("the disk is full")
            self.deeds.append((device, what, by, detail))
            return 1

        patch.setattr(deeds_module, "on_record", on_record)

    @property
    def lan(self) -> tuple[str, ...]:
        return self.registry.current().by_id["plug"].lan

    def say(self, host: str, *, allow: bool, device: str = "plug", name: str = "") -> lanaccess.Done:
        self.before = self.lan
        return lanaccess.decide(self.config, self.registry, "owner", device, host, allow=allow, name=name)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def test_a_host_is_let_in_and_shut_out_on_record_once(house: House) -> None:
    assert house.lan == ()
    assert house.say(LAPTOP, allow=True, name="laptop").changed
    assert not house.say(LAPTOP, allow=True).changed, "as before"
    assert house.lan == (LAPTOP,)
    assert house.say(LAPTOP, allow=False).changed
    assert house.lan == ()
    assert house.deeds == [
        ("plug", "lan", "owner", f"allow {LAPTOP} (laptop)"),
        ("plug", "lan", "owner", f"deny {LAPTOP}"),
    ]


def test_without_a_record_nobody_is_let_in_and_anybody_is_shut_out(house: House) -> None:
    house.say(LAPTOP, allow=True)
    house.away = True
    with pytest.raises(NotRecorded):
        house.say(PHONE, allow=True)
    assert house.lan == (LAPTOP,)
    assert house.say(LAPTOP, allow=False).unrecorded == "the disk is full"
    assert house.lan == ()


def test_what_the_owner_may_not_expect_is_said(house: House) -> None:
    house.say(ANYONE, allow=True)
    house.say(LAPTOP, allow=True)
    assert "anyone at home may reach plug all the same" in house.say(LAPTOP, allow=False).remark
    assert house.say(ANYONE, allow=False).remark == ""
    with house.registry.change() as change:
        change.set_kind("plug", Kind.QUARANTINED)
    assert "plug is quarantined: nobody reaches it" in house.say(LAPTOP, allow=True).remark


def test_nobody_is_let_in_against_the_settings_and_no_strange_device_opened(house: House) -> None:
    with pytest.raises(RegistryError, match="no device pump"):
        house.say(LAPTOP, allow=True, device="pump")
    with pytest.raises(DecisionError, match="means many"):
        house.say("ff:ff:ff:ff:ff:ff", allow=True)
    for number in range(MOST_LAN_HOSTS):
        house.say(f"02:00:5e:00:01:{number:02x}", allow=True)
    with pytest.raises(RegistryError, match="deny one first"):
        house.say(LAPTOP, allow=True)
    house.config = Config(paths=house.config.paths, lan=Lan(may_open_to_dmz=False))
    with pytest.raises(DecisionError, match="may_open_to_dmz is false"):
        house.say(LAPTOP, allow=True)
    assert house.say("02:00:5e:00:01:00", allow=False).changed, "taking back is always possible"


@pytest.mark.parametrize("host", ["anyone\n", "02:00:5e:00:00:01\n", "laptop", "", "02:00:5E:00:00:01"])
def test_nothing_but_a_hardware_address_gets_into_the_registry(house: House, host: str) -> None:
    with house.registry.change() as change, pytest.raises(RegistryError, match="no hardware address"):
        change.open_to_lan("plug", host, allow=True)
    assert house.lan == ()
