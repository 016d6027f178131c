"""`mudroom box …`: the appliance's settings, ports and files."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateway.box import firststart, store
from gateway.box import ports as box_ports
from gateway.box import setup as box_setup
from gateway.box.inventory import physical_ports
from gateway.box.ports import Assignment, Port
from gateway.box.rendered import File, Reload, Renderer
from gateway.box.renderers import RENDERERS
from gateway.box.setup import Outcome
from gateway.box.store import Places
from gateway.cli.clock import clock
from gateway.cli.output import Json, aside, document, plain, show
from gateway.cli.state import State
from gateway.config import Config
from gateway.registry import RegistryError, RegistryFile

app = typer.Typer(help="Set the appliance up from its settings.", no_args_is_help=True)
app.command()(clock)

LINKS = (Reload.UNITS, Reload.HOST_NAME, Reload.NETWORKD_SELF, Reload.NETWORKD)
INTERFACE_SECONDS = 10.0
DMZ_DNSMASQ = "/run/mudroom/box/dmz-dnsmasq.conf"


@app.command()
def ports(
    context: typer.Context,
    as_json: Json = False,
    anew: Annotated[bool, typer.Option("--anew", help="Forget the positions; the next apply counts anew")] = False,
) -> None:
    """Show the hardware ports: position, name, hardware address, link, and what each is used for."""
    state: State = context.obj
    if anew:
        Places().ports.unlink(missing_ok=True)
    found = store.with_memory(Places(), _ports())
    try:
        rows = box_ports.rows(state.config, found)
    except box_ports.PortError as error:
        rows = box_ports.rows(Config(), found)
        typer.echo(f"mudroom: {plain(error)}", err=True)
    show(("position", "name", "mac", "link", "use"), rows, as_json, empty="This box has no Ethernet port.")


@app.command()
def setup() -> None:
    """Early at boot: put the settings into force, name the ports, write the files of everything that makes the router."""
    places, found = Places(), _ports()
    with store.alone(places):
        outcome = box_setup.setup(places, found, _renderers(), _rename)
    with contextlib.suppress(OSError):  # a disk that cannot be written: doctor and console say so
        firststart.make(places.state)
    _tell(outcome)
    if outcome.decision.config is not None:
        _admitted(outcome.decision.config)
        _host_name(outcome.decision.config)
        # the boot's list of units was made before setup knew how many doors there are
        for number in range(2, outcome.decision.config.door.workers):
            _systemctl("start", "--no-block", f"mudroom-door@{number}.service")


@app.command()
def apply(
    check: Annotated[
        bool, typer.Option("--check", help="Only show what would change; exit code 3 where there is something")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put changed settings into force on a running box; only what changed is reloaded. Safe to repeat."""
    with aside(as_json):  # each step says what it does
        outcome, code = _applied(check)
    if as_json:
        notices = [{"severity": str(n.severity), "words": n.words, "remedy": n.remedy} for n in outcome.notices]
        facts = {"checked_only": check, "changes": list(outcome.words), "restarts": list(outcome.restarts), "notices": notices}
        document({"what": "apply", **facts})
    if code:
        raise typer.Exit(code)


def _applied(check: bool) -> tuple[Outcome, int]:
    """What was done, or would be, and the exit code."""
    places, found = Places(), _ports()
    renderers = _renderers()
    decision = box_setup.decide(places, found, store.own_ula(places, make=not check))
    if check:
        outcome = box_setup.preview(places, decision, renderers)
        _tell(outcome, would=True)
        return outcome, 1 if outcome.notices else 3 if outcome.changes else 0
    with store.alone(places):
        outcome = box_setup.carry_out(places, decision, renderers, _rename)
        store.write_notices(places, outcome.notices)
        _tell(outcome)
        if outcome.decision.config is not None:
            _live(outcome, outcome.decision.config)
    return outcome, 1 if outcome.notices else 0


def _live(outcome: Outcome, config: Config) -> None:
    """Carry what was written into the running box: links first, then the DMZ and the firewall, then who stands on them."""
    from gateway.network.links import remove

    for line in remove(outcome.remade):
        typer.echo(plain(line))
    _admitted(config)
    _reload(outcome, config, LINKS)
    if outcome.remade:
        _run(["networkctl", "reconfigure", *outcome.decision.assignment.names])
    _await(config.lan.interface)
    _network(config)  # always: an earlier call may have been cut short
    _reload(outcome, config, [reload for reload in Reload if reload not in LINKS])
    for unit in outcome.restarts:
        _systemctl("try-restart", unit)


