"""What the console's screen shows, looked up; and the call that draws it once, `[-c FILE] console --once`.

The console's lasting process starts that call again and again, so it must never load the whole command with its help.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gateway import __version__
from gateway.box import firststart
from gateway.box.console import Scene, draw
from gateway.box.doctor import Finding, wrong
from gateway.cli import checks
from gateway.cli.state import State
from gateway.config import Config, ConfigError
from gateway.registry import RegistryError, RegistryFile


def show(state: State) -> None:
    """Print the screen's text."""
    sys.stdout.write(draw(scene(state)))


def scene(state: State) -> Scene:
    """What is to be shown; whatever cannot be found out is a finding in it."""
    try:
        config = state.config
    except ConfigError as error:
        return Scene(os.uname().nodename, __version__, findings=[wrong("network", f"settings: {error}", "`mudroom doctor`")])
    box = checks.Box(config)
    findings = checks.perform(box, checks.CHEAP)
    devices, trouble = _devices(config)
    return Scene(
        name=config.box.name,
        version=__version__,
        wan=checks.addresses4(config.wan.interface) + checks.addresses6(config.wan.interface),
        lan=checks.addresses4(config.lan.interface),
        domain=config.lan.domain,
        devices=devices,
        code=_code(config),
        may_ssh=bool(config.box.ssh_keys),
        findings=[*findings, *trouble],
        waits_for=_waits_for(box),
    )


def _devices(config: Config) -> tuple[int, list[Finding]]:
    try:
        return len(RegistryFile(config.paths.registry).current().registry.devices), []
    except RegistryError as error:
        return 0, [wrong("devices", str(error), "`mudroom doctor`")]


def _code(config: Config) -> str:
    try:
        return firststart.code(Path(config.paths.state)) or ""
    except OSError:
        return ""  # not root's call: it is for the console only


def _waits_for(box: checks.Box) -> list[str]:
    """Units on which the start still waits; none once mudroom.target was reached, or where there is no systemd."""
    if not box.systemd:
        return []
    try:
        if checks.unit_states(["mudroom.target"])[0].active == "active":
            return []
        names = [f"{name}.service" for name in checks.UNITS if name.startswith("mudroom-")]
        return [
            unit.name.removeprefix("mudroom-") for unit in checks.unit_states(names) if unit.active in ("activating", "inactive")
        ]
    except (OSError, IndexError):
        return []
