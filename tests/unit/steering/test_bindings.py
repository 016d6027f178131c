"""Leases and registry in, the kernel's table of devices out."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.registry import ANYONE, Device, Home, Kind, Registry
from gateway.steering.bindings import STRANGERS_NAME, Slots, Table, openings, parse_leases


def mac(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


def home(*devices: tuple[int, Kind]) -> Home:
    return Home(Registry(devices=tuple(Device(id=f"d{n}", name="", kind=kind, mac=mac(n)) for n, kind in devices)))


def test_leases_are_read_as_dnsmasq_writes_them() -> None:
    text = f"2000 {mac(1)} 10.77.0.21 lamp 01:02\n0 {mac(2)} 10.77.0.22 * *\n"
    assert parse_leases(text, 1000) == {mac(1): IPv4Address("10.77.0.21"), mac(2): IPv4Address("10.77.0.22")}


def test_leases_that_ran_out_bind_nobody() -> None:
    assert parse_leases(f"1000 {mac(1)} 10.77.0.21 * *\n", 1000) == {}


def test_half_written_and_foreign_lines_are_left_out() -> None:
    text = f"2000 {mac(1)} 10.77.0.\n2000 {mac(2)} 10.77.0.22\nnonsense\n2000 ZZ 10.77.0.9 * *\n"
    text += f"duid 00:01\n2000 {mac(3)} 10.77.0.3 * *\n"
    assert parse_leases(text, 0) == {}


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_only_a_line_feed_ends_a_line_of_leases(end: str) -> None:
    """Else a name that a device chose could begin a lease of its own. Found by fuzzing."""
    text = f"2000 {mac(1)} 10.77.0.21 a{end}2000 {mac(2)} 10.77.0.22 * *\n2000 {mac(3)}{end}10.77.0.23 * *\n"
    assert parse_leases(text, 0) == {}


def test_a_lease_ends_at_a_number_in_plain_digits() -> None:
    for number in ("\u0662\u0660\u0660\u0660", "2e3", "nan", "inf", "9" * 400, "-1", "+1", ""):
        assert parse_leases(f"{number} {mac(1)} 10.77.0.21 * *\n", 0) == {}


def test_of_several_leases_the_longest_counts() -> None:
    text = f"3000 {mac(1)} 10.77.0.22 * *\n2000 {mac(1)} 10.77.0.21 * *\n"
    assert parse_leases(text, 0) == {mac(1): IPv4Address("10.77.0.22")}


def test_an_address_with_two_holders_is_nobody_s() -> None:
    assert parse_leases(f"0 {mac(1)} 10.77.0.21 * *\n0 {mac(2)} 10.77.0.21 * *\n", 0) == {}


@given(st.text())
def test_no_lease_file_breaks_it(text: str) -> None:
    parse_leases(text, 0)


def test_devices_are_spread_over_doors_and_stay_there() -> None:
    table = Table(most=16, workers=2)
    table.update(home(*((n, Kind.STANDARD) for n in range(1, 7))), {})
    workers = {m: device.worker for m, device in table.devices.items()}
    assert sorted(workers.values()) == [0, 0, 0, 1, 1, 1]
    table.update(home(*((n, Kind.STANDARD) for n in (2, 3, 5, 8))), {})
    assert all(table.devices[m].worker == workers[m] for m in table.devices if m in workers)
    assert sorted(device.worker for device in table.devices.values()) == [0, 0, 1, 1]


def test_slots_are_named_and_kept() -> None:
    table = Table(most=4, workers=1)
    lease = {mac(9): IPv4Address("10.77.0.29")}
    table.update(home((1, Kind.STANDARD), (2, Kind.LOCAL)), lease)
    first = {m: device.slot for m, device in table.devices.items()}
    assert table.names == {0: STRANGERS_NAME, first[mac(1)]: "d1", first[mac(2)]: "d2", first[mac(9)]: mac(9)}
    assert table.devices[mac(9)].kind is Kind.UNKNOWN
    table.update(home((2, Kind.QUARANTINED)), lease)
    assert {m: device.slot for m, device in table.devices.items()} == {m: first[m] for m in (mac(2), mac(9))}
    assert table.devices[mac(2)].kind is Kind.QUARANTINED


def test_an_unknown_device_yields_its_slot_to_an_admitted_one() -> None:
    table = Table(most=1, workers=1)
    lease = {mac(9): IPv4Address("10.77.0.29")}
    table.update(home(), lease)
    assert table.devices[mac(9)].slot == 1
    table.update(home((1, Kind.STANDARD)), lease)
    assert (table.devices[mac(1)].slot, table.devices[mac(9)].slot) == (1, 0)
    assert table.names == {0: STRANGERS_NAME, 1: "d1"}


def test_when_all_slots_are_given_the_strangers_is_left() -> None:
    slots = Slots(2)
    assert {slots.give("a"), slots.give("b")} == {1, 2}
    assert slots.give("c") == 0
    slots.keep(["b"])
    assert slots.give("c") in (1, 2)


LAPTOP, PHONE = "02:00:5e:00:00:01", "02:00:5e:00:00:02"


def open_to(*hosts: str, kind: Kind = Kind.LOCAL) -> Home:
    return Home(Registry(devices=(Device(id="d1", name="", kind=kind, mac=mac(1), lan=hosts),)))


def test_the_lan_reaches_the_addresses_that_are_a_device_s_own() -> None:
    leased = {mac(1): IPv4Address("10.77.0.21"), mac(2): IPv4Address("10.77.0.22")}
    claims = {IPv6Address("fd00::21"): mac(1), IPv6Address("fd00::22"): mac(2)}
    found = openings(open_to(LAPTOP, ANYONE), leased, claims)
    assert found == {(host, at) for host in (LAPTOP, ANYONE) for at in (IPv4Address("10.77.0.21"), IPv6Address("fd00::21"))}
    assert openings(open_to(), leased, claims) == frozenset()


@pytest.mark.parametrize("kind", [Kind.UNKNOWN, Kind.QUARANTINED])
def test_who_is_not_admitted_or_is_in_quarantine_is_open_to_nobody(kind: Kind) -> None:
    assert openings(open_to(LAPTOP, kind=kind), {mac(1): IPv4Address("10.77.0.21")}, {}) == frozenset()
    table = Table(8, 1)
    table.update(open_to(LAPTOP, kind=kind), {mac(1): IPv4Address("10.77.0.21")}, to_lan=True, now=5)
    assert not table.devices[mac(1)].lan


def test_what_was_opened_ends_when_a_host_is_denied_and_lasts_when_another_is_allowed() -> None:
    table, leased = Table(8, 1), {mac(1): IPv4Address("10.77.0.21")}

    def since(now: int, *hosts: str, to_lan: bool = True) -> tuple[bool, int]:
        table.update(open_to(*hosts), leased, to_lan=to_lan, now=now)
        return table.devices[mac(1)].lan, table.devices[mac(1)].since

    assert since(1) == (False, 1)
    assert since(2, LAPTOP) == (True, 1)
    assert since(3, LAPTOP, PHONE) == (True, 1)
    assert since(4, PHONE) == (True, 4), "the laptop's are over"
    assert since(5, PHONE, to_lan=False) == (False, 5), "the firewall could not be told"
    leased = {mac(1): IPv4Address("10.77.0.23")}
    assert since(6, PHONE) == (True, 6), "the address was another's before"
