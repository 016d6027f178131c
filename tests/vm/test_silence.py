"""What the box says to the internet when nobody asks it for anything.

Shown: the whole first start, and every timer that would fire in the first hour or day, fired by hand: all frames on the WAN
port are the router's own ARP, ND and MLD, DHCP, questions to the provider's name server for names that its owner's settings
hold, NTP to the time servers in them, and HTTP to Debian's mirrors; once the owner has approved a manifest with messages to the
device, a question for its inbox to that vendor each minute. Not shown: an hour of true time. What a process would do
by a clock of its own, without a timer of systemd's, is covered only as far as nobody but chrony, networkd, resolved and our
own services runs (`test_nobody_else_is_running`).
"""

from __future__ import annotations

import re

import pytest

from tests.home.sockets import Capture
from tests.vm.lab import layout, watch
from tests.vm.lab.scene import Boot, Scene

NAMES = re.compile(r"query\[(\w+)\] (\S+) from")
MEANT = re.compile(
    r"^((\d\.)?debian\.pool\.ntp\.org|(deb|security|ftp)\.debian\.org|_https?\._tcp\.(deb|security)\.debian\.org"
    r"|(api|telemetry|[a-z]+)\.acme\.example)$"
)
TALKERS = {"chronyd", "systemd-network", "systemd-networkd", "systemd-resolve", "systemd-resolved", "dnsmasq", "sshd", "python"}


def _meant(questions: str) -> list[str]:
    return [name for _, name in NAMES.findall(questions) if not MEANT.match(name.lower())]


def test_the_first_start_is_silent(first: Boot, scene: Scene) -> None:
    kinds = watch.sorted_kinds(first.wan, scene.world)
    print(f"\nvm: on the WAN during the first start: {dict(kinds)}")
    assert set(kinds) <= watch.UPKEEP, kinds
    assert _meant(first.questions) == []


@pytest.mark.timeout(900)
def test_every_timer_fired_is_silent(vm: Scene) -> None:
    listed = vm.guest.run("systemctl", "list-timers", "--all", "--plain", "--no-legend", "--output=json").out
    services = sorted(set(re.findall(r'"activates":"([^"]+)"', listed)))
    assert "apt-daily.service" in services, listed
    before, messages = len(vm.world.questions()), vm.world.messages()
    with Capture(layout.INTERNET) as wan:
        for service in services:
            vm.guest.run("systemctl", "start", service, check=False, timeout=300)
        vm.guest.run("chronyc", "burst", "2/4", check=False)
    kinds = watch.sorted_kinds(wan.frames, vm.world)
    print(f"\nvm: timers {', '.join(services)}; on the WAN: {dict(kinds)}")
    assert set(kinds) <= watch.SERVICE, kinds
    assert vm.world.messages() == messages, "vendors of approved devices are asked for what they have, and hear nothing else"
    assert _meant(vm.world.questions()[before:]) == []
    assert {visit["host"] for visit in vm.world.visits() if visit["peer"] != layout.MIRROR4} <= {
        "deb.debian.org", "security.debian.org", layout.MIRROR_NAME, layout.MIRROR4, f"[{layout.MIRROR6}]",
    }  # fmt: skip


def test_nobody_else_is_running(vm: Scene) -> None:
    """Only these programs hold network sockets."""
    held = vm.guest.run("ss", "-Htuanp").out
    found = set(re.findall(r'users:\(\("([^"]+)"', held))
    assert {name for name in found if not name.startswith(tuple(TALKERS))} == set(), held


def test_idle_for_a_while_it_says_next_to_nothing(vm: Scene) -> None:
    """Half a minute of true time without any wish of the owner's: upkeep, and questions for approved devices' inboxes."""
    messages = vm.world.messages()
    with Capture(layout.INTERNET) as wan:
        vm.guest.run("sleep", "30")
    assert set(watch.sorted_kinds(wan.frames, vm.world)) <= watch.SERVICE - {"mirror"}
    assert vm.world.messages() == messages
