"""The flashed image starts under UEFI: set up without a screen, closed from power-on, ready, whole."""

from __future__ import annotations

import json
import re

import pytest

from tests.vm.lab import layout, watch
from tests.vm.lab.scene import Boot, Scene
from tests.vm.lab.traffic import MARKER

pytestmark = pytest.mark.timeout(1200)  # the first test waits for the first start


def test_nothing_comes_out_between_power_on_and_ready(first: Boot, scene: Scene) -> None:
    assert first.knocks > 200, "devices knocked all the time"
    assert watch.leaks(first.wan, scene.world, watch.UPKEEP) == []
    assert watch.from_devices(first.lan) == []
    assert [str(frame) for frame in (*first.wan, *first.lan) if MARKER in frame.data] == []
    assert scene.world.received("tracker") == []


def test_it_started_under_uefi(vm: Scene) -> None:
    vm.guest.run("test", "-d", "/sys/firmware/efi")


def test_no_unit_failed(vm: Scene) -> None:
    assert vm.guest.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").out == ""
    for unit in ("mudroom-closed.service", "mudroom.target"):
        assert vm.guest.run("systemctl", "is-active", unit).out == "active\n"


def test_every_part_says_that_it_works(vm: Scene) -> None:
    answer = vm.guest.run("mudroom", "status", "--json", check=False)
    assert [row for row in json.loads(answer.out) if not row["ready"]] == []
    assert answer.code == 0
    assert vm.guest.run("mudroom", "network", "plan", check=False).code == 0, "the kernel is as the settings want it"
    doctor = vm.guest.run("mudroom", "doctor", check=False)
    assert doctor.code == 0, doctor.out + doctor.err


def test_the_settings_of_the_boot_partition_are_in_force(vm: Scene) -> None:
    in_force = vm.guest.run("cat", "/var/lib/mudroom/settings.toml").out
    assert (layout.RUN / "key.pub").read_text().strip() in in_force
    assert vm.guest.run("ls", "-A", "/sys/class/net").out.split().count("wan0") == 1


def test_the_root_has_grown_to_the_disk(vm: Scene) -> None:
    size = int(vm.guest.run("df", "-B1", "--output=size", "/").out.split()[-1])
    assert size > 5 * 1024**3, f"of 6 GiB the root has {size}"


def test_the_console_says_where_the_box_is_and_how_to_begin(first: Boot, vm: Scene) -> None:
    screen = vm.machine.console.until(r"Mudroom is protecting this home[^!]*Log in: +ssh", 180)
    assert re.search(r"First-start code: [0-9A-HJKMNP-TV-Z]{5}(-[0-9A-HJKMNP-TV-Z]{5}){3}", screen)
    assert layout.GATEWAY4 in screen
    assert layout.WAN4 in screen
    assert "Devices:  2 admitted" in screen or "Devices:  0 admitted" in screen
    assert "login:" not in vm.machine.console.text, "the console is ours, no getty's"


def test_at_rest_it_uses_no_more_memory_than_asked(vm: Scene) -> None:
    """350 MiB of 1.5 GiB, by the least of a few looks: a drawing of the console may pass by."""
    assert "[never]" in vm.guest.run("cat", "/sys/kernel/mm/transparent_hugepage/enabled").out
    assert int(vm.guest.run("cat", "/proc/sys/vm/min_free_kbytes").out) == 8192
    told = vm.guest.script("for look in 1 2 3 4 5; do free -m; sleep 2; done").out
    used = [int(line.split()[2]) for line in told.splitlines() if line.startswith("Mem:")]
    parts = "; for unit in $(systemctl list-units 'mudroom-*.service' --state=running --plain --no-legend | cut -d' ' -f1)"
    each = vm.guest.script(f"{parts[2:]}; do echo $unit $(systemctl show --value -p MemoryCurrent $unit); done").out
    print(f"\nvm: MiB used: {used}; {each.split()}")
    assert len(used) == 5
    assert min(used) <= 350


def test_no_password_opens_it(vm: Scene) -> None:
    """No account has a password, and ssh takes keys only."""
    shadow = vm.guest.run("cut", "-d:", "-f1,2", "/etc/shadow").out.split()
    assert [line for line in shadow if line.split(":")[1][:1] not in ("!", "*")] == []
    offered = vm.world.run(
        layout.LAPTOP,
        *("ssh", "-F", "none", "-oPubkeyAuthentication=no", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null"),
        *("-oBatchMode=yes", f"root@{layout.GATEWAY4}", "true"),
    )
    assert offered.code == 255
    assert "Permission denied (publickey)" in offered.err


def test_it_was_closed_before_any_network_and_the_times_are_told(first: Boot, vm: Scene) -> None:
    stamps = {
        unit: int(vm.guest.properties(unit, "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"])
        for unit in ("mudroom-closed.service", "systemd-networkd.service", "mudroom.target")
    }
    assert 0 < stamps["mudroom-closed.service"] < stamps["systemd-networkd.service"] < stamps["mudroom.target"]
    print(f"\nvm: from kernel start: {first.times}; from power-on: {first.seconds}")


@pytest.mark.parametrize("unit", ["mudroom-closed", "mudroom-setup", "mudroom-network", "mudroom-steering", "mudroom-ledger"])
def test_the_journal_of_the_first_start_has_no_error(vm: Scene, unit: str) -> None:
    told = vm.guest.run("journalctl", "-q", "-b", "-p", "err", "--no-pager", "-o", "cat", "-u", f"{unit}.service").out
    assert told == ""
