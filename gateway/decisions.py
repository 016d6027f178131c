"""What the owner decides about devices: one function for each, which the command and the steward both call.

Each takes an open change of the registry, and raises RegistryError or DecisionError in words for the owner, leaving the
registry as it was. It must never decide by itself what the owner did not say.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network

from gateway.registry import Change, Device, Kind, RegistryError, Signer
from gateway.standard.manifest import Manifest

MOST_BITS = 2**53 - 1
LEAST_SLOT, MOST_SLOT = 0.1, 3600.0
MOST_NAME = 64


class DecisionError(ValueError):
    """What was said makes no sense. Says what to say instead."""


def admit(change: Change, device: str, mac: str, name: str = "", kind: Kind = Kind.LOCAL) -> None:
    """A device is known from now on."""
    name = name.strip() or device
    if len(name) > MOST_NAME or not name.isprintable():
        raise DecisionError(f"a name has at most {MOST_NAME} printable characters")
    change.admit(Device(id=device, name=name, kind=kind, mac=mac.lower()))


def set_kind(change: Change, device: str, kind: str) -> None:
    """What a device may do."""
    if kind not in tuple(Kind):
        raise DecisionError(f"{kind}: say one of {', '.join(Kind)}")
    change.set_kind(device, Kind(kind))


def approve_waiting(
    change: Change, device: str, pool4: IPv4Network, pool6: IPv6Network, *, seen: str | None = None, now: int
) -> tuple[Manifest, Signer | None]:
    """The manifest that waits comes into force, and its signer is pinned. ``seen``: the key of the one that the owner saw.

    Whether the owner may take one that nobody signed, or another, is for the caller (``unsure``).
    """
    waiting = change.waiting(device)
    if seen is not None and seen != waiting.manifest:
        raise DecisionError(f"another manifest of {device} came meanwhile; look at that one before you decide")
    return change.approve_waiting(device, pool4, pool6, now=now), waiting.signer


def unsure(change: Change, device: str, *, unsigned: bool, new_signer: bool) -> None:
    """Whether the owner said all that it takes to approve what waits. Raises DecisionError."""
    signer = change.waiting(device).signer
    pinned = next((known.approval.signer for known in change.registry.devices if known.id == device), None)
    if signer is None and not unsigned:
        raise DecisionError("nobody signed this manifest; say that you trust it all the same, or ask the vendor for a signed one")
    if signer and pinned and signer.key != pinned.key and not new_signer:
        raise DecisionError(
            f"“{signer.subject}” signed it; so far it was “{pinned.subject}”. "
            "Ask the vendor on another way; if that is right, say so"
        )


def decline_waiting(change: Change, device: str, *, seen: str | None = None) -> None:
    """What waits is not wanted; what is approved stays in force."""
    if seen is not None and seen != change.waiting(device).manifest:
        raise DecisionError(f"another manifest of {device} came meanwhile; look at that one before you decide")
    change.refuse_waiting(device)


def budget(said: str) -> int | None:
    """How many bits a device may hide in a day; None: as the settings say."""
    if said == "default":
        return None
    if not (said.isascii() and said.isdigit() and len(said) < 17 and int(said) <= MOST_BITS):
        raise DecisionError(f'{said}: say a whole number of bits, or "default"')
    return int(said)


def pace(said: str) -> float | None:
    """A device's longest slot in seconds, 0: not paced; None: as the settings say."""
    if said == "default":
        return None
    if said == "off":
        return 0.0
    slot = float(said) if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", said) else -1.0
    if not LEAST_SLOT <= slot <= MOST_SLOT:
        raise DecisionError(f'{said}: say {LEAST_SLOT:g} to {MOST_SLOT:g} seconds, "off" or "default"')
    return slot


__all__ = [
    "DecisionError",
    "RegistryError",
    "admit",
    "approve_waiting",
    "budget",
    "decline_waiting",
    "pace",
    "set_kind",
    "unsure",
]
