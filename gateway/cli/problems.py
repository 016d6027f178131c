"""What could not be done, for programs: with `--json`, the last line of standard error is one problem object (RFC 9457).

It stands in place of the sentence that people get, for every command. This must never be loaded for the gateway's own processes,
nor say more than that sentence says.
"""

from __future__ import annotations

import sys

import typer

from gateway.cli.output import document
from gateway.decisions import DecisionError
from gateway.ipc.ask import NoAnswer
from gateway.network.errors import NetworkError
from gateway.noting import NotRecorded
from gateway.policy.rule import RuleError
from gateway.registry import RegistryError
from gateway.standard.manifest import ManifestError

FAILED, INTERRUPTED = 1, 130
# (whose error, its kind for programs, its title); the first that fits
KINDS: tuple[tuple[type[Exception], str, str], ...] = (
    (NotRecorded, "not-recorded", "Not done, for it could not be put on record"),
    (NoAnswer, "no-answer", "A part of the gateway did not do it"),
    (RegistryError, "registry", "The registry does not allow it"),
    (DecisionError, "decision", "This cannot be decided"),
    (ManifestError, "manifest", "The manifest does not conform"),
    (RuleError, "rule", "The rules cannot be used"),
    (NetworkError, "network", "The network cannot be so"),
    (OSError, "system", "The system did not do it"),
)


def run(app: typer.Typer) -> int:
    """The exit code of the call that the process was started with. Raises what the command raises, but for wrong words."""
    try:
        code = app(standalone_mode=False)  # else it would print its own words for people
    except typer.Abort:
        print(file=sys.stderr)  # the question's own line ends here
        return say("aborted", "Not answered, so not done", "a question was asked, and the answer was not yes, or none", FAILED)
    except Exception as error:
        code = getattr(error, "exit_code", None)  # of the parser: no such option, no such command, a word is missing
        if not isinstance(code, int):
            raise
        told = getattr(error, "format_message", None)
        return say("usage", "The words of the call are wrong", str(told() if told else error), code)
    if code == INTERRUPTED:
        return say("aborted", "Interrupted", "it was ended from outside (control-C) before it was done", INTERRUPTED)
    return code if isinstance(code, int) else 0


def known(error: Exception) -> int:
    """An error whose message says all that a person needs."""
    for whose, kind, title in KINDS:
        if isinstance(error, whose):
            return say(kind, title, str(error), FAILED)
    name = type(error).__name__
    kind, title = {
        "ConfigError": ("settings", "The settings cannot be used"),
        "SignatureError": ("signature", "The signature is not good"),
    }.get(name, ("failed", "It could not be done"))
    return say(kind, title, str(error), FAILED)


def say(kind: str, title: str, detail: str, code: int) -> int:
    """Print it; the exit code. ``kind`` is for programs and stays the same, ``detail`` is for people."""
    document({"type": "about:blank", "title": title, "detail": detail, "kind": kind, "exit": code}, to=sys.stderr)
    return code
