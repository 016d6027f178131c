"""The doctor's checks: one small function each, that looks at one part of the box and lets gateway/box/doctor.py judge.

A check that raises or takes too long is a finding of its own, never the end of the others. Checks only read; none may change
anything. ``CHEAP`` ones need no heavy import and no other program but systemctl: the console shows them.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_interface, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.box import clash, doctor, notices
from gateway.box.doctor import Finding, Unit, absent
from gateway.cli.reaching import reached
from gateway.config import Config, ConfigError, load

if TYPE_CHECKING:
    from gateway.ipc.messages import Status

SECONDS = 10.0  # for each check: a slow box takes its time to answer, and a check that hangs must not hold the others
AT_ONCE = 4  # the box has few cores
UNITS = (
    "mudroom-closed", "mudroom-setup", "mudroom-network", "mudroom-steering", "mudroom-signer", "mudroom-ledger",
    "mudroom-courier", "mudroom-names", "mudroom-enrolment", "mudroom-dhcp", "mudroom-lan", "mudroom-web",
    "systemd-networkd", "systemd-resolved", "chrony", "ssh",
)  # fmt: skip
HELD = ("linux-image-amd64", "linux-headers-amd64", "python3-bpfcc", "libbpfcc")  # roles/updates moves them together only
PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin"
NO_SYSTEMD = "this is no machine run by systemd (the virtual home is not)"
NET = Path("/sys/class/net")
MODULES = Path("/usr/lib/modules")
HEADERS = Path("/usr/src")
RESOLVERS = Path("/run/systemd/resolve/resolv.conf")
UPGRADE_STAMPS = (Path("/var/lib/apt/periodic/upgrade-stamp"), Path("/var/lib/apt/periodic/unattended-upgrades-stamp"))
NEWEST_RECORDS = 2000


class Box:
    """What several checks need, looked at once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._asked: dict[str, Status | str] = {}
        self._lock = threading.Lock()

    @cached_property
    def systemd(self) -> bool:
        return Path("/run/systemd/system").is_dir()

    def status(self, name: str) -> Status | str:
        """A service's own words, or why there are none."""
        from gateway.ipc.ask import NoAnswer, ask
        from gateway.ipc.messages import AskStatus, Status

        with self._lock:
            if name not in self._asked:
                try:
                    self._asked[name] = ask(self.config.paths.socket(name), AskStatus(), Status, timeout=SECONDS / 2)
                except NoAnswer as error:
                    gone = isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError)
                    self._asked[name] = "it is not running" if gone else str(error.__cause__ or error)
            return self._asked[name]


Check = Callable[[Box], "list[Finding]"]


def run(*line: str) -> subprocess.CompletedProcess[str] | None:
    """A program of the system; None where it is not installed. Raises subprocess.TimeoutExpired."""
    program = shutil.which(line[0], path=PROGRAMS)
    if program is None:
        return None
    environment = {"PATH": PROGRAMS, "LC_ALL": "C.UTF-8"}
    return subprocess.run(  # noqa: S603
        [program, *line[1:]],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=SECONDS - 0.5,
        env=environment,
    )


# --- cheap ones -----------------------------------------------------------------------------------------------------


def settings(box: Box) -> list[Finding]:
    return doctor.settings(notices.read_notices(notices.notices_file(box.config.paths)))


def carrier(port: str) -> bool | None:
    """Whether the link of ``port`` is up; None where there is no such interface."""
    if not (NET / port).exists():
        return None
    try:
        return (NET / port / "carrier").read_text().strip() == "1"
    except OSError:  # EINVAL: the interface is down
        return False


def lan_ports(config: Config) -> list[str]:
    """The interfaces below the LAN's bridge, or the LAN's interface itself."""
    lower = NET / config.lan.interface / "brif"
    return sorted(entry.name for entry in lower.iterdir()) if lower.is_dir() else [config.lan.interface]


