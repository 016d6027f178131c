"""A decision about devices, from the owner's word to the registry's file: checked, then on record, then carried out.

The command and the steward both go this way. While nothing can be recorded, what lets devices do more is refused, and what
takes something from them is done all the same, loudly: a full disk must not keep a device out of quarantine. This must never
carry out what was not checked, nor say that something is on record that is not.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.config import Config
from gateway.giving import gives
from gateway.noting import NotRecorded, on_record
from gateway.registry import Change, RegistryFile

log = logging.getLogger(__name__)


@dataclass
class Decision:
    """What is being decided. ``then``: done with the change once it may be carried out, before it is written.

    ``changed``: afterwards, whether it was a deed at all. ``unrecorded``: why it was done without a record, in words; empty where
    it is on record.
    """

    change: Change
    device: str
    what: str
    detail: str = ""
    then: Callable[[Change], None] | None = None
    unrecorded: str = ""
    changed: bool = False

    @property
    def told(self) -> dict[str, bool | str]:
        """For programs, afterwards: whether it changed anything, whether it is on record, and why not."""
        return {"changed": self.changed, "recorded": self.changed and not self.unrecorded, "unrecorded": self.unrecorded}


@contextlib.contextmanager
def deciding(config: Config, registry: RegistryFile, by: str, device: str, what: str, *, detail: str = "") -> Iterator[Decision]:
    """The caller makes the change; it comes into force when the block ends. What changes nothing is no deed.

    Raises what the caller raises, RegistryError, and NotRecorded where it gives something and cannot be recorded.
    """
    with registry.change() as change:
        before = change.registry
        decision = Decision(change, device, what, detail)
        yield decision
        decision.changed = change.registry != before
        if decision.changed:
            giving = gives(before, change.registry, config.leaks)
            decision.unrecorded = noted(config, by, device, what, decision.detail, giving=giving)
        if decision.then is not None:
            decision.then(change)


def noted(config: Config, by: str, device: str, what: str, detail: str = "", *, giving: bool) -> str:
    """On record: empty. Not on record, and nobody is given anything: why, in words. Else raises NotRecorded."""
    try:
        on_record(config, device, what, by, detail)
    except NotRecorded as error:
        if giving:
            raise
        log.error("NOT ON RECORD: %s of %s by %s: %s", what, device or "the house", by, error.why)
        return error.why
    return ""
