"""The MUD URLs that devices showed by DHCP (RFC 8520 section 10), as dnsmasq's script wrote them down.

A device chose every character of one: it must be shown to the owner before anybody asks for it, and nothing here asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.config import Config
from gateway.leases import start_of
from gateway.registry import Device, Home

MUD_URL_MOST = 255  # bytes: a DHCPv4 option's length is one byte (RFC 2132 section 2; RFC 8520 section 10)


@dataclass(frozen=True)
class Address:
    """Where a device's manifest would be looked for. ``announced``: by the device; else by the manifest that is approved."""

    url: str
    announced: bool


def mud_folder(config: Config) -> Path:
    """Where the MUD URLs that devices showed are kept: one file for each hardware address, named like it."""
    return config.paths.leases.parent / "mud"


def mud_urls(config: Config) -> dict[str, str]:
    """The MUD URLs that devices showed, by hardware address. Nobody has fetched them; a device may have lied."""
    folder = mud_folder(config)
    if not folder.is_dir():
        return {}
    found = {}
    for entry in sorted(folder.iterdir()):
        if len(entry.name) == 17 and (url := _written(entry)):
            found[entry.name.lower()] = url
    return found


def address(config: Config, home: Home, device: Device) -> Address | None:
    """Where to look for ``device``'s manifest: what its approved one says, else what the device showed; None: nobody says."""
    approved = home.manifests.get(device.manifest)
    if approved is not None:
        return Address(approved.mud_url, announced=False)
    shown = _written(mud_folder(config) / device.mac)
    return Address(shown, announced=True) if shown else None


def _written(file: Path) -> str:
    url = start_of(file, MUD_URL_MOST + 1).decode("ascii", errors="replace").strip()
    return url if url.startswith("https://") and url.isprintable() else ""