def ports(box: Box) -> list[Finding]:
    config = box.config
    looked = {"WAN": (config.wan.interface, carrier(config.wan.interface))}
    lan = {port: carrier(port) for port in lan_ports(config)}
    # one cable in the LAN is enough: most boxes have more ports than the home has cables
    looked["LAN"] = next(((port, up) for port, up in lan.items() if up), next(iter(lan.items()), (config.lan.interface, None)))
    if config.dmz.mode == "vlan" and config.dmz.trunk:
        looked["trunk"] = (config.dmz.trunk, carrier(config.dmz.trunk))
    return doctor.links(looked)


def addresses4(interface: str) -> list[str]:
    """IPv4 addresses with prefix length, as the kernel tells them (SIOCGIFADDR knows the first only, which is ours)."""
    import fcntl
    import struct

    request = struct.pack("256s", interface.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            address = fcntl.ioctl(sock, 0x8915, request)[20:24]  # SIOCGIFADDR, include/uapi/linux/sockios.h
            mask = fcntl.ioctl(sock, 0x891B, request)[20:24]  # SIOCGIFNETMASK
        except OSError:
            return []
    return [f"{IPv4Address(address)}/{int.from_bytes(mask).bit_count()}"]


def addresses6(interface: str) -> list[str]:
    """Global IPv6 addresses with prefix length (/proc/net/if_inet6)."""
    found = []
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        digits, _, length, scope, _, name = line.split()
        if name == interface and scope == "00":
            found.append(f"{IPv6Address(bytes.fromhex(digits))}/{int(length, 16)}")
    return found


def routes4(interface: str) -> list[str]:
    """The prefixes that the main table sends to ``interface`` (/proc/net/route: little-endian hexadecimal)."""
    found = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        name, destination, _, _, _, _, _, mask, *_ = line.split()
        if name == interface:
            address = IPv4Address(int.from_bytes(bytes.fromhex(destination), "little"))
            found.append(f"{address}/{int(mask, 16).bit_count()}")
    return found


def routed6(interface: str) -> bool:
    """Whether an IPv6 default route leads to ``interface`` (/proc/net/ipv6_route)."""
    lines = (line.split() for line in Path("/proc/net/ipv6_route").read_text().splitlines())
    return any(fields[-1] == interface and fields[0] == "0" * 32 and fields[1] == "00" for fields in lines)


def name_servers(box: Box) -> list[str]:
    source = RESOLVERS if box.systemd else Path("/etc/resolv.conf")
    try:
        lines = source.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [line.split()[1] for line in lines if line.startswith("nameserver ") and len(line.split()) > 1]


def wan(box: Box) -> list[Finding]:
    interface = box.config.wan.interface
    routes = routes4(interface)
    held = addresses4(interface) + addresses6(interface)
    routed = "0.0.0.0/0" in routes or routed6(interface)
    found = doctor.wan(interface, held, routed, name_servers(box), box.config.wan.method)
    known = [clash.notices(box.config, [ip_interface(a) for a in held], [ip_network(route) for route in routes])]
    return found + [doctor.wrong("internet", n.words, n.remedy) for each in known for n in each]


def services(box: Box) -> list[Finding]:
    found = []
    for name in ("steering", "signer", "ledger", "courier"):
        told = box.status(name)
        if isinstance(told, str):
            found.append(doctor.service(name, None, {}, told))
        else:
            found.append(doctor.service(name, told.ready, told.facts, ""))
    return found


def doors(box: Box) -> list[Finding]:
    told = box.status("steering")
    if isinstance(told, str):
        return [absent("doors", "steering does not answer, and it alone knows them")]
    return doctor.doors(told.facts.get("workers", ""), box.config.door.workers)


def record(box: Box) -> list[Finding]:
    told = box.status("ledger")
    if isinstance(told, str):
        return [absent("record", "the ledger does not answer")]
    return doctor.record(told.facts, box.config.ledger.bytes_most)


def units(box: Box) -> list[Finding]:
    if not box.systemd:
        return [absent("units", NO_SYSTEMD)]
    names = [f"{name}.service" for name in UNITS] + [f"mudroom-door@{n}.service" for n in range(box.config.door.workers)]
    return doctor.units(unit_states(names))


def unit_states(names: Sequence[str]) -> list[Unit]:
    """What systemd knows of these units. Raises OSError."""
    shown = run("systemctl", "show", "--property=Id,LoadState,ActiveState,SubState,NRestarts,Result", *names)
    if shown is None or shown.returncode:
        raise OSError(f"systemctl: {shown.stderr.strip() if shown else 'not installed'}")
    return parse_units(shown.stdout)


def parse_units(text: str) -> list[Unit]:
    """What `systemctl show` printed: one block of NAME=VALUE lines for each unit."""
    found = []
    for block in text.strip().split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if facts.get("Id"):
            restarts = facts.get("NRestarts", "0")
            found.append(
                Unit(
                    facts["Id"].removesuffix(".service"),
                    facts.get("LoadState", ""),
                    facts.get("ActiveState", ""),
                    facts.get("SubState", ""),
                    int(restarts) if restarts.isdigit() else 0,
                    facts.get("Result", ""),
                )
            )
    return found


def kernel(box: Box) -> list[Finding]:
    release = os.uname().release
    # the console's fence hides the kernel's modules, and with them Debian's link to the headers
    headers = any(path.exists() for path in (MODULES / release / "build", HEADERS / f"linux-headers-{release}"))
    return doctor.kernel(release, headers, find_spec("bcc") is not None)


def reboot(box: Box) -> list[Finding]:
    if not box.systemd:
        return [absent("reboot", NO_SYSTEMD)]
    link = Path("/vmlinuz")
    newest = link.resolve().name.removeprefix("vmlinuz-") if link.is_symlink() else ""
    return [doctor.reboot(Path("/run/reboot-required").exists(), os.uname().release, newest)]


def disk(box: Box) -> list[Finding]:
    state = Path(box.config.paths.state)
    folders = ["/"]
    if state.exists() and state.stat().st_dev != Path("/").stat().st_dev:
        folders.append(str(state))
    found = []
    for folder in folders:
        facts = os.statvfs(folder)
        size = facts.f_frsize
        read_only = bool(facts.f_flag & os.ST_RDONLY)
        reserve = box.config.ledger.disk_reserve
        found += doctor.disk(folder, facts.f_blocks * size, facts.f_bavail * size, read_only and not _fenced(folder), reserve)
    return found


def _fenced(folder: str) -> bool:
    """Whether it is read-only for this process alone (ProtectSystem=): the file system itself can be written then."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, rest = line.partition(" - ")
        if mount.split()[4] == folder:
            return "ro" not in rest.split()[-1].split(",")
    return False


def leases(box: Box) -> list[Finding]:
    listening = [line.split()[1] for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return [doctor.leases(sum(local.endswith(":0043") for local in listening), 2 if box.systemd else 1)]


def memory(box: Box) -> list[Finding]:
    facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    total, available = (int(facts[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    try:
        some = Path("/proc/pressure/memory").read_text().split("avg300=", 1)[1]
        stalled = float(some.split()[0])
    except (OSError, IndexError, ValueError):
        stalled = 0.0  # a kernel that does not count it
    return [doctor.memory(total, available, stalled)]


# --- dearer ones ----------------------------------------------------------------------------------------------------


def owner_settings(box: Box) -> list[Finding]:
    """What the owner wrote, should it have changed since it was put into force."""
    from gateway.box.store import Places

    places = Places(state=Path(box.config.paths.state))
    if not box.systemd or not places.owner.exists():
        return [absent("settings", "there is no owner's file, the settings were named in the call")]
    try:
        load(places.owner)
    except ConfigError as error:
        return [
            doctor.wrong("settings", f"the owner's file is refused: {error}", f"mend {places.owner}, then `mudroom box apply`")
        ]
    if not places.last_good.exists() or places.owner.read_bytes() != places.last_good.read_bytes():
        return [doctor.notice("settings", f"{places.owner} was changed and is not in force yet", "run `mudroom box apply`")]
    return [doctor.fine("settings", "the owner's file is the one in force")]


def resolves(box: Box) -> list[Finding]:
    if not box.systemd:
        return [absent("names", NO_SYSTEMD)]
    name = "deb.debian.org"
    try:
        found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    except OSError as error:
        return [doctor.resolves(name, None, error.strerror or str(error))]
    return [doctor.resolves(name, str(found[0][4][0]), "")]


def clock(box: Box) -> list[Finding]:
    if not box.systemd:
        return [absent("time", NO_SYSTEMD)]
    done = run("chronyc", "-n", "tracking")
    facts = {}
    if done is not None and done.returncode == 0:
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in done.stdout.splitlines())}
    offset = facts.get("System time", "0").split()[0]
    return [doctor.clock(facts.get("Leap status"), float(offset), bool(box.config.time.servers))]


def guards(box: Box) -> list[Finding]:
    import gateway.network.apply as edge
    from gateway.network.errors import NetworkError

    if os.geteuid():
        return [absent("network", "only root may look at rules and firewall")]
    try:
        return doctor.guards([str(step) for step in edge.plan(box.config)])
    except NetworkError as error:
        return [doctor.wrong("network", f"cannot be looked at: {error}", "mend that, then run `mudroom network apply`")]


def chain(box: Box) -> list[Finding]:
    from gateway.ledger import anchors
    from gateway.ledger.reader import Reader

    path = box.config.paths.ledger
    if not os.access(path, os.R_OK):
        return [absent("chain", "only root may read the record, or there is none yet")]
    kept = anchors.load(box.config.paths.anchors) if not os.geteuid() else []  # before the record, which goes on meanwhile
    with Reader(path) as reader:
        found = reader.verify(newest=NEWEST_RECORDS, anchors={anchor.seq: anchor.hash for anchor in kept})
        head, _ = reader.head()
    anchored = doctor.anchor(kept[-1].seq if kept else 0, kept[-1].at if kept else 0, head, time.time())
    return [doctor.chain(found.records, found.broken, found.why), anchored]


def authority(box: Box) -> list[Finding]:
    from cryptography.x509 import load_pem_x509_certificate

    try:
        pem = box.config.paths.ca_certificate.read_bytes()
    except FileNotFoundError:
        return [doctor.authority(None, time.time())]
    return [doctor.authority(load_pem_x509_certificate(pem).not_valid_after_utc.timestamp(), time.time())]


def certificates(box: Box) -> list[Finding]:
    from gateway.registry import RegistryFile

    devices = RegistryFile(box.config.paths.registry).current().registry.devices
    # those with an enrolled key renew theirs by themselves, and the registry lists the first one only
    ends = {
        device.id: float(max(certificate.not_after for certificate in device.certificates if not certificate.revoked))
        for device in devices
        if any(not certificate.revoked for certificate in device.certificates)
        and not any(certificate.key and not certificate.revoked for certificate in device.certificates)
    }
    return doctor.certificates(ends, time.time())


def manifests(box: Box) -> list[Finding]:
    from gateway.registry import RegistryFile

    home = RegistryFile(box.config.paths.registry).current()
    now = time.time()
    rows = [
        (device.id, device.approval.signer is not None, device.waiting is not None, float(home.due(device) or now))
        for device in home.registry.devices
        if device.waiting is not None or home.due(device) is not None
    ]
    return doctor.manifests(rows, now)


def rules(box: Box) -> list[Finding]:
    from gateway.policy.review import review
    from gateway.policy.rule import RuleError
    from gateway.registry import RegistryFile
    from gateway.rules import closed, declared, read

    folder = box.config.paths.rules
    try:
        found = read(folder).rules
    except RuleError as error:
        return doctor.rules(str(error), 0, [], [])
    doubts = review(found, declared(RegistryFile(box.config.paths.registry).current()))
    hidden = [f"the gateway's processes cannot read {name}" for name in closed(folder)]
    wrong = hidden + [doubt.says for doubt in doubts if doubt.wrong]
    return doctor.rules("", len(found), wrong, sorted({doubt.rule for doubt in doubts if not doubt.wrong}))


def updates(box: Box) -> list[Finding]:
    if not box.systemd:
        return [absent("updates", NO_SYSTEMD)]
    stamps = [stamp.stat().st_mtime for stamp in UPGRADE_STAMPS if stamp.exists()]
    shown = run("systemctl", "is-failed", "apt-daily-upgrade.service")
    failed = shown is not None and shown.stdout.strip() == "failed"
    up = float(Path("/proc/uptime").read_text().split()[0])
    return doctor.updates(box.config.updates.automatic, max(stamps, default=None), failed, time.time(), up)


def held(box: Box) -> list[Finding]:
    if not box.systemd:
        return [absent("updates", NO_SYSTEMD)]
    done = run("apt-cache", "policy", *HELD)  # what the last look at the archive found; asks nobody
    if done is None or done.returncode:
        raise OSError("apt-cache does not answer")
    return [doctor.held(parse_policy(done.stdout))]


def parse_policy(text: str) -> list[str]:
    """The installed packages for which `apt-cache policy` names a newer candidate, as "name version"."""
    newer, name, installed = [], "", ""
    for line in text.splitlines():
        key, _, value = line.strip().partition(": ")
        if not line.startswith(" "):
            name, installed = line.rstrip(":"), ""
        elif key == "Installed":
            installed = value
        elif key == "Candidate" and installed not in ("", "(none)", value):
            newer.append(f"{name} {value}")
    return newer


CHEAP: tuple[Check, ...] = (
    ports, wan, services, doors, record, units, kernel, disk, settings, memory, leases, reboot,
)  # fmt: skip
ALL: tuple[Check, ...] = (
    *CHEAP,
    owner_settings,
    resolves,
    clock,
    guards,
    reached,
    chain,
    authority,
    certificates,
    manifests,
    rules,
    updates,
    held,
)


def perform(box: Box, checks: Sequence[Check] = ALL, seconds: float = SECONDS) -> list[Finding]:
    """Run the checks, a few at once, each for ``seconds`` at the most; findings in the order of ``checks``."""
    found: dict[Check, list[Finding]] = {}
    waiting = list(checks)
    while waiting:
        batch, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        end = time.monotonic() + seconds
        threads = []
        for check in batch:
            thread = threading.Thread(target=_one, args=(check, box, found), daemon=True)  # a check that hangs is left behind
            thread.start()
            threads.append(thread)
        for check, thread in zip(batch, threads, strict=True):
            thread.join(max(end - time.monotonic(), 0.0))
            if thread.is_alive():
                says = f"this check took longer than {seconds:g} s and was left"
                found[check] = [doctor.wrong(_name(check), says, "is the box overloaded or its disk slow? `top`, then try again")]
    return [finding for check in checks for finding in found[check]]


def _one(check: Check, box: Box, found: dict[Check, list[Finding]]) -> None:
    try:
        result = check(box)
    except PermissionError as error:
        result = [absent(_name(check), f"only root may look ({error})")]
    except Exception as error:  # whatever it is, the other checks go on
        kind = type(error).__name__
        result = [
            doctor.wrong(_name(check), f"this check failed: {kind}: {error}", "please report it; the part itself may be fine")
        ]
    found.setdefault(check, result)


def _name(check: Check) -> str:
    return getattr(check, "__name__", "check").replace("_", " ")
