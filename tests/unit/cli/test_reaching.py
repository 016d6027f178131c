"""The doctor's look at who at home reaches devices, by registry, leases and what nft lists."""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.box.doctor import Severity
from gateway.cli.checks import Box
from gateway.cli.reaching import reached
from gateway.network import nftprogram
from gateway.registry import Device, Kind, RegistryFile
from tests.unit.ledger.peers import settings

PHONE, STRANGER = "02:00:5e:00:00:01", "02:00:5e:00:00:02"


@pytest.mark.parametrize(("host", "severity"), [(PHONE, Severity.OK), (STRANGER, Severity.WRONG)])
def test_a_device_whose_lease_is_over_keeps_what_the_owner_opened(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, host: str, severity: Severity
) -> None:
    """Its IPv6 address stays its own for days, and so does the opening to it; another machine's opening is still told."""
    config = settings(tmp_path)
    config.paths.registry.parent.mkdir(parents=True, exist_ok=True)
    with RegistryFile(config.paths.registry).change() as change:
        change.admit(Device("plug", "Plug", Kind.LOCAL, "02:00:00:00:00:01"))
        change.open_to_lan("plug", PHONE, allow=True)
    address = str(ip_address("fd4d:7564:726d:2::21"))
    listed: Callable[[str], Any] = lambda table: [{"set": {"name": "hosts6", "elem": [{"concat": [host, address]}]}}]  # noqa: E731
    monkeypatch.setattr(nftprogram, "listed", listed)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (finding,) = reached(cast(Box, SimpleNamespace(config=config)))
    assert finding.severity is severity, finding.says
