"""Services start without the rest of the command."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import serving
from gateway.web import resting


@pytest.mark.parametrize(
    "words",
    [
        ["serve", "ledger"],
        ["-c", "x.toml", "serve", "names"],
        ["--config=x.toml", "serve", "door", "--worker", "3"],
        ["--config", "x.toml", "serve", "door", "--worker=63"],
    ],
)
def test_a_services_call_is_known_by_sight(words: list[str]) -> None:
    assert serving.call(words) is not None


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["serve"],
        ["serve", "--help"],
        ["serve", "kitchen"],
        ["serve", "door", "--worker", "64"],
        ["serve", "door", "--worker", "-1"],
        ["serve", "ledger", "--worker", "1"],
        ["status"],
        ["--version"],
    ],
)
def test_everything_else_is_the_whole_commands(words: list[str]) -> None:
    assert serving.call(words) is None


HEAVY = {"typer", "rich", "pyroute2", "bcc", "mitmproxy", "sqlite3", "cryptography", "argon2", "jinja2"}
NEEDS = {
    "names": set(),
    "enrolment": {"cryptography"},
    "ledger": {"sqlite3"},
    "courier": {"cryptography"},  # it signs
    "web": {"jinja2"},
    "steward": {"sqlite3"},
    "signer": {"cryptography"},
    "door": {"mitmproxy", "cryptography"},
}


@pytest.mark.parametrize("service", NEEDS)
def test_a_service_loads_only_what_it_needs(service: str, tmp_path: Path) -> None:
    (tmp_path / "mudroom.toml").write_text(f'[paths]\nstate = "{tmp_path}"\nrun = "{tmp_path}"\n')
    program = (
        "import os, socket, sys\n"
        "left = socket.create_server(('127.0.0.1', 0)).detach()\n"  # as by the pages at rest: somebody knocked
        "os.environ['MUDROOM_WEB_SOCKETS'] = str(left)\n"
        "from gateway import service\n"
        "service.run = lambda name, work: print(*sys.modules)\n"
        f"sys.argv = ['mudroom', '-c', '{tmp_path}/mudroom.toml', 'serve', '{service}']\n"
        "from gateway.cli import main\n"
        "main()\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as sock:  # the pages load what they need once somebody knocked
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, pass_fds=(sock.fileno(),),
            env=os.environ | {resting.SOCKETS: str(sock.fileno())},
        )  # fmt: skip
    assert set(done.stdout.split()) & HEAVY == NEEDS[service]


def test_a_wrong_call_is_explained_by_the_whole_command() -> None:
    done = subprocess.run([sys.executable, "-m", "gateway.cli", "serve", "kitchen"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "kitchen" in done.stderr
