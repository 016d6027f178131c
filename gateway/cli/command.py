"""The whole `mudroom` command with its help: the one place that knows every room and joins them.

Exit codes: 0 done, 1 it could not be done (the message says why and what to do), 2 the words of the call are wrong,
3 a check found something (`check`, `doctor`, `network plan`, `status`, `ledger verify`, `manifest …`, `rules check`).
With `--json` the answer is the one line on standard output, and what could not be done is gateway/cli/problems.py's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway import __version__
from gateway.cli import (
    box,
    capturing,
    claims,
    conformance,
    console,
    deeds,
    devices,
    doctor,
    firmware,
    inbox,
    judging,
    lanaccess,
    leaks,
    manifests,
    networks,
    noticing,
    passwords,
    record,
    rules,
    serve,
    settings,
    status,
    strangers,
    tokens,
    traffic,
    vendors,
)
from gateway.cli.state import State

app = typer.Typer(
    name="mudroom",
    help="A router that opens, shows and decides every message of the smart devices behind it.\n\n"
    "For programs, commands take --json: the answer is one line of JSON on standard output; what could not be done is one "
    "problem object (RFC 9457), the last line of standard error. Exit codes: 0 done, 1 it could not be done, 2 the words of the "
    "call are wrong, 3 a check found something.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)
app.command("console")(console.console)
app.add_typer(devices.app, name="devices")
app.command("claim")(claims.claim)
app.add_typer(manifests.app, name="manifest")
app.add_typer(conformance.app, name="check")
app.add_typer(firmware.app, name="firmware")
app.command("messages")(traffic.messages)
app.command("capture")(capturing.capture)
app.add_typer(capturing.keys_app, name="keys")
app.command("drops")(traffic.drops)
app.command("deeds")(deeds.deeds)
app.command("inbox")(inbox.inbox)
app.command("leaks")(leaks.leaks)
app.command("notices")(noticing.command)
app.command("vendors")(vendors.vendors)
devices.app.command("lan")(lanaccess.lan)
devices.app.command("allow")(lanaccess.allow)
devices.app.command("deny")(lanaccess.deny)
devices.app.command("budget")(leaks.budget)
devices.app.command("pace")(leaks.pace)
devices.app.command("strangers")(strangers.strangers)
app.add_typer(record.app, name="ledger")
app.add_typer(rules.app, name="rules")
app.add_typer(judging.app, name="judge")
app.add_typer(networks.app, name="network")
app.add_typer(box.app, name="box")
app.add_typer(settings.app, name="config")
app.add_typer(passwords.app, name="password")
app.add_typer(tokens.app, name="tokens")
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
