"""The image in a virtual machine, beside a plain Debian in the same one: start, memory at rest, forwarding.

QEMU without KVM (TCG), by the harness of tests/vm/lab. Seconds and packets a second say nothing of a real machine; ratios
between guests, and between rulesets of one guest, do. Needs root and the forge. Leaves nothing behind but the plain
guest's disk in the cache.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.processes import cpu_seconds
from tests.home.client import run_in
from tests.home.lab.wires import run as call
from tests.vm.lab import disk, layout
from tests.vm.lab.guest import Guest, new_key
from tests.vm.lab.machine import Machine
from tests.vm.lab.scene import BOOT, settings, wait_ready
from tests.vm.lab.world import World

Tell = Callable[[str], None]
FOLDER = Path("/tmp/mudroom-vm-bench")
KEY = layout.CACHE / "bench-key"
STOCK = layout.CACHE / "bench-stock.img"
QUIET_SECONDS, LOOKS = 120.0, 5
BOX, PLAIN_GUEST = "mudroom", "plain Debian"
FIRST, SECOND = "first", "second"
FULL, SLOW, PLAIN = "mudroom", "mudroom, flowtable off", "plain forwarding"
MODES = (FULL, SLOW, PLAIN)
SMALL, LARGE, WIRE = "UDP, 64 bytes", "TCP, frames up to 64 KiB", "TCP, frames of 1,500 bytes"
KINDS = (SMALL, LARGE, WIRE)

# Every process of the guest by its unit: kilobytes (proc_pid_smaps(5): Pss counts a shared page to those who share it).
MEMORY = """
import json, os
from collections import Counter
from pathlib import Path
units, maps = {}, {''}
for process in Path("/proc").iterdir():
    if not process.name.isdigit():
        continue
    try:
        text = (process / "smaps_rollup").read_text()
        group = (process / "cgroup").read_text().strip().partition("::")[2].split("/")
    except OSError:
        continue
    named = [part for part in group if part.endswith((".service", ".scope"))] or [group[-1] or "kernel"]
    rows = dict(line.split(":", 1) for line in text.splitlines()[1:])
    here = units.setdefault("init" if process.name == "1" else named[-1], Counter())
    for name in ("Pss", "Pss_Anon", "Rss"):
        here[name] += int(rows[name].split()[0])
    here["processes"] += 1
    for place in (process / "fdinfo").iterdir():
        try:
            told = dict(line.split(":", 1) for line in place.read_text().splitlines())
        except (OSError, ValueError):
            continue
        if told.get("map_id", "").strip() not in maps:
            maps.add(told["map_id"].strip())
            here["eBPF"] += int(told["memlock"]) // 1024
info = {k: int(v.split()[0]) for k, v in (line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())}
print(json.dumps({"units": units, "info": info}))
"""


@dataclass(frozen=True)
class Start:
    """Seconds from the kernel's start, by the guest's clock."""

    userspace: float
    times: dict[str, float]


@dataclass(frozen=True)
class Rest:
    """Memory at rest. ``units``: kB by unit; ``info``: /proc/meminfo in kB; ``used``: MiB used by `free -m`, a few times."""

    units: dict[str, dict[str, int]]
    info: dict[str, int]
    used: list[int]


@dataclass(frozen=True)
class Stream:
    """One stream through the router: packets or bytes a second at the receiver, and QEMU's CPU seconds for each of them."""

    rate: float
    cost: float


