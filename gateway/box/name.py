"""The box's host name, where systemd reads it at the next boot; setup and apply give it to the running kernel too."""

from __future__ import annotations

from gateway.box.ports import Assignment
from gateway.box.rendered import File, Reload
from gateway.config import Config

HOSTNAME = "/etc/hostname"


def render(config: Config, _: Assignment) -> list[File]:
    """hostname(5)."""
    return [File(HOSTNAME, config.box.name + "\n", reload=Reload.HOST_NAME)]
