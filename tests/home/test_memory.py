"""Memory stays flat: after warm-up, over 50,000 messages and over a flood of 1,000,000 packets, for every process.

Tolerance: 80 bytes a message (4 MB over the run) and 4 bytes a flooded packet (4 MB over the flood), by the slope of a
line through the samples. A leak of one small object a message (a dict entry is about 100 bytes) is beyond it.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.home.client import Here, eventually, order
from tests.home.https import DeviceClient
from tests.home.lab import layout
from tests.home.sockets import socket_in

PROCESSES = ("door-0", "door-1", "ledger", "courier", "names", "enrolment", "signer", "steering")
MESSAGES, WARM_UP, SENDERS = 50_000, 15_000, 8
FLOOD = 1_000_000
BYTES_PER_MESSAGE, BYTES_PER_PACKET = 80, 4


def resident() -> dict[str, int]:
    """Resident memory of each process in bytes, shared file pages left out."""
    pids = {name: facts["pid"] for name, facts in order("list").items() if name in PROCESSES}
    found = {}
    for name, pid in pids.items():
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        found[name] = int(fields["RssAnon"].split()[0]) * 1024
    return found


def slope(samples: list[tuple[int, int]]) -> float:
    """Least squares: bytes for each step."""
    n = len(samples)
    mean_x, mean_y = sum(x for x, _ in samples) / n, sum(y for _, y in samples) / n
    over = sum((x - mean_x) * (y - mean_y) for x, y in samples)
    return over / sum((x - mean_x) ** 2 for x, _ in samples)


def tell(capsys: pytest.CaptureFixture[str], what: str, slopes: dict[str, float], last: dict[str, int]) -> None:
    """The figures, for the log."""
    with capsys.disabled():
        for name, each in slopes.items():
            print(f"  memory, {what}: {name} {last[name] / 1e6:.1f} MB, {each:+.1f} bytes each", file=sys.stderr)


@pytest.mark.timeout(900)
def test_messages_leave_no_memory_behind(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    sent = 0
    lock = threading.Lock()

    def send(number: int, count: int) -> None:
        nonlocal sent
        envelope = json.loads((here.folder(number) / "message.json").read_text())
        with DeviceClient(here, number) as device:
            for turn in range(count):
                envelope["payload"]["measured"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_760_000_000 + turn))
                assert device.post(json.dumps(envelope).encode()).status < 300
                with lock:
                    sent += 1

    samples: dict[str, list[tuple[int, int]]] = {name: [] for name in PROCESSES}
    with ThreadPoolExecutor(SENDERS) as pool:
        total = WARM_UP + MESSAGES
        jobs = [pool.submit(send, 1 + i % 2, total // SENDERS) for i in range(SENDERS)]
        due = WARM_UP
        while not all(job.done() for job in jobs):
            if sent >= due:
                for name, size in resident().items():
                    samples[name].append((sent, size))
                due += 2_500
            time.sleep(0.02)
        for job in jobs:
            job.result()
    slopes = {name: slope(points) for name, points in samples.items()}
    tell(capsys, f"{MESSAGES} messages", slopes, resident())
    assert {name: value for name, value in slopes.items() if value > BYTES_PER_MESSAGE} == {}


def frames(here: Here, number: int) -> list[bytes]:
    """Foreign packets of many kinds with changing addresses and ports, as one device would send them in a rage."""
    from scapy.layers.dns import DNS, DNSQR
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import ARP, Ether

    device = here.device(number)
    ether = Ether(src=device["mac"], dst=here.facts["gateway"]["macs"]["dmz0"])
    made = []
    for i in range(200):
        target = f"198.51.100.{i + 1}"
        made += [
            bytes(ether / IP(src=device["v4"], dst=target) / UDP(sport=1024 + i, dport=443) / (b"x" * 100)),
            bytes(ether / IP(src=device["v4"], dst=target) / TCP(sport=1024 + i, dport=i + 1, flags="S")),
            bytes(ether / IP(src=device["v4"], dst=target) / ICMP() / b"secret"),
            bytes(ether / IP(src=f"10.9.8.{i}", dst=target) / UDP(sport=1, dport=2)),
            bytes(ether / IPv6(src=device["v6"], dst=f"2001:db8:bad::{i:x}") / UDP(sport=5, dport=i + 1)),
            bytes(
                ether
                / IP(src=device["v4"], dst=layout.DMZ4)
                / UDP(sport=1024 + i, dport=53)
                / DNS(qd=DNSQR(qname=f"n{i}.example"))
            ),
            bytes(Ether(src=f"02:aa:bb:cc:dd:{i:02x}", dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="10.77.0.1", pdst="10.77.0.9")),
        ]
    return made


@pytest.mark.timeout(600)
def test_a_flood_leaves_no_memory_behind_and_costs_the_others_nothing(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """Devices 1 and 4 flood; device 2 goes on sending messages meanwhile."""
    stop = threading.Event()
    progress = [0, 0]

    def flood(slot: int, number: int) -> None:
        pile = frames(here, number)
        with socket_in(layout.namespace(number), socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("eth0", 0))
            while progress[slot] < FLOOD // 2 and not stop.is_set():
                for frame in pile:
                    try:
                        raw.send(frame)
                    except OSError:  # the queue is full: the device's own link is the limit
                        time.sleep(0.001)
                progress[slot] += len(pile)

    samples: dict[str, list[tuple[int, int]]] = {name: [] for name in PROCESSES}
    threads = [threading.Thread(target=flood, args=(i, number)) for i, number in enumerate((1, 4))]
    envelope = (here.folder(2) / "message.json").read_bytes()
    served = 0
    try:
        for thread in threads:
            thread.start()
        with DeviceClient(here, 2) as neighbour:
            while any(thread.is_alive() for thread in threads):
                assert neighbour.post(envelope).status < 300
                served += 1
                if sum(progress) >= FLOOD // 5:  # warm-up: tables of bounded size fill
                    for name, size in resident().items():
                        samples[name].append((sum(progress), size))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    slopes = {name: slope(points) for name, points in samples.items()}
    tell(capsys, f"{sum(progress)} flooded packets, {served} messages of a neighbour meanwhile", slopes, resident())
    assert {name: value for name, value in slopes.items() if value > BYTES_PER_PACKET} == {}
    assert served > 10
    eventually(lambda: 200 <= int(here.curl(1).out.rsplit("\n", 1)[-1] or 0) < 300, "device 1 is served again after its rage", 30)
