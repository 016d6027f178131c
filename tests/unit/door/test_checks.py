"""The door's look at a device certificate: listed by its serial, or renewed under a key that enrolment listed."""

from __future__ import annotations

import pytest

from gateway.door.checks import Peer, check_peer
from gateway.reasons import Reason
from gateway.registry import Certificate, Device, Home, Kind, Registry

KEY, OTHER = "ab" * 32, "cd" * 32


def home(*certificates: Certificate) -> Home:
    return Home(Registry(devices=(Device("plug", "plug", Kind.STANDARD, "02:00:00:00:00:01", certificates=certificates),)))


def peer(serial: str, key: str = "", not_after: float = 100.0) -> Peer:
    return Peer(serial=serial, not_before=0.0, not_after=not_after, for_clients=True, by_home_ca=True, key=key)


@pytest.mark.parametrize(
    ("listed", "shown", "device", "reason"),
    [
        (Certificate("01", 1, key=KEY), peer("01", KEY), "plug", None),
        (Certificate("01", 1, key=KEY), peer("02", KEY), "plug", None),
        (Certificate("01", 1, key=KEY), peer("02", KEY, 10.0), "plug", Reason.CERTIFICATE_UNTRUSTED),
        (Certificate("01", 1, key=KEY), peer("02", OTHER), "plug", Reason.CERTIFICATE_REVOKED),
        (Certificate("01", 1, key=KEY), peer("02"), "plug", Reason.CERTIFICATE_REVOKED),
        (Certificate("01", 1), peer("02"), "plug", Reason.CERTIFICATE_REVOKED),
        (Certificate("01", 1, revoked=True, key=KEY), peer("02", KEY), "plug", Reason.CERTIFICATE_REVOKED),
        (Certificate("01", 1, key=KEY), peer("02", KEY), "lamp", Reason.CERTIFICATE_OTHER),
    ],
)
def test_a_renewed_certificate_stands_or_falls_with_its_key(
    listed: Certificate, shown: Peer, device: str, reason: Reason | None
) -> None:
    assert check_peer(home(listed), device, shown, 50.0) is reason
