"""Which hardware port does what: the owner's words ("1", "last", "rest", a MAC address, a name) become ports.

Values in, values out; ``inventory.py`` reads what is there. This module must never touch the kernel.

A position counts all physical Ethernet ports in the order of the PCI bus, from 1. Once resolved, the WAN's port is called
as ``wan.interface`` says (where the WAN is untagged) and every other one ``portN``, N being its position.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from gateway.config import Config

MAC = re.compile(r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$")
POSITION = re.compile(r"^[1-9][0-9]{0,2}$")
LAST, REST = "last", "rest"
TAG_MOST = 4094  # IEEE 802.1Q section 9.6


class PortError(ValueError):
    """A port cannot be found, or two uses of one exclude each other. Names the setting, what is there and the remedy."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem


@dataclass(frozen=True)
class Port:
    """A physical Ethernet port as it is found. ``path`` is its place in the device tree, below /sys/devices."""

    name: str
    mac: str  # its permanent one, lower case with colons
    path: str
    carrier: bool = False


@dataclass(frozen=True)
class Assignment:
    """Who uses which port, by the names that the ports have after renaming; empty where the settings leave it as it is."""

    names: Mapping[str, str] = field(default_factory=dict)  # name after renaming by MAC address, in order of position
    wan: str = ""
    lan: tuple[str, ...] = ()
    trunk: str = ""
    access: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()  # (name now, name then), only where they differ
