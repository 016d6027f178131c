"""The one guest that the tests share: booted once, its devices admitted, kept as the snapshot "ready"."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.home.client import eventually
from tests.home.sockets import Capture, Frame
from tests.vm.lab import disk, layout
from tests.vm.lab.guest import Guest, new_key
from tests.vm.lab.household import Household
from tests.vm.lab.knock import Knocking
from tests.vm.lab.machine import Machine
from tests.vm.lab.world import World

READY = "ready"
BOOT = 420.0  # seconds until a guest under emulation must be there, on a busy machine

SETTINGS = """\
# Written into the boot partition by the test, as an owner does it on any computer.
[box]
ssh_keys = ["{key}"]

[wan]
port = "1"

[lan]
ports = ["rest"]
address6 = "fd4d:7564:726d:1::1/64" # without these three the box makes up a prefix of its own

[dmz]
trunk = "last"
address6 = "fd4d:7564:726d:2::1/64"
pool6 = "fd4d:7564:726d:7f::/64"

[leaks]
bits_per_day = {bits}
"""


def settings(key: str) -> str:
    """mudroom.toml for a box with three ports; ``key``: the owner's public ssh key."""
    return SETTINGS.format(key=key, bits=layout.LEAK_BITS)


@dataclass(frozen=True)
class Boot:
    """What was seen from power-on to ready. ``seconds``: by this side's clock; ``times``: by the guest's, from kernel start."""

    wan: list[Frame]
    lan: list[Frame]
    knocks: int
    questions: str  # the ISP's name server's log
    seconds: dict[str, float] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)


@contextlib.contextmanager
def watched(world: World, trunk_mac: str = layout.TRUNK_MAC) -> Iterator[tuple[Capture, Capture, Knocking]]:
    """Both outer wires are recorded while the devices' VLAN knocks."""
    with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan, Knocking(world, trunk_mac) as knocking:
        yield wan, lan, knocking


def boot(world: World, machine: Machine, guest: Guest) -> Boot:
    """Power on and wait until mudroom.target is reached, with devices knocking all the time."""
    asked = len(world.questions())
    seconds: dict[str, float] = {}
    with watched(world, machine.nics[-1].mac) as (wan, lan, knocking):
        world.drain()
        machine.on()
        start = time.monotonic()
        wait_ready(world, guest, seconds, start)
    return Boot(wan.frames, lan.frames, knocking.count, world.questions()[asked:], seconds, guest.times())


def wait_ready(world: World, guest: Guest, seconds: dict[str, float], start: float) -> None:
    """Wait for the laptop's lease, ssh and mudroom.target; the second of each goes into ``seconds``."""
    eventually(lambda: world.lease(layout.LAPTOP), "the laptop has a lease", timeout=BOOT)
    seconds["lease"] = time.monotonic() - start
    guest.wait(BOOT)
    seconds["ssh"] = time.monotonic() - start
    guest.wait_unit("mudroom.target", timeout=BOOT)
    seconds["ready"] = time.monotonic() - start


class Scene:
    """World, machine, guest and household together."""

    def __init__(self, world: World, base: Path) -> None:
        self.world, self.base = world, base
        key = layout.RUN / "key"
        public = new_key(key)
        self.disk = disk.overlay(base, layout.RUN / "guest.qcow2")
        disk.put_settings(self.disk, base, {"mudroom.toml": settings(public)}, layout.RUN)
        self.machine = Machine(self.disk, layout.RUN / "machine", world.nics)
        self.guest = Guest(layout.LAPTOP, layout.GATEWAY4, key, layout.RUN / "ssh")
        self.house = Household(world, self.guest)
        world.on_clear.append(self.park)

    def first_start(self) -> Boot:
        """From the flashed disk to a home at work, kept as a snapshot."""
        self.world.start_dhcp()
        seen = boot(self.world, self.machine, self.guest)
        start = time.monotonic()
        self.house.admit()
        for device in self.world.devices:
            self.world.replug(layout.namespace(device.number))  # admitted after its first lease: it asks anew
        eventually(lambda: self.house.ready(1), "device 1 has its addresses and finds its vendor", timeout=90)
        seen.seconds["admitted"] = time.monotonic() - start
        self.guest.forget()
        self.machine.save(READY)
        return seen

    def restore(self) -> None:
        """Back to the home at work, whatever a test did."""
        self.park()
        self.world.drain()
        self.machine.restore(READY)

    def park(self) -> None:
        """Off, so that another machine has the cores for itself; `restore` brings it back."""
        self.guest.forget()
        self.machine.cut()

    def close(self) -> None:
        """The end."""
        self.guest.forget()
        self.machine.cut()
        self.machine.console.close()
