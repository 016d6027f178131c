"""What the box does for the home, by the real programs with the settings that we render, behind the real firewall and as the
users that they have on the box: leases, names, router advertisements (dnsmasq), time (chronyd).
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import service
from gateway.box import chrony, lan_dnsmasq
from gateway.box.clock import Clock, ClockError, may_step
from gateway.config import Box, Config, Paths, Time
from gateway.network import apply as network
from gateway.network import dhcp
from tests.home.house import CONFIG, DEVICE4, DEVICE6, ISP4, LAPTOP4, WAN4, House, run

ETH_P_IPV6 = 0x86DD
ROUTER_ADVERTISEMENT = 134
NTP_EPOCH = 2_208_988_800  # 1970 in seconds since 1900 (RFC 5905 section 6)
CAPABILITIES = "+net_admin,+net_raw,+net_bind_service"

# dnsmasq takes the documentation prefixes for private ones; nothing is ever sent to these
GOOD4, GOOD6 = "9.9.9.9", "2620:fe::fe"

UPSTREAM = f"""\
keep-in-foreground
no-resolv
no-hosts
no-daemon
bind-interfaces
except-interface=lo
user=root
pid-file=
log-queries=extra
log-facility={{log}}
listen-address={ISP4}
host-record=good.example,{GOOD4},{GOOD6}
host-record=laptop.evil.example,{LAPTOP4}
host-record=device.evil.example,{DEVICE4}
host-record=device6.evil.example,{DEVICE6}
host-record=self.evil.example,127.0.0.1
host-record=mudroom.home.arpa,{GOOD4}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter (pytest's own are root's)."""
    made = Path(tempfile.mkdtemp(prefix="mudroom-services-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def config_in(folder: Path, servers: tuple[str, ...] = ()) -> Config:
    return Config(paths=Paths(state=str(folder)), box=Box(name="hall"), dmz=CONFIG.dmz, time=Time(servers=servers))


@contextlib.contextmanager
def running(*argv: str, until: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs until the end; ready once its output says ``until``."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        try:
            said = b""
            while until.encode() not in said:
                assert select.select([process.stdout], [], [], 10)[0], f"{argv[0]} does not say {until!r}: {said.decode()}"
                more = os.read(process.stdout.fileno(), 65536)
                assert more, f"{argv[0]} ended: {said.decode()}"
                said += more
            yield process
        finally:
            process.terminate()


def until_written(log: Path, words: str) -> None:
    deadline = time.monotonic() + 10
    while not (log.exists() and words in log.read_text()):
        assert time.monotonic() < deadline, f"{log} does not say {words!r}"
        time.sleep(0.02)


def as_service(role: str) -> tuple[str, ...]:
    """As the unit starts it: never root, three capabilities."""
    user = service.USERS[role]
    raised = (f"--inh-caps={CAPABILITIES}", f"--ambient-caps={CAPABILITIES}", f"--bounding-set=-all,{CAPABILITIES}")
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", *raised, "--")


@contextlib.contextmanager
def dnsmasq(role: str, folder: Path, text: str) -> Iterator[None]:
    """One of our two, ready to serve."""
    state = folder / {"lan": "lan", "dhcp": "dhcp"}[role]
    state.mkdir(exist_ok=True)
    shutil.chown(state, service.USERS[role], service.USERS[role])
    path = folder / f"{role}.conf"
    path.write_text(text)
    run("dnsmasq", "--test", f"--conf-file={path}")
    with running(
        *as_service(role),
        "dnsmasq",
        "--keep-in-foreground",
        f"--conf-file={path}",
        until="router advertisement on",
    ):
        yield


@pytest.fixture
def home(house: House, folder: Path) -> Iterator[House]:
    """The gateway with its firewall, a name server on the WAN, and both of our dnsmasq at once."""
    config = config_in(folder)
    network.apply(config)
    (folder / "upstream.conf").write_text(UPSTREAM.format(log=folder / "upstream.log"))
    (folder / "resolv.conf").write_text(f"nameserver {ISP4}\n")
    with contextlib.ExitStack() as stack:
        with house.inside("internet"):
            stack.enter_context(running("dnsmasq", f"--conf-file={folder / 'upstream.conf'}"))
        until_written(folder / "upstream.log", "cleared cache")
        stack.enter_context(dnsmasq("dhcp", folder, dhcp.render(config)))
        stack.enter_context(dnsmasq("lan", folder, lan_dnsmasq.text(config, str(folder / "resolv.conf"))))
        yield house


def ask(name: str, kind: str = "A", server: str = "192.168.77.1") -> list[str]:
    return run("kdig", f"@{server}", "+short", "+retry=5", "+timeout=1", name, kind).split()


def lease(house: House, folder: Path, name: str, calls_itself: str) -> dict[str, str]:
    """What the DHCP client of a namespace is given."""
    script = folder / "told.sh"
    script.write_text(f'#!/bin/sh\n[ "$1" = bound ] && env >{folder}/told\nexit 0\n')
    script.chmod(0o755)
    options = [part for option in ("ntpsrv", "search", "dns", "router") for part in ("-O", option)]
    with house.inside(name):
        run(
            "udhcpc",
            "-f",
            "-q",
            "-n",
            "-t",
            "8",
            "-T",
            "1",
            "-i",
            "eth0",
            "-s",
            str(script),
            "-x",
            f"hostname:{calls_itself}",
            *options,
        )
    return dict(line.split("=", 1) for line in (folder / "told").read_text().splitlines() if "=" in line)


def test_a_machine_in_the_lan_gets_a_lease_and_a_name_while_the_dmz_leases_too(home: House, folder: Path) -> None:
    told = lease(home, folder, "laptop", "laptop")
    assert told["ip"].startswith("192.168.77.")
    assert 100 <= int(told["ip"].rsplit(".", 1)[1]) <= 249
    assert (told["router"], told["dns"], told["ntpsrv"]) == ("192.168.77.1",) * 3
    assert (told["domain"], told["search"]) == ("home.arpa", "home.arpa")
    with home.inside("laptop"):
        assert ask("laptop.home.arpa") == [told["ip"]]
        assert ask("laptop") == [told["ip"]]
    assert ask("laptop.home.arpa", server="127.0.0.1") == [told["ip"]]
    assert lease(home, folder, "device", "thing")["ip"].startswith("10.77.0.")


@pytest.mark.parametrize("taken", ["wpad", "mudroom", "hall"])
def test_no_machine_takes_the_boxs_name_or_one_that_gives_orders(home: House, folder: Path, taken: str) -> None:
    told = lease(home, folder, "laptop", taken)
    with home.inside("laptop"):
        assert told["ip"] not in ask(f"{taken}.home.arpa")


def test_the_box_is_known_by_both_its_names(home: House) -> None:
    with home.inside("laptop"):
        for name in ("mudroom.home.arpa", "hall.home.arpa", "mudroom", "hall"):
            assert ask(name) == ["192.168.77.1"]
            assert ask(name, "AAAA") == ["fd4d:7564:726d:1::1"]
        assert ask("mudroom.home.arpa", server="fd4d:7564:726d:1::1") == ["192.168.77.1"]


def test_names_from_outside_are_answered_unless_they_lead_into_the_home(home: House, folder: Path) -> None:
    with home.inside("laptop"):
        assert ask("good.example") == [GOOD4]
        assert ask("good.example", "AAAA") == [GOOD6]
        assert run("kdig", "@192.168.77.1", "+short", "+tcp", "good.example").split() == [GOOD4]
        for host in ("laptop", "device", "self"):
            assert ask(f"{host}.evil.example") == []
        assert ask("device6.evil.example", "AAAA") == []
    assert ask("good.example", server="127.0.0.1") == [GOOD4]  # the box itself, its courier too
    assert ask("device.evil.example", server="127.0.0.1") == []
    asked = (folder / "upstream.log").read_text()
    assert "device.evil.example" in asked  # it was asked, and the answer dropped


def test_the_homes_names_never_leave_the_house(home: House, folder: Path) -> None:
    with home.inside("laptop"):
        for name in ("nobody.home.arpa", "printer.local", "hidden.onion", "plain", "4.3.168.192.in-addr.arpa"):
            assert ask(name, "PTR" if name.endswith("in-addr.arpa") else "A") == []
        assert ask("good.example") == [GOOD4]
    asked = (folder / "upstream.log").read_text()
    assert "good.example" in asked
    for name in ("home.arpa", "printer", "hidden", "plain", "in-addr"):
        assert name not in asked


def test_devices_and_the_internet_get_no_answer(home: House) -> None:
    for name, server in (("device", "10.77.0.1"), ("device", "192.168.77.1"), ("internet", WAN4)):
        with home.inside(name):
            done = subprocess.run(
                ["kdig", f"@{server}", "+retry=0", "+timeout=1", "good.example"], capture_output=True, text=True
            )
        assert GOOD4 not in done.stdout, (name, server)


def test_router_advertisements_carry_prefix_resolver_and_the_way_out(house: House, folder: Path) -> None:
    network.apply(config_in(folder))
    (folder / "resolv.conf").write_text("")
    with house.inside("laptop"):
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IPV6))
        ear.bind(("eth0", 0))
    with ear, dnsmasq("lan", folder, lan_dnsmasq.text(config_in(folder), str(folder / "resolv.conf"))):
        ear.settimeout(10)
        packet = b""
        while len(packet) < 70 or (packet[20], packet[54]) != (socket.IPPROTO_ICMPV6, ROUTER_ADVERTISEMENT):
            packet = ear.recv(65535)
    managed_or_other, lifetime = packet[59] & 0xC0, int.from_bytes(packet[60:62])
    assert (managed_or_other, lifetime) == (0, lan_dnsmasq.ROUTER_LIFETIME_SECONDS)
    options = {}
    rest = packet[70:]
    while rest:
        options[rest[0]] = rest[: rest[1] * 8]
        rest = rest[rest[1] * 8 :]
    prefix, resolver = options[3], options[25]
    assert (prefix[2], prefix[16:]) == (64, socket.inet_pton(socket.AF_INET6, "fd4d:7564:726d:1::"))
    assert prefix[3] & 0x40  # addresses may be formed from it
    assert socket.inet_pton(socket.AF_INET6, "fd4d:7564:726d:1::1") in resolver
    assert b"\x04home\x04arpa\x00" in options[31]


# --- time -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def wrong_clock(house: House, ahead: float) -> Iterator[None]:
    """A time server on the WAN that is ``ahead`` seconds before this machine's clock (RFC 5905 section 7.3)."""
    with house.inside("internet"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((ISP4, 123))

    def stamp() -> bytes:
        now = time.time() + ahead + NTP_EPOCH
        return struct.pack("!II", int(now), int(now % 1 * 2**32))

    def serve() -> None:
        while True:
            question, peer = sock.recvfrom(512)
            if question == b"end":
                return
            head = struct.pack("!BBbbII4s", 0x24, 1, question[2], -20, 0, 16, b"GPS\0")
            sock.sendto(head + stamp() + question[40:48] + stamp() + stamp(), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        with house.inside("internet"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", (ISP4, 123))
        thread.join()
        sock.close()


@contextlib.contextmanager
def chronyd(folder: Path, servers: tuple[str, ...] = (ISP4,)) -> Iterator[Clock]:
    """The real one with our settings; it measures, but the machine's clock is not the test's to move (-x)."""
    run_folder = Path(chrony.SOCKET).parent
    run_folder.mkdir(mode=0o750, exist_ok=True)
    shutil.chown(run_folder, service.TIME_USER, service.TIME_USER)
    path = folder / "chrony.conf"
    path.write_text(chrony.text(config_in(folder, servers)))
    with running("chronyd", "-d", "-x", "-f", str(path), until="starting"):
        yield Clock(started=folder / "started", last_known=folder / "systemd" / "clock")


def measured(clock: Clock) -> float:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(ClockError):
            found = clock.tracking()
            if found.measured:
                return found.slow
        time.sleep(0.2)  # chronyd tells nobody
    raise AssertionError("chronyd measured nothing")


def asks_the_time(house: House, name: str, server: str) -> bool:
    with house.inside(name), socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.sendto(b"\x23" + bytes(39) + b"\x01" * 8, (server, 123))
        try:
            return len(sock.recv(512)) == 48
        except TimeoutError:
            return False


def test_the_lan_and_the_dmz_get_the_time_without_the_internet_too_and_the_wan_does_not(house: House, folder: Path) -> None:
    network.apply(config_in(folder))
    with chronyd(folder, servers=()) as clock:
        for name, server in (
            ("laptop", "192.168.77.1"),
            ("laptop", "fd4d:7564:726d:1::1"),
            ("device", "10.77.0.1"),
            ("device", "fd4d:7564:726d:2::1"),
        ):
            assert any(asks_the_time(house, name, server) for _ in range(5)), (name, server)
        assert not asks_the_time(house, "internet", WAN4)
        assert not clock.tracking().measured  # its own clock is no measurement
        assert "no time server answered within" in clock.settle(0.1)


def test_at_boot_the_clock_is_stepped_to_the_first_measurement(house: House, folder: Path) -> None:
    network.apply(config_in(folder))
    # chronyd -x refuses the step that it is asked for: that it is asked is what shows here
    with wrong_clock(house, ahead=-100), chronyd(folder) as clock, pytest.raises(ClockError, match="makestep: 500 Failure"):
        clock.settle(20)


def test_later_the_clock_is_stepped_forwards_only(house: House, folder: Path) -> None:
    network.apply(config_in(folder))
    with wrong_clock(house, ahead=-100), chronyd(folder) as clock:
        assert measured(clock) == pytest.approx(-100, abs=1)
        assert "100.0" in clock.keep()
        (folder / "started").touch()
        assert "ahead; chronyd brings it in line" in clock.settle(20)  # a restarted unit does not step back either
        assert not may_step(clock.tracking(), running=True)
    with wrong_clock(house, ahead=100), chronyd(folder) as clock:
        assert measured(clock) == pytest.approx(100, abs=1)
        with pytest.raises(ClockError, match="makestep: 500 Failure"):
            clock.keep()
    assert clock.last_known.exists()
