"""Who at home may reach a device, for the pages: shown and decided by the functions that the command uses.

It must never answer anybody but the owner: the leases say who is at home.
"""

from __future__ import annotations

import logging
import time

from gateway import lanaccess
from gateway.box.lan_dnsmasq import leases as leases_of
from gateway.config import Config
from gateway.decisions import DecisionError
from gateway.ipc.lan import AskLan, DecideLan, Lan, LanDone, LanRow
from gateway.leases import Lease, parse, read
from gateway.registry import RegistryError, RegistryFile

log = logging.getLogger(__name__)


def leased(config: Config) -> list[Lease]:
    """The leases that machines at home hold."""
    return list(parse(read(leases_of(config)), time.time()))


def shown(config: Config, registry: RegistryFile, message: AskLan) -> Lan:
    """Raises RegistryError."""
    device = registry.current().by_id.get(message.device)
    if device is None:
        raise RegistryError(f"there is no device {message.device}")
    found = lanaccess.machines(device, leased(config))
    rows = tuple(LanRow(each.host, each.name, each.address, each.allowed) for each in found)
    return Lan(message.ref, rows, not config.lan.may_open_to_dmz)


def decide(config: Config, registry: RegistryFile, message: DecideLan, by: str) -> LanDone:
    """Checked, on record, then done. In a thread: it waits for the disk."""
    name = next((lease.name for lease in leased(config) if lease.mac == message.host), "")
    try:
        done = lanaccess.decide(config, registry, by, message.device, message.host, allow=message.allow, name=name)
    except (DecisionError, RegistryError, OSError) as error:  # NotRecorded is one
        log.warning("lan of %s was not done: %s", message.device, error)
        return LanDone(message.ref, str(error)[:512])
    log.info("lan of %s, %s %s, by %s", message.device, "allow" if message.allow else "deny", message.host, by)
    return LanDone(message.ref, "", done.unrecorded[:512], done.remark[:512])
