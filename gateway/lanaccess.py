"""Who at home may open connections to a device: found by what leases tell, allowed and taken back, on record first.

A machine at home is known by its hardware address, for addresses move and names are what a machine calls itself. Allowing gives
a device's service away, so it is refused while nothing can be recorded; taking back is done all the same, loudly. This must never
let in whom the owner did not name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from gateway.config import Config
from gateway.decisions import DecisionError
from gateway.deeds import deciding
from gateway.leases import Lease
from gateway.registry import ANYONE, MAC, MOST_LAN_HOSTS, Device, Kind, RegistryFile

MOST_SHOWN = 512  # machines at home


@dataclass(frozen=True)
class Machine:
    """A machine at home, or ANYONE. ``name``, ``address``: as its lease says; empty without one. ``allowed``: to a device."""

    host: str
    name: str
    address: str
    allowed: bool


@dataclass(frozen=True)
class Done:
    """``changed``: whether it was otherwise before; ``unrecorded``: why it is not on record though it was done.

    ``remark``: what else the owner should know, in words. Both are empty where there is nothing to say.
    """

    changed: bool
    unrecorded: str = ""
    remark: str = ""


def machines(device: Device, leases: Iterable[Lease]) -> list[Machine]:
    """Who may reach a device, and who could be let in: ANYONE first, then the machines that have a lease or were allowed."""
    held = {lease.mac: lease for lease in sorted(leases, key=lambda lease: lease.ends)}
    known = sorted(held.values(), key=lambda lease: (lease.mac not in device.lan, lease.name.lower() or "~", lease.mac))
    gone = [Machine(host, "", "", allowed=True) for host in device.lan if host not in held and host != ANYONE]
    there = [Machine(lease.mac, lease.name, str(lease.address), lease.mac in device.lan) for lease in known]
    return [Machine(ANYONE, "", "", ANYONE in device.lan), *(gone + there)[: MOST_SHOWN + MOST_LAN_HOSTS]]


def find(said: str, leases: Sequence[Lease]) -> str:
    """The hardware address of the machine that ``said`` names: by that address, its name, or an address that it has leased.

    Raises DecisionError where that is nobody, or not one machine.
    """
    word = said.strip().lower()
    if word == ANYONE:
        return ANYONE
    if re.fullmatch(MAC, mac := word.replace("-", ":")):
        return unicast(mac)
    try:
        word = address = str(ip_address(word))
    except ValueError:
        address = ""
    found = {lease.mac for lease in leases if word and word == (str(lease.address) if address else lease.name.lower())}
    if len(found) == 1:
        return found.pop()
    if found:
        raise DecisionError(f"{said}: that is not one machine: {', '.join(sorted(found))}; name one by its hardware address")
    raise DecisionError(f"{said}: no machine at home has leased that name or address; name its hardware address (02:00:5e:…)")


def unicast(mac: str) -> str:
    """``mac`` again, where one machine can have it. Raises DecisionError."""
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise DecisionError(f"{mac}: no machine has this hardware address; it means many, or none")
    return mac


def decide(config: Config, registry: RegistryFile, by: str, device: str, host: str, *, allow: bool, name: str = "") -> Done:
    """``host``, a hardware address or ANYONE, may open connections to ``device`` from now on, or may not any more.

    ``by``: who says so; ``name``: what the machine calls itself, for the record.
    Raises DecisionError, RegistryError, OSError, and NotRecorded where nobody could record that somebody is let in.
    """
    if allow and host != ANYONE:
        unicast(host)
    if allow and not config.lan.may_open_to_dmz:
        raise DecisionError("the settings let nobody at home reach a device: lan.may_open_to_dmz is false; change that first")
    detail = f"{'allow' if allow else 'deny'} {host}{f' ({name})' if name else ''}"
    with deciding(config, registry, by, device, "lan", detail=detail) as decision:
        changed = decision.change.open_to_lan(device, host, allow=allow)
        now = next(known for known in decision.change.registry.devices if known.id == device)
    return Done(changed, decision.unrecorded, remark(now, host, allow=allow))


def remark(device: Device, host: str, *, allow: bool) -> str:
    """What the owner may not expect of what he said; empty where there is nothing."""
    if allow and device.kind not in (Kind.LOCAL, Kind.STANDARD):
        return f"{device.id} is {device.kind}: nobody reaches it until you make it local or standard"
    if not allow and host != ANYONE and ANYONE in device.lan:
        return f"anyone at home may reach {device.id} all the same, until you deny anyone"
    return ""
