"""What the settings become: files for the programs that make the box a router, and who must hear of a change.

A renderer is a pure function from the settings in force and the ports that were found to files; ``renderers.py`` lists
them all. This module must never touch a disk or the kernel; ``writing.py`` puts files in their place.

A renderer writes below /run wherever the program can read from there (nothing on disk changes at a boot); the owner's
settings are the source, the files are made anew at every boot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.box.ports import Assignment
from gateway.config import Config


class Reload(StrEnum):
    """Who must hear when a file changes on a live box, in the order in which it is told (see ``mudroom box apply``).

    At boot nobody is told: setup runs before all of them.
    """

    NOTHING = "nothing"  # it is read anew whenever it is needed
    UNITS = "systemd"  # `systemctl daemon-reload`, before any of the following
    HOST_NAME = "host name"  # the kernel's host name
    NETWORKD = "systemd-networkd"  # `networkctl reload`
    NETWORKD_SELF = "systemd-networkd.service"  # its own settings: a restart (links and addresses stay)
    CHRONY = "chrony.service"  # restart
    LAN = "mudroom-lan.service"  # restart
    DHCP = "mudroom-dhcp.service"  # restart
    SSH = "ssh.service"  # reload
    UPDATES = "apt-daily-upgrade.timer"  # restart, after UNITS
    NOTICES = "mudroom-notices.timer"  # restart, after UNITS
    DOORS = "mudroom.target"  # daemon-reload, then as many doors as the settings say


@dataclass(frozen=True)
class File:
    """A file with its whole text, owned by root. ``path`` is absolute; ``mode`` its permissions."""

    path: str
    text: str
    mode: int = 0o644
    reload: Reload = Reload.NOTHING


@dataclass(frozen=True)
class Link:
    """A symbolic link at ``path`` that leads to ``target``."""

    path: str
    target: str
    reload: Reload = Reload.NOTHING


Rendered = File | Link
Renderer = Callable[[Config, Assignment], Sequence[Rendered]]
