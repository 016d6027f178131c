"""Steering's figures: packets through namespaces by eBPF, by nftables tproxy, and with no steering at all.

All three cross a veth, a bridge with isolated ports and the kernel's stack, and end in a transparent socket that nobody
reads: what is counted reached the socket. eBPF is the virtual home as it runs (guard.c on the port, steer.c with all its checks
and meters), once without the nftables base behind it and once with it; tproxy is the least rule set that steers (mark,
rule, local route) and checks nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

from rich.table import Table

from tests.bench import ours as home_of_ours
from tests.bench.peers import CLIENT, CLIENT4, MIDDLE, MIDDLE4, end, patient, remove
from tests.bench.proxy import spread
from tests.home.lab import layout, wires
from tests.home.sockets import socket_in

TARGET_DROP_NS = 60.0
Tell = Callable[[str], None]
PLAIN, TPROXY, EBPF, WHOLE = "no steering", "nftables tproxy", "mudroom, eBPF alone", "mudroom, with its firewall"
STEERED, DROPPED, OPENED = "UDP/53, steered", "UDP/443, dropped", "TCP opened, closed"
DESTINATION = "198.51.100.7"
PORT = 53
IP_TRANSPARENT = 19
MARK, TABLE = 1, 100
RULES = f"""\
table ip bench {{
    chain prerouting {{
        type filter hook prerouting priority mangle; policy drop;
        iifname "br0" meta l4proto tcp tproxy to :{PORT} meta mark set {MARK} accept
        iifname "br0" udp dport 53 tproxy to :{PORT} meta mark set {MARK} accept
        iifname "br0" counter drop
    }}
}}
"""


@dataclass(frozen=True)
class Place:
    """Where a flood starts and where it ends."""

    name: str
    source: str
    target: str
    tcp: socket.socket


@dataclass
class Result:
    """Events per second by (candidate, kind), one a round; ``lost``: sent and not seen at the end, share."""

    rates: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    lost: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    nanoseconds: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def flood(place: Place, what: str, port: int, seconds: float) -> tuple[int, float]:
    """Run one flood; events and seconds."""
    argv = ["ip", "netns", "exec", place.source, "setpriv", "--pdeathsig", "KILL", "--", "python3", "-m", "tests.bench.flood"]
    argv += [what, "--address", DESTINATION, "--port", str(port), "--seconds", str(seconds)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=False)
    if done.returncode:
        raise RuntimeError(f"{place.name}: {done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    return found["count"], found["seconds"]


def arrived(namespace: str) -> int:
    """Datagrams that reached a socket of ``namespace``, read or not."""
    lines = [line.split() for line in wires.inside(namespace, "cat", "/proc/net/snmp").splitlines() if line.startswith("Udp:")]
    found = dict(zip(lines[0][1:], map(int, lines[1][1:]), strict=True))
    return found["InDatagrams"] + found["RcvbufErrors"]


def turn(result: Result, place: Place, seconds: float, tell: Tell) -> None:
    """One round of one candidate."""
    before = arrived(place.target)
    sent, spent = flood(place, "udp", PORT, seconds)
    seen = arrived(place.target) - before
    result.rates[place.name, STEERED].append(seen / spent)
    result.lost[place.name, STEERED].append(1 - seen / sent)
    tell(f"steering: {place.name}: {seen / spent:,.0f} packets/s reached the listener, {1 - seen / sent:.2%} did not")
    if place.name != PLAIN:
        before = arrived(place.target)
        sent, spent = flood(place, "udp", 443, seconds)
        if arrived(place.target) - before > sent / 1000:
            result.notes.append(f"{place.name}: packets that must be dropped reached a socket")
        result.rates[place.name, DROPPED].append(sent / spent)
        tell(f"steering: {place.name}: {sent / spent:,.0f} packets/s dropped")
    acceptor = patient(
        ["python3", "-m", "tests.bench.flood", "accept", "--descriptor", str(place.tcp.fileno()), "--core", "1"],
        pass_fds=[place.tcp.fileno()],
    )
    try:
        made, spent = flood(place, "tcp", PORT, seconds)
    finally:
        end(acceptor)
    result.rates[place.name, OPENED].append(made / spent)
    tell(f"steering: {place.name}: {made / spent:,.0f} connections/s")


def prepared(namespace: str) -> None:
    """One packet for each datagram: no segmentation left to the (virtual) interface."""
    wires.inside(namespace, "ethtool", "-K", "eth0", "tx-udp-segmentation", "off")


@contextlib.contextmanager
def street() -> Iterator[dict[str, Place]]:
    """Client and gateway of the peers, with the sockets at the end."""
    with contextlib.ExitStack() as stack:
        remove()
        stack.callback(remove)
        for name in (CLIENT, MIDDLE):
            wires.run("ip", "netns", "add", name)
        wires.run("ip", "link", "add", "port1", "netns", MIDDLE, "type", "veth", "peer", "name", "eth0", "netns", CLIENT)
        for name, lines in {
            CLIENT: [
                "link set lo up",
                f"address add {CLIENT4}/24 dev eth0",
                "link set eth0 up",
                f"route add default via {MIDDLE4}",
            ],
            MIDDLE: [
                "link set lo up",
                "link add br0 type bridge stp_state 0",
                "link set port1 master br0",
                "link set dev port1 type bridge_slave isolated on",
                f"address add {MIDDLE4}/24 dev br0",
                "link set port1 up",
                "link set br0 up",
                f"rule add fwmark {MARK} lookup {TABLE}",
                f"route add local default dev lo table {TABLE}",
            ],
        }.items():
            wires.run("ip", "-n", name, "-batch", "-", input="\n".join(lines) + "\n")
        prepared(CLIENT)
        wires.inside(CLIENT, "ping", "-c", "1", "-w", "10", MIDDLE4)  # the bridge's port takes a moment
        listener = stack.enter_context(socket_in(MIDDLE, socket.AF_INET, socket.SOCK_STREAM))
        sink = stack.enter_context(socket_in(MIDDLE, socket.AF_INET, socket.SOCK_DGRAM))
        for sock in (listener, sink):
            sock.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.bind(("0.0.0.0", PORT))
        listener.listen(512)
        yield {name: Place(name, CLIENT, MIDDLE, listener) for name in (PLAIN, TPROXY)}


@contextlib.contextmanager
def steered_by(name: str) -> Iterator[None]:
    """The peers' gateway set to one way of steering."""
    if name == PLAIN:
        wires.run("ip", "-n", MIDDLE, "route", "add", "local", f"{DESTINATION}/32", "dev", "lo")
        try:
            yield
        finally:
            wires.run("ip", "-n", MIDDLE, "route", "del", "local", f"{DESTINATION}/32", "dev", "lo")
    else:
        wires.run("ip", "netns", "exec", MIDDLE, "nft", "-f", "-", input=RULES)
        try:
            yield
        finally:
            wires.inside(MIDDLE, "nft", "delete", "table", "ip", "bench")


