"""What the owner decides goes on record first: the one question that the command and the steward ask the ledger for that.

Whoever calls this carries the deed out only when it returned.
"""

from __future__ import annotations

import os

from gateway.config import Config
from gateway.ipc.ask import NoAnswer, ask
from gateway.ipc.messages import Deed, DeedNoted
from gateway.reasons import Reason

SECONDS = 10.0


def on_record(config: Config, device: str, what: str, by: str, detail: str = "") -> int:
    """The record's number. Raises NoAnswer where the ledger did not take it: then nothing may be done."""
    noted = ask(config.paths.socket("ledger"), Deed(1, device, what, by, detail), DeedNoted, timeout=SECONDS)
    if noted.reason >= 0:
        raise NoAnswer(f"not done, for it could not be recorded: {Reason.from_code(noted.reason).words}")
    return noted.seq


def by_command(config: Config, device: str, what: str, detail: str = "") -> int:
    """The same, for who typed `mudroom`: root, or who became root (sudo says, and root could say anything)."""
    return on_record(config, device, what, commander(), detail)


def commander() -> str:
    """Who types, as it stands on record."""
    return f"command of {os.environ.get('SUDO_USER', 'root')[:64]}"
