"""The doctor's check that who at home reaches devices is whom the owner let in, and nobody else. It only reads."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from gateway.box import doctor
from gateway.box.doctor import Finding, absent

if TYPE_CHECKING:
    from gateway.cli.checks import Box


def reached(box: Box) -> list[Finding]:
    """The registry's word and the leases, held against the firewall. Raises RegistryError and NetworkError."""
    from gateway.leases import read
    from gateway.network import nftprogram, opened
    from gateway.registry import RegistryFile
    from gateway.steering.bindings import hosts, openings, parse_leases

    if os.geteuid():
        return [absent("devices' reach", "only root may look at the firewall")]
    config = box.config
    home = RegistryFile(config.paths.registry).current()
    may = config.lan.may_open_to_dmz
    let = {host for each in hosts(home).values() for host in each} if may else set()
    wanted = openings(home, parse_leases(read(config.paths.leases), time.time()), {}) if may else frozenset()
    parts = nftprogram.listed(opened.TABLE)
    there = None if parts is None else opened.pairs(parts)
    return [doctor.reached(let, {(host, str(address)) for host, address in wanted}, there)]
