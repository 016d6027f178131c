"""Nanoseconds per packet for each path through steer.c: python -m tests.bench.steering_ns [repeats].

BPF_PROG_TEST_RUN, the same packet again and again on one CPU, so every cache is warm; rates are unlimited. Paths that end in
a listener end here in "no-listener", as bpf_sk_assign() fails under TEST_RUN; the look-up of the listener is included.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether

from gateway.reasons import Reason
from gateway.steering import layout
from gateway.steering.loader import Steer
from tests.ebpf import run

REPEATS = 1_000_000
ROUNDS = 5


def frame(mac: str = run.STANDARD[0]) -> Any:
    return Ether(src=mac, dst=run.GATEWAY_MAC)


def paths() -> list[tuple[str, Any]]:
    me4, me6 = run.STANDARD[2], f"{run.PREFIX6}21"
    world4, world6 = "198.51.100.7", "2001:db8:1::7"
    return [
        ("drop: stranger's TCP", frame(run.STRANGER[0]) / IP(src="10.77.0.99", dst=world4) / TCP()),
        ("drop: unknown device's TCP", frame(run.UNKNOWN[0]) / IP(src=run.UNKNOWN[2], dst=world4) / TCP()),
        ("drop: quarantined", frame(run.QUARANTINED[0]) / IP(src=run.QUARANTINED[2], dst=world4) / TCP()),
        ("drop: spoofed IPv4", frame() / IP(src="8.8.8.8", dst=world4) / TCP()),
        ("drop: QUIC", frame() / IP(src=me4, dst=world4) / UDP(sport=4000, dport=443)),
        ("drop: other UDP", frame() / IP(src=me4, dst=world4) / UDP(sport=4000, dport=4000)),
        ("drop: TCP to the LAN", frame() / IP(src=me4, dst="192.168.77.50") / TCP()),
        ("drop: TCP to another device", frame() / IP(src=me4, dst=run.SECOND[2]) / TCP()),
        ("drop: fragment", frame() / IP(src=me4, dst=world4, flags="MF") / TCP()),
        ("drop: IPv6 QUIC", frame() / IPv6(src=me6, dst=world6) / UDP(sport=4000, dport=443)),
        ("drop: IPv6 extension header", frame() / IPv6(src=me6, dst=world6, nh=60)),
        ("pass: ARP for the gateway", frame() / ARP(hwsrc=run.STANDARD[0], psrc=me4, pdst=run.OUR4)),
        ("pass: ping of the gateway", frame() / IP(src=me4, dst=run.OUR4) / ICMP()),
        ("steer: TCP data, no connection", frame() / IP(src=me4, dst=world4) / TCP(flags="A")),
        ("steer: TCP SYN", frame() / IP(src=me4, dst=world4) / TCP(flags="S")),
        ("steer: TCP SYN, IPv6", frame() / IPv6(src=me6, dst=world6) / TCP(flags="S")),
        ("steer: DNS", frame() / IP(src=me4, dst=run.OUR4) / UDP(sport=4000, dport=53)),
    ]


def towards_devices() -> list[tuple[str, Any, int]]:
    """The same for the egress program: what the LAN sends to a device, with the mark that nftables gave it."""
    lan, device = Ether(src=run.GATEWAY_MAC, dst=run.STANDARD[0]), run.STANDARD[2]
    data = lan / IP(src="192.168.77.50", dst=device) / TCP(sport=5000, dport=80, flags="A")
    return [
        ("LAN to device: TCP data, let in", data, layout.MARK_LAN),
        ("LAN to device: not let in", data, 0),
        ("LAN to device: another's address", lan / IP(src="192.168.77.50", dst=run.SECOND[2]) / TCP(), layout.MARK_LAN),
    ]


def main(repeats: int) -> None:
    config = run.config()
    steer = Steer(config)
    try:
        run.furnish(steer, config)
        runner, egress = run.Runner(steer.ingress), run.Runner(steer.egress)
        rounds: dict[str, list[int]] = {}
        reasons: dict[str, str] = {}
        for _ in range(ROUNDS):
            for name, packet in paths():
                data = bytes(packet)
                verdict = runner(data, repeat=repeats)
                rounds.setdefault(name, []).append(runner.nanoseconds)
                reasons[name] = Reason.from_code(verdict.counted).label
            for name, packet, mark in towards_devices():
                verdict = egress(bytes(packet), repeat=repeats, ingress=run.LAN_INDEX, mark=mark)
                rounds.setdefault(name, []).append(egress.nanoseconds)
                reasons[name] = "passed" if verdict.passed else "dropped"
        print(
            f"ns per packet, {repeats:,} repeats, {ROUNDS} rounds\n"
            f"{'path':34} {'counted':18} {'median':>7} {'least':>6} {'most':>6}"
        )
        for name, times in rounds.items():
            print(f"{name:34} {reasons[name]:18} {statistics.median(times):7.0f} {min(times):6d} {max(times):6d}")
    finally:
        steer.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS)
