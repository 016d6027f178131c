"""The `mudroom` command's entry. The gateway's own processes start through it too, and stay small: they never load the rest.

The command itself, with its exit codes, is gateway/cli/command.py. This module must never import that at its top.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point: errors that we know become one line on standard error and exit code 1."""
    from gateway.cli import screen, serving

    try:
        names = screen.call(sys.argv[1:])
        if names is not None:
            screen.main(sys.argv[1:], names)
            return
        wanted, path = screen.drawing(sys.argv[1:])
        if wanted:
            from gateway.cli import scene
            from gateway.cli.state import State

            scene.show(State(path))
            return
        start = serving.call(sys.argv[1:])
        if start is not None:
            start()
            return
        from gateway.cli.command import app

        if _asked_for_json():
            from gateway.cli import problems

            sys.exit(problems.run(app))
        app()
    except BrokenPipeError:
        sys.exit(141)  # as if SIGPIPE had ended us: the reader (head, less) has seen enough
    except Exception as error:
        if not _known(error):
            raise
        if _asked_for_json():
            from gateway.cli import problems

            sys.exit(problems.known(error))
        from gateway.plain import plain

        # names of a vendor's or a device's choosing may stand in it
        print(f"mudroom: {plain(error)}", file=sys.stderr)
        sys.exit(1)


def _asked_for_json() -> bool:
    """Whether the call wants JSON, its problem as well as its answer."""
    words = sys.argv[1:]
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def _known(error: Exception) -> bool:
    """Whether its message says all that a person needs."""
    from gateway.config import ConfigError
    from gateway.decisions import DecisionError
    from gateway.network.errors import NetworkError
    from gateway.policy.rule import RuleError
    from gateway.registry import RegistryError
    from gateway.standard.manifest import ManifestError

    if type(error).__name__ == "SignatureError":  # known by its name: its module is not loaded for every other error
        from gateway.standard.cms import SignatureError

        return isinstance(error, SignatureError)
    return isinstance(error, ConfigError | DecisionError | RegistryError | RuleError | ManifestError | NetworkError | OSError)
