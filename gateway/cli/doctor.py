"""`mudroom doctor`: what is wrong with the box, in words, and what to do about it. It reads, and changes nothing."""

from __future__ import annotations

import textwrap
from typing import Annotated, Any

import typer

from gateway.box.doctor import Finding, Severity, summary
from gateway.box.doctor import wrong as doctor_wrong
from gateway.cli import checks
from gateway.cli.output import Json, plain, show
from gateway.cli.state import State
from gateway.config import ConfigError

WIDTH = 100
MARKS = {Severity.WRONG: "WRONG ", Severity.NOTICE: "notice", Severity.OK: "ok    "}


def doctor(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Show what is fine, too")] = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong and what to do; exit code 3 where something is wrong."""
    state: State = context.obj
    findings = look(state)
    if as_json:
        show((), [_row(finding) for finding in findings], as_json)
    else:
        typer.echo("\n".join(lines(findings, everything)))
    if any(finding.severity is Severity.WRONG for finding in findings):
        raise typer.Exit(3)


def look(state: State) -> list[Finding]:
    """All findings; settings that cannot be read are the only one then, for every check needs them."""
    import cryptography.x509  # noqa: F401  # here, so that no check's time goes by with it

    import gateway.network.apply  # noqa: F401

    try:
        box = checks.Box(state.config)
    except ConfigError as error:
        return [doctor_wrong("settings", str(error), "mend the file, then `mudroom box apply`")]
    return checks.perform(box)


def lines(findings: list[Finding], everything: bool) -> list[str]:
    """For people: the worst first, then one line for all that is fine."""
    shown, others = summary(findings)
    printed = []
    for finding in shown:
        printed += _paragraph(finding)
    if everything:
        printed += [f"{MARKS[f.severity]} {f.part}: {plain(f.says)}" for f in findings if f.severity is Severity.OK]
    elif others:
        printed.append(
            f"{others} {'other checks are' if shown else 'checks, all'} fine." if others > 1 else "1 other check is fine."
        )
    return printed


def _paragraph(finding: Finding) -> list[str]:
    head = f"{MARKS[finding.severity]} {finding.part}: {plain(finding.says)}"
    return [*_wrapped(head, "", " " * 7), *(_wrapped(plain(finding.remedy), " " * 7 + "-> ", " " * 10) if finding.remedy else [])]


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )


def _row(finding: Finding) -> dict[str, Any]:
    return {"part": finding.part, "severity": finding.severity.value, "says": finding.says, "remedy": finding.remedy}
