"""The world around the guest: an internet with an ISP, vendors, name, time and web servers; a laptop; devices on the trunk.

A `World` is made once for all tests and outlives any number of guests and power cuts. It touches nothing outside of its
own namespaces and its folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Self

from gateway.standard.inbox import PATH as INBOX
from tests.home.client import Done, run_in
from tests.home.lab import papers
from tests.home.lab.layout import Device, Vendor
from tests.home.lab.supervisor import Supervisor, Unit
from tests.home.lab.wires import inside, processes, run
from tests.vm.lab import layout
from tests.vm.lab.machine import Nic
from tests.vm.lab.taps import Tap
from tests.vm.lab.trunk import Trunk

LOCK = Path("/tmp/mudroom-vm.lock")  # /tmp is shared by all user lands of a host
TESTS_PATH = {"PYTHONPATH": str(layout.CHECKOUT)}
ISP = layout.home


class World:
    """All of it. A context manager.

    ``folder``: is emptied first. ``devices``: who stands on the trunk; 1 is acme's standard device, 2 a local one, 3 a stranger.
    """

    def __init__(self, folder: Path = layout.RUN) -> None:
        self.folder = folder
        self.devices = (
            next(d for d in layout.home.Home().devices if d.number == 1),
            Device(2, "local", "acme"),
            Device(3, "unknown", "acme"),
        )
        self.vendors = layout.vendors()
        self.trunk = Trunk(layout.VLAN)
        self.on_clear: list[Callable[[], None]] = []  # what parks a guest that holds the ports
        self._taps: list[Tap] = []
        self._stack = contextlib.ExitStack()
        self._loop = asyncio.new_event_loop()
        self._supervisor = Supervisor(folder)

    # --- coming and going ---

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _make(self) -> None:
        self._lock()
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("log", "notify", "vendors", "internet", "devices", "leases"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        thread = threading.Thread(target=self._loop.run_forever, name="world", daemon=True)
        thread.start()
        self._stack.callback(self._end_loop, thread)
        self._stack.callback(self._remove)
        self._remove()  # what a run that was killed left behind
        for name in self.namespaces:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        self.wan = self._tap(layout.INTERNET, layout.ISP_MAC, offload=True)
        self.lan = self._tap(layout.LAPTOP, layout.LAPTOP_MAC, offload=True)
        for device in self.devices:
            self.trunk.plug(self._tap(layout.namespace(device.number), device.mac))
        self._resolvers()
        self._internet_addresses()
        self._stack.enter_context(self.trunk)
        self._stack.callback(self._await, self._supervisor.stop_all())
        self._await(self._supervisor.start(*self._internet()))

    def _lock(self) -> None:
        """One world at a time: its namespaces have fixed names."""
        lock = self._stack.enter_context(LOCK.open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"another world of virtual machines is running (it holds {LOCK})") from None

    def _tap(self, namespace: str, mac: str, *, offload: bool = False) -> Tap:
        tap = Tap(namespace, layout.PORT, mac, offload=offload)
        self._stack.callback(tap.close)
        self._taps.append(tap)
        return tap

    def _end_loop(self, thread: threading.Thread) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join()
        self._loop.close()

    def _remove(self) -> None:
        present = run("ip", "netns", "list", check=False).split()
        for name in self.namespaces:
            if name in present:
                for pid in processes(name):  # a kept ssh connection, what a failed test left behind
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                run("ip", "netns", "delete", name, check=False)
            shutil.rmtree(layout.home.NETNS_ETC / name, ignore_errors=True)

    def _await[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # --- what tests use ---

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All of them, the internet first."""
        return (layout.INTERNET, layout.LAPTOP, *(layout.namespace(device.number) for device in self.devices))

    @property
    def nics(self) -> tuple[Nic, Nic, Nic]:
        """The guest's ports 1 to 3: WAN, LAN, trunk."""
        assert self.trunk.peer is not None
        return (
            Nic("tap", self.wan.fd, layout.WAN_MAC),
            Nic("tap", self.lan.fd, layout.LAN_MAC),
            Nic("dgram", self.trunk.peer.fileno(), layout.TRUNK_MAC),
        )

    @contextlib.contextmanager
    def on_a_stick(self) -> Iterator[tuple[Nic]]:
        """Internet and laptop plugged into the switch beside the devices, for a guest with one port; what it is plugged into."""
        self.clear()
        assert self.trunk.peer is not None
        try:
            self.trunk.plug(self.wan, layout.WAN_VLAN)
            self.trunk.plug(self.lan, layout.LAN_VLAN)
            yield (Nic("dgram", self.trunk.peer.fileno(), layout.STICK_MAC),)
        finally:
            self.trunk.unplug(self.lan)
            self.trunk.unplug(self.wan)

    @property
    def authority_file(self) -> Path:
        """The certificate of the internet's public CA."""
        return self.folder / "internet" / "ca.pem"

    def tap(self, namespace: str) -> Tap:
        """The port of a namespace."""
        return next(tap for tap in self._taps if tap.namespace == namespace)

    def clear(self) -> None:
        """Park whatever guest holds the ports."""
        for park in self.on_clear:
            park()

    def drain(self) -> None:
        """Forget frames that wait for a guest that is gone; before each start of a guest."""
        self.wan.drain()
        self.lan.drain()
        self.trunk.drain()

    def start_dhcp(self, *namespaces: str) -> None:
        """Start DHCP clients, as a laptop or a device does when it is plugged in."""
        units = [self._dhcp_client(name) for name in namespaces or self.namespaces[1:]]
        self._await(self._supervisor.start(*(unit for unit in units if unit.name not in self._supervisor.units)))

    def replug(self, namespace: str) -> None:
        """Pull a laptop's or device's cable and put it in again: its DHCP client asks anew."""
        name = self._dhcp_client(namespace).name
        self._await(self._supervisor.stop(name))
        (self.folder / "leases" / namespace).unlink(missing_ok=True)
        for up in ("down", "up"):
            run("ip", "-n", namespace, "link", "set", layout.PORT, up)
        self._await(self._restart(name))

    async def _restart(self, name: str) -> None:
        running = self._supervisor.units[name]
        running.wanted = True
        running.changed.set()

    def lease(self, namespace: str) -> dict[str, str]:
        """The lease that a namespace's DHCP client holds: ip, router, dns, domain, ntpsrv; empty without one."""
        try:
            lines = (self.folder / "leases" / namespace).read_text().splitlines()
        except FileNotFoundError:
            return {}
        return dict(line.split("=", 1) for line in lines)

    def addresses6(self, namespace: str) -> list[str]:
        """The global and unique local IPv6 addresses that a namespace has formed."""
        links = json.loads(run("ip", "-n", namespace, "-j", "address", "show", "dev", layout.PORT))
        found = links[0]["addr_info"]
        return [a["local"] for a in found if a["family"] == "inet6" and a["scope"] == "global" and not a.get("tentative")]

    def vendor(self, name: str) -> Vendor:
        """The vendor of that name."""
        return next(vendor for vendor in self.vendors if vendor.name == name)

    def received(self, vendor: str) -> list[dict[str, Any]]:
        """What a vendor's hosts saw, whole lines only, but for questions for inboxes: those come by themselves, each minute."""
        text = (self.folder / "vendors" / vendor / "received.jsonl").read_text()
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].split("\n") if line]
        return [line for line in lines if line.get("path") != INBOX]

    def messages(self) -> int:
        """How many messages reached vendors' hosts: what must not grow while nobody says anything."""
        return sum(len(self.received(vendor.name)) for vendor in self.vendors)

    def visits(self) -> list[dict[str, str]]:
        """Requests to the web site and to Debian's mirrors: peer, host, path."""
        return [json.loads(line) for line in (self.folder / "internet" / "visits.jsonl").read_text().splitlines()]

    def questions(self) -> str:
        """The ISP's name server's log."""
        return (self.folder / "internet" / "dnsmasq.log").read_text(errors="replace")

    def run(self, namespace: str, *argv: str, timeout: float = 30.0, cwd: Path | None = None) -> Done:
        """A command in a namespace."""
        return run_in(namespace, *argv, timeout=timeout, cwd=cwd)

    def bound(self, namespace: str, *argv: str, timeout: float = 30.0) -> Callable[[], Done]:
        """The same, to be called later."""
        return lambda: run_in(namespace, *argv, timeout=timeout)

    # --- how it is made ---

    def _resolvers(self) -> None:
        servers = {layout.LAPTOP: layout.GATEWAY4, layout.INTERNET: ISP.RESOLVER4}
        for name in self.namespaces:
            folder = layout.home.NETNS_ETC / name
            folder.mkdir(parents=True, exist_ok=True)
            server = servers.get(name, layout.DMZ4)
            (folder / "resolv.conf").write_text(f"nameserver {server}\noptions timeout:3 attempts:2\n")

    def _internet_addresses(self) -> None:
        # with forwarding on, neighbour advertisements carry the router flag that the guest's kernel asks for
        inside(layout.INTERNET, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
        hosts = [address for vendor in self.vendors for pair in vendor.hosts.values() for address in pair]
        lines = [
            f"address add {ISP.ISP4} dev {layout.PORT}",
            f"address add {ISP.ISP6} dev {layout.PORT} nodad",
            f"address add {ISP.RESOLVER4}/24 dev {layout.PORT}",
            f"address add {ISP.RESOLVER6}/64 dev {layout.PORT} nodad",
            *(f"address add {a} dev lo" for a in (*hosts, layout.MIRROR4, layout.MIRROR6, layout.TIME4, layout.TIME6)),
        ]
        for line in lines:
            run("ip", "-n", layout.INTERNET, *line.split())

    def _internet(self) -> list[Unit]:
        folder = self.folder / "internet"
        authority = papers.Authority("Virtual public CA")
        self.authority_file.write_bytes(authority.pem)
        units = [self._vendor(vendor, authority) for vendor in self.vendors]
        records = [f"host-record={host},{v4},{v6}" for vendor in self.vendors for host, (v4, v6) in vendor.hosts.items()]
        (folder / "dnsmasq.conf").write_text("\n".join([*self._isp(folder), *records]) + "\n")
        (folder / "chrony.conf").write_text(f"local stratum 2\nallow\nport 123\ncmdport 0\npidfile {folder}/chronyd.pid\n")
        mirror = ("python3", "-m", "tests.vm.lab.mirror", "--log", str(folder / "visits.jsonl"), layout.MIRROR4, layout.MIRROR6)
        return [
            *units,
            Unit("isp", layout.INTERNET, ("dnsmasq", f"--conf-file={folder}/dnsmasq.conf"), notifies=False),
            # -x: serve time and never touch this machine's clock
            Unit(
                "time", layout.INTERNET, ("chronyd", "-d", "-x", "-u", "root", "-f", str(folder / "chrony.conf")), notifies=False
            ),
            Unit("mirror", layout.INTERNET, mirror, environment=TESTS_PATH),
        ]

    def _isp(self, folder: Path) -> list[str]:
        """The ISP's name server, DHCP and router advertisements."""
        return [
            "keep-in-foreground",
            "no-resolv",
            "no-hosts",
            "bind-interfaces",
            f"interface={layout.PORT}",
            "except-interface=lo",
            "user=root",
            "pid-file=",
            "log-queries=extra",
            "log-dhcp",
            f"log-facility={folder}/dnsmasq.log",
            f"dhcp-leasefile={folder}/leases",
            "dhcp-authoritative",
            "dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,1h",
            f"dhcp-host={layout.WAN_MAC},{layout.STICK_MAC},{layout.WAN4}",
            f"dhcp-option=option:router,{ISP.ISP4.split('/')[0]}",
            f"dhcp-option=option:dns-server,{ISP.RESOLVER4}",
            "enable-ra",
            "dhcp-range=2001:db8:0:1::,ra-only,64,1h",
            f"dhcp-option=option6:dns-server,[{ISP.RESOLVER6}]",
            f"host-record={layout.MIRROR_NAME},{layout.MIRROR4},{layout.MIRROR6}",
            *(f"address=/debian.org/{a}" for a in (layout.MIRROR4, layout.MIRROR6)),
            *(f"address=/pool.ntp.org/{a}" for a in (layout.TIME4, layout.TIME6)),
            *(f"address=/time.example/{a}" for a in (layout.TIME4, layout.TIME6)),
        ]

    def _vendor(self, vendor: Vendor, authority: papers.Authority) -> Unit:
        folder = self.folder / "vendors" / vendor.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "received.jsonl").touch()
        if vendor.manifest:
            document = json.loads(vendor.manifest.read_text())
            for message in document["ietf-mud:mud"]["clear-envelope"]["messages"].values():
                message["rate"] = 3_600_000  # room for tests
            (folder / "manifest.json").write_text(json.dumps(document, indent=1))
        key = papers.new_key(folder / "key.pem")
        (folder / "cert.pem").write_bytes(authority.issue(key.public_key(), vendor.name, tuple(vendor.hosts)) + authority.pem)
        command = ["python3", "-m", "tests.home.lab.vendor", "--folder", str(folder)]
        command += ["--certificate", str(folder / "cert.pem"), "--key", str(folder / "key.pem")]
        answers = layout.SAMPLES / f"{vendor.name}.answers.json"
        command += ["--answers", str(answers)] if answers.exists() else []
        command += [address for pair in vendor.hosts.values() for address in pair]
        return Unit(f"vendor-{vendor.name}", layout.INTERNET, tuple(command), environment=TESTS_PATH)

    def _dhcp_client(self, namespace: str) -> Unit:
        script = str(Path(__file__).with_name("lease.sh"))
        command = ["udhcpc", "-f", "-i", layout.PORT, "-s", script, "-t", "20", "-T", "2", "-A", "2"]
        device = next((d for d in self.devices if layout.namespace(d.number) == namespace), None)
        if device and device.mud_url:
            command += ["-x", "0xa1:" + device.mud_url.encode().hex()]  # RFC 8520, section 10: option 161
        environment = {"LEASE_FILE": str(self.folder / "leases" / namespace)}
        return Unit(f"dhcp-{namespace}", namespace, tuple(command), notifies=False, environment=environment)
