"""The `mudroom` command: the one place that knows every room and joins them.

Exit codes: 0 done, 1 it could not be done (the message says why and what to do), 2 the words of the call are wrong,
3 a check found something (`network plan`, `status`, `ledger verify`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway import __version__
from gateway.cli import devices, networks, serve, settings, status, traffic
from gateway.cli.output import plain
from gateway.cli.state import State
from gateway.config import ConfigError
from gateway.network.errors import NetworkError
from gateway.registry import RegistryError
from gateway.standard.manifest import ManifestError

app = typer.Typer(
    name="mudroom",
    help="A router that opens, shows and decides every message of the smart devices behind it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("status")(status.status)
app.add_typer(devices.app, name="devices")
app.command("messages")(traffic.messages)
app.command("drops")(traffic.drops)
app.add_typer(traffic.ledger_app, name="ledger")
app.add_typer(networks.app, name="network")
app.add_typer(settings.app, name="config")
app.add_typer(serve.app, name="serve")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mudroom {__version__}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The settings' file [env: MUDROOM_CONFIG]")] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version")] = False,
) -> None:
    """Options that go before every command."""
    context.obj = State(config)


def main() -> None:
    """Entry point: errors that we know become one line on standard error and exit code 1."""
    try:
        app()
    except BrokenPipeError:
        sys.exit(141)  # as if SIGPIPE had ended us: the reader (head, less) has seen enough
    except (ConfigError, RegistryError, ManifestError, NetworkError, OSError) as error:
        # names of a vendor's or a device's choosing may stand in it
        print(f"mudroom: {plain(error)}", file=sys.stderr)
        sys.exit(1)
