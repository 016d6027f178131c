"""The plug is pulled in the middle of traffic, ten times; what was answered is on the disk, and the box starts again from it.

A cut is SIGKILL of QEMU: what the guest had in memory is gone, and so is what QEMU had not yet written of new clusters. What
the guest had handed over and not flushed may survive in the host's page cache, so a lying disk is not shown here.
"""

from __future__ import annotations

import random
import time

import pytest

from tests.home.client import eventually
from tests.vm.lab import layout, scene, torn, watch
from tests.vm.lab.machine import Machine
from tests.vm.lab.scene import Scene
from tests.vm.lab.traffic import Traffic, arrived, serves, shut

CUTS = 10


@pytest.mark.parametrize("cut", range(CUTS))
def test_what_was_answered_is_on_the_disk(vm: Scene, cut: int) -> None:
    vm.restore()
    delay = random.uniform(0.05, 4.0)
    before = len(vm.world.received("acme"))
    with shut(vm.house, delivery=0) as traffic:
        eventually(lambda: traffic.accepted, "messages cross", timeout=60)
        time.sleep(delay)  # the moment is the test's variable
        vm.machine.cut()
        answered = dict(traffic.accepted)
    vm.guest.forget()
    found = torn.look(vm.disk, layout.RUN / "torn")
    told = f"cut {cut} after {delay:.2f} s: {len(answered)} answered, {found.chain.records} records, e2fsck: {found.repaired}"
    print(told)
    assert found.chain.broken is None, f"{told}: {found.chain.why}"
    assert set(answered) <= found.numbers, told
    assert arrived(vm.house, before) <= found.numbers, f"{told}: sent and not recorded"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_it_starts_again_closed_then_serving(vm: Scene, firmware: str) -> None:
    """Cut in the middle of traffic, then a whole start from that disk. Under BIOS once: the same disk boots by both."""
    vm.restore()
    with Traffic(vm.house) as before:
        eventually(lambda: before.accepted, "messages cross", timeout=60)
        time.sleep(random.uniform(0.05, 2.0))
        vm.machine.cut()
    vm.guest.forget()
    if firmware == "uefi":
        seen = _start(vm, vm.machine, before)
    else:
        with Machine(vm.disk, layout.RUN / "bios", vm.world.nics, firmware="bios") as machine:
            seen = _start(vm, machine, before)
            vm.guest.run("test", "!", "-e", "/sys/firmware/efi")
            vm.guest.run("systemctl", "poweroff", check=False)
            machine.wait_off(120)
    print(f"vm: {firmware} after a power cut, from kernel start: {seen.times}, from power-on: {seen.seconds}")


def _start(vm: Scene, machine: Machine, before: Traffic) -> scene.Boot:
    seen = scene.boot(vm.world, machine, vm.guest)
    assert seen.knocks > 200
    assert watch.leaks(seen.wan, vm.world) == []
    assert watch.from_devices(seen.lan) == []
    with shut(vm.house):
        serves(vm.house, 120)
    eventually(lambda: set(before.accepted) <= arrived(vm.house), "what was answered before the cut has arrived", timeout=90)
    assert vm.guest.run("mudroom", "ledger", "verify").code == 0
    assert vm.guest.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").out == ""
    return seen
