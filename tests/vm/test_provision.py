"""playbooks/site.yml on a stock Debian 13: refused where it would cut us off, then a router, then nothing left to change.

Mitogen carries the calls (emulated guests take ten seconds for each otherwise); it changes how modules travel, not what they do.
The guest's packages come from an archive of our own on the internet's side, because that internet ends at its namespace.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from image import base, stock
from tests.home.client import eventually
from tests.vm.lab import disk, layout
from tests.vm.lab.guest import Guest, new_key
from tests.vm.lab.household import Household
from tests.vm.lab.machine import Machine
from tests.vm.lab.traffic import serves, shut
from tests.vm.lab.world import World

ARCHIVE = layout.CACHE / "archive"
ARCHIVE_URL = f"http://{layout.MIRROR4}:{layout.ARCHIVE_PORT}"
STRATEGY = "/usr/lib/python3/dist-packages/ansible_mitogen/plugins/strategy"
BOOT = 600.0
WHOLE = 2400.0  # seconds that a first provisioning may take in an emulated machine


@dataclass
class Stock:
    """A stock machine at the world's wires, and how to run the playbook on it."""

    world: World
    guest: Guest
    folder: Path

    def provision(self, *words: str, **settings: object) -> tuple[int, str]:
        """ansible-playbook's exit code and words. ``settings`` go into the inventory."""
        host = {
            "ansible_host": layout.WAN4,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.guest.key),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            "ansible_python_interpreter": "/usr/bin/python3",
            "base_mirror": ARCHIVE_URL,
            "base_security_mirror": "",
            "base_mirror_trusted": True,
            "mudroom_cache": "/var/cache/mudroom",
            **settings,
        }
        inventory = self.folder / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"stock": host}}}))
        environment = os.environ | {
            "ANSIBLE_CONFIG": str(layout.CHECKOUT / "playbooks" / "ansible.cfg"),
            "ANSIBLE_STRATEGY_PLUGINS": STRATEGY,
            "ANSIBLE_STRATEGY": "mitogen_linear",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOST_KEY_CHECKING": "false",  # a machine that was made a minute ago
        }
        command = ["ip", "netns", "exec", layout.INTERNET, "ansible-playbook", "playbooks/site.yml", "-i", str(inventory), *words]
        done = subprocess.run(
            command, cwd=layout.CHECKOUT, env=environment, capture_output=True, text=True, timeout=WHOLE, stdin=subprocess.DEVNULL
        )
        with (layout.RUN / "ansible.log").open("a") as log:
            log.write(done.stdout + done.stderr)
        return done.returncode, done.stdout + done.stderr


def _archive() -> None:
    """The .debs that a stock machine lacks, as an unsigned archive; kept in the cache, brought up to date by apt."""
    debs = ARCHIVE / "pool"
    (debs / "partial").mkdir(parents=True, exist_ok=True)
    status = base.cached(list(stock.PACKAGES)).path / "var/lib/dpkg/status"
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    options = [f"Dir::State::status={status}", f"Dir::Cache::archives={debs}", "Debug::NoLocking=1", "APT::Sandbox::User=root"]
    words = [word for option in options for word in ("-o", option)]
    install = ["apt-get", *words, "install", "-qq", "-y", "--download-only", "--no-install-recommends", *base.box_packages()]
    subprocess.run(install, check=True)
    index = ARCHIVE / "dists/trixie/main/binary-amd64"
    index.mkdir(parents=True, exist_ok=True)
    listed = subprocess.run(["apt-ftparchive", "packages", "pool"], cwd=ARCHIVE, check=True, capture_output=True).stdout
    (index / "Packages").write_bytes(listed)
    names = ["Codename=trixie", "Suite=stable", "Components=main", "Architectures=amd64"]
    words = [word for name in names for word in ("-o", f"APT::FTPArchive::Release::{name}")]
    release = ARCHIVE / "dists/trixie/Release"
    release.unlink(missing_ok=True)
    release.write_bytes(
        subprocess.run(["apt-ftparchive", *words, "release", "dists/trixie"], cwd=ARCHIVE, check=True, capture_output=True).stdout
    )