@dataclass
class Result:
    """What was measured, by guest or by (mode, kind)."""

    starts: dict[tuple[str, str], Start] = field(default_factory=dict)
    rests: dict[str, Rest] = field(default_factory=dict)
    streams: dict[tuple[str, str], list[Stream]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@contextlib.contextmanager
def world() -> Iterator[World]:
    """The world of the tests, in a folder of the bench."""
    with World(FOLDER) as made:
        yield made


def stock(tell: Tell) -> Path:
    """A plain Debian disk that lets our key in; made once."""
    layout.CACHE.mkdir(parents=True, exist_ok=True)
    new_key(KEY)
    if not STOCK.exists():
        tell("making the plain Debian disk")
        words = ["python3", "-m", "image.stock", "--out", str(STOCK), "--key", f"{KEY}.pub"]
        subprocess.run(words, check=True, cwd=layout.CHECKOUT)
    return STOCK


@contextlib.contextmanager
def box(made: World, image: Path) -> Iterator[tuple[Machine, Guest]]:
    """The image on a fresh disk, off."""
    base = disk.unpacked(image)
    own = disk.overlay(base, FOLDER / "box.qcow2")
    disk.put_settings(own, base, {"mudroom.toml": settings(new_key(KEY))}, FOLDER)
    guest = Guest(layout.LAPTOP, layout.GATEWAY4, KEY, FOLDER / "ssh")
    made.start_dhcp(layout.LAPTOP)
    with Machine(own, FOLDER / "box", made.nics) as machine:
        try:
            yield machine, guest
        finally:
            guest.forget()


@contextlib.contextmanager
def plain(made: World, base: Path) -> Iterator[tuple[Machine, Guest]]:
    """The plain Debian on a fresh disk, off. It has a lease from the ISP, as any machine there."""
    own = disk.overlay(base, FOLDER / "plain.qcow2")
    guest = Guest(layout.INTERNET, layout.WAN4, KEY, FOLDER / "ssh")
    with Machine(own, FOLDER / "plain", made.nics) as machine:
        try:
            yield machine, guest
        finally:
            guest.forget()


def stamps(guest: Guest, units: dict[str, str]) -> Start:
    """When units became active, and when the initramfs handed over."""
    found = guest.run("systemctl", "show", "-p", "UserspaceTimestampMonotonic").out
    times = {}
    for name, unit in units.items():
        text = guest.properties(unit, "ActiveEnterTimestampMonotonic").get("ActiveEnterTimestampMonotonic") or "0"
        times[name] = int(text) / 1e6
    return Start(int(found.partition("=")[2] or 0) / 1e6, times)


def start_box(made: World, machine: Machine, guest: Guest) -> Start:
    """Power on, wait for mudroom.target."""
    made.drain()
    machine.on()
    made.replug(layout.LAPTOP)
    wait_ready(made, guest, {}, time.monotonic())
    return stamps(guest, {"protected": "mudroom-closed.service", "ready": "mudroom.target"})


def start_plain(made: World, machine: Machine, guest: Guest) -> Start:
    """Power on, wait for multi-user.target."""
    made.drain()
    machine.on()
    guest.wait(BOOT)
    guest.wait_unit("multi-user.target", timeout=BOOT)
    return stamps(guest, {"network": "systemd-networkd.service", "ready": "multi-user.target"})


def rest(guest: Guest, tell: Tell) -> Rest:
    """Two minutes without a word from us, then the memory."""
    tell(f"quiet for {QUIET_SECONDS:.0f} s")
    time.sleep(QUIET_SECONDS)  # the quiet is what is asked for
    told = guest.run("sh", "-c", f"for n in $(seq {LOOKS}); do free -m; sleep 5; done", timeout=120).out
    used = [int(line.split()[2]) for line in told.splitlines() if line.startswith("Mem:")]
    found: dict[str, Any] = json.loads(guest.run("python3", "-", input=MEMORY, timeout=120).out)
    tell(f"MiB used: {used}")
    return Rest(found["units"], found["info"], used)


def measure_box(result: Result, made: World, image: Path, rounds: int, again: bool, tell: Tell) -> None:
    """The box: first start, memory at rest, forwarding; ``again``: a second start."""
    with box(made, image) as (machine, guest):
        result.starts[BOX, FIRST] = start_box(made, machine, guest)
        tell(f"{BOX}: {result.starts[BOX, FIRST]}")
        result.rests[BOX] = rest(guest, tell)
        if rounds:
            forwarding(result, made, machine, guest, rounds, tell)
        if again:
            guest.forget()
            machine.powerdown(180)
            result.starts[BOX, SECOND] = start_box(made, machine, guest)


def measure_plain(result: Result, made: World, again: bool, tell: Tell) -> None:
    """The plain Debian: first start, memory at rest; ``again``: a second start."""
    with plain(made, stock(tell)) as (machine, guest):
        result.starts[PLAIN_GUEST, FIRST] = start_plain(made, machine, guest)
        tell(f"{PLAIN_GUEST}: {result.starts[PLAIN_GUEST, FIRST]}")
        result.rests[PLAIN_GUEST] = rest(guest, tell)
        if again:
            guest.forget()
            machine.powerdown(180)
            result.starts[PLAIN_GUEST, SECOND] = start_plain(made, machine, guest)


# --- forwarding ---


def rulesets(guest: Guest) -> dict[str, str]:
    """The three rulesets: the box's own, the same without its flowtable, and none."""
    full = guest.run("nft", "-s", "list", "ruleset").out
    slow = re.sub(r"^\s*flowtable [^{]*\{.*?\n\t\}\n", "", full, flags=re.M | re.S)
    slow = re.sub(r"^.*\bflow add @.*\n", "", slow, flags=re.M)
    return {FULL: full, SLOW: slow, PLAIN: ""}


def ethtool(namespace: str, state: str) -> None:
    """Large frames from this namespace, or frames as on the wire."""
    call("ip", "netns", "exec", namespace, "ethtool", "-K", layout.PORT, "tso", state, "gso", state)


def stream(machine: Machine, kind: str, port: int, seconds: float, rate: float) -> Stream:
    """One stream from the laptop to a host of the internet."""
    assert machine.pid is not None
    for namespace in (layout.LAPTOP, layout.INTERNET):
        ethtool(namespace, "off" if kind == WIRE else "on")
    words = ["python3", "-m", "tests.bench.stream"]
    to = ["udp" if kind == SMALL else "tcp", layout.MIRROR4, str(port)]
    receiver = subprocess.Popen(
        ["ip", "netns", "exec", layout.INTERNET, "setpriv", "--pdeathsig", "KILL", "--", *words, "receive", *to],
        stdout=subprocess.PIPE,
        text=True,
    )
    with receiver:
        assert receiver.stdout is not None
        receiver.stdout.readline()
        before = cpu_seconds([machine.pid])
        more = ["--seconds", str(seconds), "--rate", str(rate)]
        sent = run_in(layout.LAPTOP, *words, "send", *to, *more, timeout=seconds + 60)
        line = receiver.stdout.readline()
        spent = cpu_seconds([machine.pid]) - before
    if sent.code or not line:
        raise RuntimeError(f"{kind}: {sent.err}")
    got = json.loads(line)
    if not got["count"] or not got["seconds"]:
        raise RuntimeError(f"{kind}: nothing arrived; sent {sent.out}")
    return Stream(got["count"] / got["seconds"], spent / got["count"])


def forwarding(result: Result, made: World, machine: Machine, guest: Guest, rounds: int, tell: Tell) -> None:
    """The modes take turns, in another order each round; ratios are made within a round."""
    texts = rulesets(guest)
    for number, text in enumerate(texts.values()):
        guest.put(f"/run/bench-{number}.nft", f"flush ruleset\n{text}")
    lan = made.lease(layout.LAPTOP)["ip"].rsplit(".", 1)[0] + ".0/24"
    call("ip", "-n", layout.INTERNET, "route", "replace", lan, "via", layout.WAN4)  # plain forwarding does not translate
    # our ssh connection goes on while connection tracking comes and goes, and then knows neither its start nor its window
    liberal = [f"net.netfilter.nf_conntrack_tcp_{name}=1" for name in ("loose", "be_liberal")]
    guest.run("sysctl", "-q", "-w", *liberal)
    loaded = guest.run("nft", "list", "flowtables").out
    modules = guest.run("sh", "-c", "lsmod | grep -E 'flow' || true").out
    result.notes.append(f"flowtables: {' '.join(loaded.split())}; modules: {'; '.join(modules.splitlines())}")
    ports = itertools.count(20_000)

    def turn(kind: str, seconds: float, rate: float) -> Stream:
        return stream(machine, kind, next(ports), seconds, rate)

    def become(mode: str) -> None:
        guest.run("nft", "-f", f"/run/bench-{list(texts).index(mode)}.nft")

    become(PLAIN)
    rate = 2.5 * max(turn(SMALL, 1.5, 100_000).rate for _ in range(3))
    tell(f"datagrams at {rate:.0f} a second")
    for number in range(rounds):
        shift = number % len(MODES)
        for kind, mode in itertools.product(KINDS, MODES[shift:] + MODES[:shift]):
            become(mode)
            try:
                found = turn(kind, 2.0, rate)
            except RuntimeError as error:
                raise RuntimeError(f"{mode}: {error}") from error
            result.streams.setdefault((mode, kind), []).append(found)
            if mode == FULL and not number:
                carried = guest.run("sh", "-c", "grep -c OFFLOAD /proc/net/nf_conntrack || true", check=False).out.strip()
                result.notes.append(f"{kind}: connections that the flowtable carried: {carried}")
        tell(f"round {number + 1}: " + ", ".join(f"{m} {result.streams[m, SMALL][-1].rate:.0f}/s" for m in MODES))
    result.notes.append(f"load of this machine at the end: {os.getloadavg()[0]:.1f}")
