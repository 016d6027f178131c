"""The owner's own systems hear of a newcomer: over the LAN, once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import service
from tests.home.client import GATEWAY_ENVIRONMENT, Done, Here, eventually, mudroom, run_in
from tests.home.lab import layout
from tests.home.lab.home import MUDROOM

PORT = 8123
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        sys.stdout.write(self.rfile.read(int(self.headers["content-length"])).decode() + "\\n")
        sys.stdout.flush()
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
print("up", flush=True)
server.serve_forever()
"""


@contextmanager
def listening() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A system of the owner's, on the laptop; what it hears are the lines of its output."""
    address = run_in(layout.LAPTOP, "ip", "-4", "-o", "address", "show", "scope", "global").out.split()[3].split("/")[0]
    line = ["ip", "netns", "exec", layout.LAPTOP, sys.executable, "-c", SERVER, address, str(PORT)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as system:
        assert system.stdout is not None
        try:
            assert system.stdout.readline() == "up\n"
            yield f"http://{address}:{PORT}/notices", system
        finally:
            system.kill()


@pytest.fixture
def stranger(here: Here) -> str:
    """One that was seen in the DMZ."""
    mac: str = here.device(4)["mac"]
    run_in(here.namespace(4), "curl", "-sk", "-m", "2", "https://198.51.100.1/")
    eventually(lambda: [row for row in here.drops() if row["device"] == mac], "the stranger was seen")
    return mac


def test_a_newcomer_is_told_to_a_system_in_the_house(here: Here, stranger: str) -> None:
    with listening() as (url, system):
        assert system.stdout is not None
        told = json.loads(mudroom("notices", "--new", "--url", url, "--json"))
        assert stranger in {row["device"] for row in told}
        heard = [json.loads(system.stdout.readline()) for _ in told]
        assert [row["key"] for row in heard] == [row["key"] for row in told]
        assert json.loads(mudroom("notices", "--new", "--url", url, "--json")) == []


# --- by the timer ---------------------------------------------------------------------------------------------------

PROGRAM = """#!/bin/sh
cat >>{folder}/heard; echo >>{folder}/heard; id -u >{folder}/who
cat {ledger} >{folder}/record 2>/dev/null
exit 0
"""
REACH = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def reached(target, port):
    with socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET) as s:
        s.settimeout(2)
        return s.connect_ex((target, int(port))) == 0
targets = sys.argv[1::2]
with ThreadPoolExecutor(len(targets)) as pool:
    for target, yes in zip(targets, pool.map(reached, targets, sys.argv[2::2])):
        print(target, yes)
"""


def as_teller(*words: str, **environment: str) -> Done:
    """A command as mudroom-telling, in the gateway's network, as the unit runs it."""
    user = str(service.TELLING_UID)
    line = ["ip", "netns", "exec", layout.GATEWAY, "setpriv", "--reuid", user, "--regid", user, "--clear-groups", *words]
    done = subprocess.run(line, capture_output=True, text=True, env={**GATEWAY_ENVIRONMENT, **environment}, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def by_timer(settings: Path) -> Done:
    """What one tick of mudroom-notices.timer runs."""
    environment = {**GATEWAY_ENVIRONMENT, "MUDROOM_CONFIG": str(settings)}
    line = ["ip", "netns", "exec", layout.GATEWAY, MUDROOM, "serve", "notices"]
    subprocess.run(line, env=environment, check=True)
    return as_teller(MUDROOM, "serve", "telling", MUDROOM_CONFIG=str(settings))


@pytest.fixture
def wide() -> Iterator[Path]:
    """A folder that mudroom-telling may read and write; afterwards nothing was told."""
    folder = layout.RUN / "gateway" / "told-by-timer"
    folder.mkdir()
    os.chown(folder, service.TELLING_UID, service.TELLING_UID)
    yield folder
    shutil.rmtree(folder)
    (layout.STATE / "state" / "telling" / "told.json").unlink(missing_ok=True)


def test_the_timer_tells_a_program_and_a_system_by_the_settings_once(here: Here, stranger: str, wide: Path) -> None:
    program = wide / "tell"
    program.write_text(PROGRAM.format(folder=wide, ledger=here.facts["gateway"]["ledger"]))
    program.chmod(0o755)
    settings = wide / "mudroom.toml"
    with listening() as (url, system):
        assert system.stdout is not None
        settings.write_text(f'{layout.SETTINGS}\n[notices]\nprogram = "{program}"\nurl = "{url}"\n')
        done = by_timer(settings)
        assert done.code == 0, done.err
        heard = [json.loads(line) for line in (wide / "heard").read_text().splitlines() if line]
        assert stranger in {row["device"] for row in heard}
        assert [json.loads(system.stdout.readline())["key"] for _ in heard] == [row["key"] for row in heard]
        assert (wide / "who").read_text().strip() == str(service.TELLING_UID)
        assert (wide / "record").read_text() == "", "the program reads no record"
        assert by_timer(settings).out == "", "nothing is told twice"
    # the system is gone: what is new waits, and is told once it is back
    (layout.STATE / "state" / "telling" / "told.json").unlink()
    settings.write_text(f'{layout.SETTINGS}\n[notices]\nurl = "{url}"\n')
    failed = by_timer(settings)
    assert failed.code == 1 and "told again next time" in failed.err
    with listening() as (url, system):
        assert by_timer(settings).code == 0


def test_without_settings_nothing_is_told(here: Here, stranger: str, wide: Path) -> None:
    settings = wide / "mudroom.toml"
    settings.write_text(layout.SETTINGS)
    done = by_timer(settings)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert not (layout.STATE / "state" / "telling" / "told.json").exists()


def test_who_tells_reaches_the_lan_and_nobody_else(here: Here) -> None:
    """nftables, by its user: not the internet, not a device, not the gateway itself, and no name server."""
    facts = here.facts
    with listening() as (url, _):
        laptop = url.split("/")[2].split(":")[0]
        places = [
            (laptop, PORT),
            (facts["internet"]["v4"], 443),
            (facts["internet"]["v6"], 443),
            (facts["internet"]["resolver"]["v4"], 53),
        ]
        places += [(here.device(1)["v4"], 80), (layout.DMZ4, 443), (layout.LAN4.partition("/")[0], 443), ("127.0.0.1", 53)]
        words = [word for target, port in places for word in (target, str(port))]
        done = as_teller("python3", "-c", REACH, *words)
    reached = dict(line.split() for line in done.out.splitlines())
    assert len(reached) == len(places), done.err
    assert [target for target, yes in reached.items() if yes == "True"] == [laptop]