@pytest.fixture(scope="module")
def machine(alone: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    """Booted, reached over what will become its WAN port."""
    folder = tmp_path_factory.mktemp("provision")
    key = folder / "key"
    new_key(key)
    public = Path(f"{key}.pub")
    raw = folder / "stock.img"
    assert stock.main(["--out", str(raw), "--key", str(public)]) == 0
    _archive()
    serve = ("python3", "-m", "http.server", "--bind", layout.MIRROR4, "--directory", str(ARCHIVE), str(layout.ARCHIVE_PORT))
    server = subprocess.Popen(
        ("ip", "netns", "exec", layout.INTERNET, "setpriv", "--pdeathsig", "KILL", "--", *serve),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    guest = Guest(layout.INTERNET, layout.WAN4, key, folder / "ssh")
    try:
        with Machine(disk.overlay(raw, folder / "stock.qcow2"), folder / "machine", alone.nics) as made:
            alone.drain()
            made.on()
            guest.wait(BOOT)
            yield Stock(alone, guest, folder)
            guest.forget()
    finally:
        server.terminate()
        server.wait()


def _state(guest: Guest) -> str:
    """What a change would alter: files of /etc, packages, units that start."""
    return guest.script(
        "find /etc /opt -xdev -type f -newer /proc/1/cmdline | sort; dpkg-query -W | sha256sum; cat /etc/hostname"
    ).out


def test_it_refuses_to_cut_us_off_before_its_first_change(machine: Stock) -> None:
    before = _state(machine.guest)
    code, said = machine.provision()
    assert code != 0
    assert "Nothing was changed" in said and "ssh_from_wan" in said, said[-4000:]
    assert _state(machine.guest) == before


def test_it_says_what_it_would_do_on_a_fresh_machine(machine: Stock) -> None:
    before = _state(machine.guest)
    code, said = machine.provision("--check", mudroom_firewall={"ssh_from_wan": ["192.0.2.0/24"]})
    assert code == 0, said[-4000:]
    assert _state(machine.guest) == before


@pytest.mark.timeout(3600)
def test_a_stock_machine_becomes_a_router_and_stays_as_it_is(machine: Stock) -> None:
    settings: dict[str, object] = {
        "mudroom_firewall": {"ssh_from_wan": ["192.0.2.0/24"]},
        "mudroom_lan": {"address6": f"{layout.GATEWAY6}/64"},
        "mudroom_dmz": {"address6": f"{layout.DMZ6}/64", "pool6": "fd4d:7564:726d:7f::/64"},
        "mudroom_leaks": {"bits_per_day": layout.LEAK_BITS},
    }
    code, said = machine.provision(**settings)
    assert code == 0, said[-6000:]
    machine.guest.forget()
    machine.guest.wait_unit("mudroom.target", timeout=BOOT)
    code, said = machine.provision(**settings)
    assert code == 0, said[-6000:]
    assert re.search(r"stock\s+: ok=\d+\s+changed=0 ", said), said[-3000:]
    code, said = machine.provision("--check", **settings)
    assert code == 0 and re.search(r"stock\s+: ok=\d+\s+changed=0 ", said), said[-3000:]
    _outside(machine)


def _outside(machine: Stock) -> None:
    """What the flashed image shows, once more: the house is online, a conforming message crosses, the rest does not."""
    world = machine.world
    world.start_dhcp()
    lease = eventually(lambda: world.lease(layout.LAPTOP), "the laptop has a lease", timeout=BOOT)
    assert lease["router"] == layout.GATEWAY4
    words = ("curl", "-4", "-sS", "-m", "30", f"http://{layout.MIRROR_NAME}/")
    eventually(lambda: f"you are {layout.WAN4}" in world.run(layout.LAPTOP, *words).out, "the laptop is online", timeout=60)
    house = Household(world, machine.guest)
    house.admit()
    for device in world.devices:
        world.replug(layout.namespace(device.number))
    eventually(lambda: house.ready(1), "device 1 has its addresses and finds its vendor", timeout=120)
    machine.guest.hang_up()  # our own ssh would be on the wire that is watched
    with shut(house):
        serves(house, 120)