def run(quick: bool, tell: Tell, with_ours: bool = True) -> Result:
    """Measure."""
    result = Result()
    rounds, seconds = (2, 0.7) if quick else (5, 1.5)
    tell("steering: ns per packet by BPF_PROG_TEST_RUN")
    result.nanoseconds = [nanoseconds(quick)]
    with contextlib.ExitStack() as stack:
        places = stack.enter_context(street())
        if with_ours:
            tell("steering: the virtual home")
            home = stack.enter_context(home_of_ours.home())
            asyncio.run(with_home(result, home, places, rounds, seconds, tell))
        else:
            for _ in range(rounds):
                peers_turn(result, places, seconds, tell)
    return result


def peers_turn(result: Result, places: dict[str, Place], seconds: float, tell: Tell) -> None:
    """One round of the peers."""
    for name, place in places.items():
        with steered_by(name):
            turn(result, place, seconds, tell)


@contextlib.contextmanager
def without_firewall() -> Iterator[None]:
    """The home's nftables base is gone inside the block: what is left is eBPF, marks and routes, as tproxy's peer has them."""
    rules = wires.inside(layout.GATEWAY, "nft", "list", "ruleset")
    wires.inside(layout.GATEWAY, "nft", "flush", "ruleset")
    try:
        yield
    finally:
        wires.run("ip", "netns", "exec", layout.GATEWAY, "nft", "-f", "-", input=rules)


