"""When Debian's security updates are installed, and whether. What may move at all is the updates role's (static).

apt reads /etc/apt/apt.conf.d only; the role puts a link there to the file below /run.
"""

from __future__ import annotations

from gateway.box.ports import Assignment
from gateway.box.rendered import File, Reload
from gateway.config import Config

APT = "/run/mudroom/box/apt-updates.conf"
UPGRADE = "/run/systemd/system/apt-daily-upgrade.timer.d/50-mudroom.conf"
LISTS = "/run/systemd/system/apt-daily.timer.d/50-mudroom.conf"


def render(config: Config, assignment: Assignment) -> list[File]:
    """apt's switch and both timers: the lists are fetched within the hour before ``updates.at``."""
    hour, minute = (int(part) for part in config.updates.at.split(":"))
    return [
        File(APT, _apt(config.updates.automatic), reload=Reload.NOTHING),
        File(LISTS, _timer((hour - 1) % 24, minute, "50min"), reload=Reload.UNITS),
        File(UPGRADE, _timer(hour, minute, "1h"), reload=Reload.UPDATES),
    ]


def _apt(automatic: bool) -> str:
    switch = "1" if automatic else "0"
    return "".join(
        [
            "// Written by `mudroom box setup`; changes belong in mudroom.toml.\n",
            f'APT::Periodic::Enable "{switch}";\n',
            f'APT::Periodic::Update-Package-Lists "{switch}";\n',
            f'APT::Periodic::Unattended-Upgrade "{switch}";\n',
            'APT::Periodic::AutocleanInterval "7";\n',
        ]
    )


def _timer(hour: int, minute: int, spread: str) -> str:
    return f"[Timer]\nOnCalendar=\nOnCalendar=*-*-* {hour:02}:{minute:02}\nRandomizedDelaySec={spread}\n"