def _await(interface: str) -> None:
    """networkd makes the LAN's bridge a moment after it was told; what goes on without it says so itself."""
    deadline = time.monotonic() + INTERFACE_SECONDS
    while not Path("/sys/class/net", interface).exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def _ports() -> list[Port]:
    from gateway.network.links import other_names

    return physical_ports(other_names())


def _rename(pairs: Sequence[tuple[str, str]]) -> Sequence[str]:
    from gateway.network.links import rename

    return rename(pairs)


def _renderers() -> list[Renderer]:
    """Those of the box, and the DMZ's leases, which are the network room's."""
    from gateway.network.dhcp import render

    def leases(config: Config, _: Assignment) -> list[File]:
        return [File(DMZ_DNSMASQ, render(config), reload=Reload.DHCP)]

    return [*RENDERERS, leases]


def _admitted(config: Config) -> None:
    """The hardware addresses that the DMZ's leases know; an unreadable registry admits nobody."""
    from gateway.network.dhcp import write_hosts

    try:
        devices = RegistryFile(config.paths.registry).current().registry.devices
    except (RegistryError, OSError) as error:
        typer.echo(plain(f"mudroom: {error}"), err=True)
        devices = ()
    write_hosts(config, (device.mac for device in devices))


def _tell(outcome: Outcome, would: bool = False) -> None:
    for line in outcome.words:
        typer.echo(plain(line))
    if not outcome.words and outcome.decision.config is not None:
        typer.echo("Nothing to change.")
    if would and outcome.restarts:
        typer.echo(f"would be restarted: {', '.join(outcome.restarts)}")
    for notice in outcome.notices:
        typer.echo(plain(f"{notice.severity}: {notice.words}{f' To do: {notice.remedy}.' if notice.remedy else ''}"), err=True)


def _network(config: Config) -> None:
    import gateway.network.apply as edge

    for step in edge.apply(config):
        typer.echo(plain(f"network: {step}"))


def _host_name(config: Config) -> None:
    """Give the running kernel the box's name; where that is not allowed, /etc/hostname holds it for the next boot."""
    if socket.gethostname() != config.box.name:
        with contextlib.suppress(OSError):
            socket.sethostname(config.box.name)


def _reload(outcome: Outcome, config: Config, among: Sequence[Reload]) -> None:
    """Tell everybody who must hear of a changed file, in their order."""
    for reload in among:
        if reload not in outcome.reloads:
            continue
        match reload:
            case Reload.NOTHING:
                pass
            case Reload.UNITS:
                _systemctl("daemon-reload")
            case Reload.HOST_NAME:
                _host_name(config)
            case Reload.NETWORKD:
                _run(["networkctl", "reload"])
            case Reload.SSH:
                _systemctl("try-reload-or-restart", reload)
            case Reload.DOORS:
                _systemctl("daemon-reload")
                _doors(config.door.workers)
            case _:
                _systemctl("try-restart", reload)


def _doors(workers: int) -> None:
    """As many doors as the settings say: surplus ones stop, missing ones start."""
    for number in range(64):
        unit = f"mudroom-door@{number}.service"
        if number < workers:
            _systemctl("start", "--no-block", unit)
        elif number < 2 or _is_active(unit):
            _systemctl("stop", "--no-block", unit)


def _is_active(unit: str) -> bool:
    return _run(["systemctl", "is-active", "--quiet", unit], quiet=True) == 0


def _systemctl(*words: str) -> None:
    _run(["systemctl", *words])


def _run(command: list[str], quiet: bool = False) -> int:
    """Run a tool of systemd and say so; what fails is said, and the next one is told all the same."""
    program = shutil.which(command[0], path="/usr/bin:/bin")
    if program is None:
        typer.echo(f"mudroom: there is no program {command[0]}; is this the appliance?", err=True)
        return 127
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)  # noqa: S603
    if quiet:
        return done.returncode
    if done.returncode:
        problem = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[0]
        typer.echo(plain(f"mudroom: {' '.join(command)}: {problem}; see `journalctl -b`"), err=True)
    else:
        typer.echo(f"done: {' '.join(command)}")
    return done.returncode
