"""How often notices are told, and whether at all: a drop-in of the timer, and the file without which its service does nothing."""

from __future__ import annotations

from gateway.box.ports import Assignment
from gateway.box.rendered import File, Reload
from gateway.config import Config

TIMER = "/run/systemd/system/mudroom-notices.timer.d/50-mudroom.conf"
WANTED = "/run/mudroom/box/telling"  # ConditionPathExists= of mudroom-notices.service


def render(config: Config, assignment: Assignment) -> list[File]:
    """None where the settings tell nobody."""
    wanted = config.notices
    if not wanted.program and not wanted.url:
        return []
    every = f"[Timer]\nOnUnitInactiveSec=\nOnUnitInactiveSec={wanted.every_minutes}min\n"
    # its text changes with every setting: then the timer begins anew, and what is new is told soon
    text = f"{wanted.program}\n{wanted.url}\n{wanted.every_minutes}\n"
    return [File(TIMER, every, reload=Reload.UNITS), File(WANTED, text, reload=Reload.NOTICES)]