async def with_home(
    result: Result, home: home_of_ours.Ours, places: dict[str, Place], rounds: int, seconds: float, tell: Tell
) -> None:
    """All rounds, with the bench in the resolver's place at the end of the home's path."""
    from gateway.ipc import listeners

    home_of_ours.control(do="stop", name="names")
    registration = await listeners.connect(layout.RUN / "gateway" / "steering" / "socket", "names", 0)
    async with registration:
        sink = registration.listeners["udp4"]
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        source = home.facts["devices"]["device-1"]["namespace"]
        prepared(source)
        for _ in range(rounds):
            await asyncio.to_thread(peers_turn, result, places, seconds, tell)
            for name in (WHOLE, EBPF):
                place = Place(name, source, layout.GATEWAY, registration.listeners["tcp4"])
                with contextlib.nullcontext() if name == WHOLE else without_firewall():
                    await asyncio.to_thread(turn, result, place, seconds, tell)
    home_of_ours.control(do="start", name="names")


def nanoseconds(quick: bool) -> Table:
    """The program alone, by BPF_PROG_TEST_RUN: every path of tests.bench.steering_ns."""
    from gateway.reasons import Reason
    from gateway.steering.loader import Steer
    from tests.bench import steering_ns
    from tests.ebpf import run as furnished

    repeats, rounds = (200_000, 3) if quick else (steering_ns.REPEATS, steering_ns.ROUNDS)
    times: dict[str, list[float]] = defaultdict(list)
    counted: dict[str, str] = {}
    config = furnished.config()
    steer = Steer(config)
    try:
        furnished.furnish(steer, config)
        runner, egress = furnished.Runner(steer.ingress), furnished.Runner(steer.egress)
        for _ in range(rounds):
            for name, packet in steering_ns.paths():
                verdict = runner(bytes(packet), repeat=repeats)
                times[name].append(runner.nanoseconds)
                counted[name] = Reason.from_code(verdict.counted).label
            for name, packet, mark in steering_ns.towards_devices():
                verdict = egress(bytes(packet), repeat=repeats, ingress=furnished.LAN_INDEX, mark=mark)
                times[name].append(egress.nanoseconds)
                counted[name] = "passed" if verdict.passed else "dropped"
    finally:
        steer.close()
    drops = {name: median(values) for name, values in times.items() if name.startswith("drop")}
    slowest = max(drops, key=lambda name: drops[name])
    met = "met" if drops[slowest] <= TARGET_DROP_NS else "MISSED"
    table = Table(
        title=f"Steering, ns per packet by BPF_PROG_TEST_RUN ({repeats:,} repeats); "
        f"asked: drops at or under {TARGET_DROP_NS:.0f}; slowest drop {drops[slowest]:.0f}: {met}",
        title_justify="left",
    )
    for name in ("path", "counted as", "ns"):
        table.add_column(name, justify="right" if name == "ns" else "left")
    for name, values in times.items():
        table.add_row(name, counted[name], spread(values))
    return table


def tables(result: Result) -> list[Table]:
    """For people."""
    found = list(result.nanoseconds)
    table = Table(title="Steering, through namespaces, one core for sender and path", title_justify="left")
    for name in ("path", "candidate", "a second", "ns each", "did not arrive"):
        table.add_column(name, justify="left" if name in {"path", "candidate"} else "right")
    for kind in (STEERED, DROPPED, OPENED):
        for name in (PLAIN, TPROXY, EBPF, WHOLE):
            rates = result.rates.get((name, kind))
            if rates:
                lost = result.lost.get((name, kind))
                table.add_row(
                    kind, name, spread(rates), spread([1e9 / rate for rate in rates]), f"{max(lost):.2%}" if lost else "-"
                )
    found.append(table)
    for note in result.notes:
        found.append(Table(title=note, title_justify="left"))
    return found
