"""Whether a decision lets devices do more than before. Pure: two registries in, yes or no out.

What takes away must be possible while nothing can be recorded; what gives must not. So this must never say "no" of a change
that it does not understand: a part of a device that is not named here gives, whenever it changes.
"""

from __future__ import annotations

import msgspec

from gateway.allowance import allowance
from gateway.config import Leaks
from gateway.policy.rule import Action, Rule
from gateway.registry import Device, Kind, Registry

# What each kind may, the least first; a device that was forgotten is a stranger, who may what an unknown one may.
RANKS = (Kind.QUARANTINED, Kind.UNKNOWN, Kind.LOCAL, Kind.STANDARD)


def gives(before: Registry, after: Registry, leaks: Leaks) -> bool:
    """Whether some device may do, send or hide more after than before."""
    old = {device.id: device for device in before.devices}
    new = {device.id: device for device in after.devices}
    return any(_more(old.get(id), new.get(id), leaks) for id in old | new)


def adds(there: tuple[Rule, ...], rule: Rule) -> bool:
    """Whether ``rule``, put before those that are there, may let something leave that they hold back.

    A denial and a withheld field hold back whatever else would decide. Not so where the rule takes another's name, and so its
    place, or where one behind it shuts devices out: the first that matches decides, and a denial shuts nobody out.
    """
    if not rule.always or any(other.name == rule.name for other in there):
        return True
    if rule.do is Action.DENY:
        return any(other.do is Action.QUARANTINE for other in there)
    return rule.do is not Action.WITHHOLD


def _more(old: Device | None, new: Device | None, leaks: Leaks) -> bool:
    if new is None:
        return old is not None and RANKS.index(old.kind) < RANKS.index(Kind.UNKNOWN)
    if old is None:
        old = Device(new.id, new.name, Kind.UNKNOWN, new.mac)
    if RANKS.index(new.kind) > RANKS.index(old.kind):
        return True
    if {one for one in new.certificates if not one.revoked} - set(old.certificates):
        return True
    was, now = (allowance(leaks, device, 1) for device in (old, new))
    if now.budget > was.budget or (was.paced and not now.paced) or _slot(new, leaks) < _slot(old, leaks):
        return True
    # what gives nothing by itself, and what was judged above; all the rest is as it was, or it gives
    same = {name: getattr(old, name) for name in ("kind", "name", "certificates", "bits_per_day", "slot_seconds", "waiting")}
    same |= {name: getattr(old, name) for name in ("manifest", "firmware", "claim") if not getattr(new, name)}
    if not set(new.lan) - set(old.lan):  # machines at home that are shut out
        same["lan"] = old.lan
    return msgspec.structs.replace(new, **same) != old


def _slot(device: Device, leaks: Leaks) -> float:
    return device.slot_seconds if device.slot_seconds is not None else leaks.slot_seconds
