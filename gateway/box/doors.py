"""How many doors run: marks for the numbers that the settings do not have (door.workers), which the units look at.

``mudroom-door@N.service`` has ``ConditionPathExists=!/run/mudroom/box/surplus-doors/N``; mudroom.target wants doors 0 and 1,
further ones are wanted by links made here. Values in, files out.
"""

from __future__ import annotations

from gateway.box.ports import Assignment
from gateway.box.rendered import File, Link, Reload, Rendered
from gateway.config import Config

ALWAYS_WANTED = 2  # mudroom.target's own Wants=
SURPLUS = "/run/mudroom/box/surplus-doors"
WANTS = "/run/systemd/system/mudroom.target.wants"
UNIT = "/etc/systemd/system/mudroom-door@.service"


def render(config: Config, _: Assignment) -> list[Rendered]:
    """A mark for each door that is wanted by the target and not by the settings, a link for each one the other way round."""
    workers = config.door.workers
    marks = [File(f"{SURPLUS}/{number}", "", reload=Reload.DOORS) for number in range(workers, ALWAYS_WANTED)]
    links = [Link(f"{WANTS}/mudroom-door@{number}.service", UNIT, Reload.DOORS) for number in range(ALWAYS_WANTED, workers)]
    return [*marks, *links]
