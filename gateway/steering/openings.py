"""Tells the firewall which LAN host may open connections to which device's address. It must never open more than it was told.

A revocation ends what is open: the firewall judges every packet of the LAN's, not only a connection's first, and the kernel's
table of devices says since when flows count (``layout.Device.since``), so that no reply comes back either.
"""

from __future__ import annotations

import logging
import time

from gateway.config import Config
from gateway.steering.bindings import Opening
from gateway.steering.hooks import Hooks

AGAIN_SECONDS = 60.0  # what somebody else took out of the firewall comes back
RETRY_SECONDS = 1.0
log = logging.getLogger(__name__)


class Openings:
    """The firewall's openings from LAN to DMZ."""

    def __init__(self, config: Config, hooks: Hooks) -> None:
        self._lan, self._dmz = config.lan.interface, config.dmz.interface
        self._main_switch = config.lan.may_open_to_dmz
        self._hooks = hooks
        self._written: frozenset[Opening] | None = None  # None: what another process left there is not ours to trust
        self._at = float("-inf")
        self._failed = ""

    def write(self, wanted: frozenset[Opening]) -> bool:
        """Bring the firewall to this; False where that failed: then the caller lets nobody in. Blocks for some milliseconds."""
        if not self._main_switch:
            wanted = frozenset()
        waited = time.monotonic() - self._at
        if self._failed and waited < RETRY_SECONDS:
            return False
        if wanted == self._written and (not wanted or waited < AGAIN_SECONDS):
            return True
        self._at = time.monotonic()
        try:
            self._hooks.open_to_lan(self._lan, self._dmz, wanted)
        except (OSError, ValueError) as error:
            if str(error) != self._failed:
                log.error("the LAN reaches no device: %s", error)
            self._failed, self._written = str(error) or "it failed", None
            return False
        self._failed, self._written = "", wanted
        return True
