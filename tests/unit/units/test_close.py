"""The closing script, run for real in a network namespace of its own: what it leaves, and that a second run changes nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.unit.units.reading import FILES

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes a network namespace")
CLOSE = str(FILES / "closed" / "close")


@pytest.fixture
def inside() -> Iterator[list[str]]:
    """The beginning of a command that runs in a fresh network namespace."""
    name = f"units-t-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield ["ip", "netns", "exec", name]
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def out(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_it_closes_and_may_be_repeated(inside: list[str]) -> None:
    out(*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    for _ in range(2):
        out(*inside, CLOSE)
        for family in ("-4", "-6"):
            rules = out(*inside, "ip", family, "rule").splitlines()
            assert len([line for line in rules if "iif dmz0" in line and line.endswith("blackhole")]) == 1
        table = out(*inside, "nft", "list", "table", "inet", "mudroom")
        for hook in ("input", "forward", "output"):
            assert f"type filter hook {hook} priority filter; policy drop;" in table
        assert "accept" not in table.split("chain forward")[1].split("}")[0]
        assert out(*inside, "sysctl", "-n", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding").split() == ["0", "0"]


def test_it_says_when_it_could_not(inside: list[str]) -> None:
    """Without the power over networks nothing can be closed; then the unit fails, and networkd, which requires it, stays down."""
    words = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", CLOSE]
    done = subprocess.run([*inside, *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert "could not be closed" in done.stderr
