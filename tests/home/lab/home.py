"""Brings the virtual home to life, in the order in which the appliance boots, and keeps it until told to stop."""

from __future__ import annotations

import asyncio
import compileall
import grp
import json
import os
import pwd
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway import service
from tests.home.lab import layout, papers, wires
from tests.home.lab.supervisor import LOGS, NOTIFY, Supervisor, Unit

Tell = Callable[[str], None]
MUDROOM = str(layout.APP / "bin" / "mudroom")
ENVIRONMENT = {
    "MUDROOM_CONFIG": str(layout.SETTINGS_FILE),
    "PYTHONPATH": str(layout.APP),
    "PYTHONSAFEPATH": "1",  # the installed copy, not the folder that the home was started from
    "MUDROOM_LOG": os.environ.get("MUDROOM_LOG", "INFO"),
}
TESTS_PATH = {"PYTHONPATH": str(layout.CHECKOUT)}


async def live(tell: Tell) -> None:
    """Start everything, say "ready", wait for SIGTERM or SIGINT, end everything."""
    home = layout.Home()
    supervisor = Supervisor()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await start(home, supervisor, tell)
        tell("ready")
        await stop.wait()
    finally:
        await supervisor.stop_all()


async def start(home: layout.Home, supervisor: Supervisor, tell: Tell) -> None:
    """All of it, step by step."""
    tell("laying cables between seven namespaces")
    wires.make(home)
    folders()
    install()
    tell("opening the internet: two vendors, a tracker, the provider's name and time servers")
    internet = internet_units(home)
    await supervisor.listen(layout.CONTROL)
    tell("starting the gateway: network, steering (eBPF), signer, ledger, names, courier, doors")
    layout.SETTINGS_FILE.write_text(layout.SETTINGS)
    await mudroom("network", "apply")
    (layout.RUN / "gateway" / "dnsmasq.conf").write_text(await mudroom("network", "dhcp"))
    await asyncio.gather(supervisor.start(*internet), supervisor.start(*gateway_units()))
    tell("admitting the devices: certificates from the home CA, manifests approved")
    await asyncio.gather(*(admit(device, home) for device in home.devices))
    for device in home.devices:
        wires.run("ip", "-n", device.namespace, "link", "set", "eth0", "up")
    await supervisor.start(*device_units(home))
    tell("waiting for leases and addresses")
    addresses = dict(zip(home.devices, await asyncio.gather(*(addressed(d) for d in home.devices)), strict=True))
    await asyncio.gather(*(resolves(d, home) for d in home.devices if d.kind == "standard"))
    layout.HOME_JSON.write_text(json.dumps(description(home, addresses), indent=1) + "\n")


def folders() -> None:
    """What tmpfiles and StateDirectory= make on the appliance: each service's folders, with its owner."""
    for path in (LOGS, NOTIFY, layout.APP, layout.RUN / "gateway", layout.RUN / "internet", layout.STATE / "state"):
        path.mkdir(parents=True, exist_ok=True)
    owned = [
        (layout.STATE / "state" / "pki", "signer", 0o755),
        (layout.STATE / "state" / "signer", "signer", 0o700),
        (layout.STATE / "state" / "ledger", "ledger", 0o700),
        (layout.STATE / "state" / "courier", "courier", 0o700),
        (layout.STATE / "state" / "firmware", "courier", 0o2750),
        (layout.STATE / "state" / "dhcp", "dhcp", 0o755),
        (layout.RUN / "gateway" / "steering", None, 0o755),
        (layout.RUN / "gateway" / "signer", "signer", 0o755),
        (layout.RUN / "gateway" / "ledger", "ledger", 0o755),
        (layout.RUN / "gateway" / "courier", "courier", 0o755),
        (layout.RUN / "gateway" / "steward", None, 0o755),
        (layout.STATE / "state" / "box", None, 0o700),
    ]
    for path, role, mode in owned:
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        if role:
            user = pwd.getpwnam(service.USERS[role])
            os.chown(path, user.pw_uid, user.pw_gid)
    # who tells notices: this user land need not know the name
    for path, owner, mode in (
        (layout.RUN / "gateway" / "telling", 0, 0o2750),
        (layout.STATE / "state" / "telling", service.TELLING_UID, 0o700),
    ):
        path.mkdir(exist_ok=True)
        os.chown(path, owner, service.TELLING_UID)
        path.chmod(mode)
    os.chown(layout.STATE / "state" / "firmware", -1, grp.getgrnam(service.GROUP).gr_gid)


def install() -> None:
    """A copy of the gateway where its unprivileged processes can read it, compiled, as on the appliance."""
    for part in ("gateway", "ebpf"):
        shutil.copytree(
            layout.CHECKOUT / part, layout.APP / part, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
        )
    compileall.compile_dir(layout.APP / "gateway", quiet=2, workers=1)
    script = layout.APP / "bin" / "mudroom"
    script.parent.mkdir(exist_ok=True)
    script.write_text('#!/bin/sh\nexec python3 -m gateway.cli "$@"\n')
    script.chmod(0o755)


def internet_units(home: layout.Home) -> list[Unit]:
    """The world outside: its CA, the vendors' hosts, name and time servers."""
    folder = layout.RUN / "internet"
    authority = papers.Authority("Virtual public CA")
    (folder / "ca.pem").write_bytes(authority.pem)
    units = []
    for vendor in home.vendors:
        vendor.folder.mkdir(parents=True, exist_ok=True)
        vendor.received.touch()
        if vendor.manifest:
            document = json.loads(vendor.manifest.read_text())
            for message in document["ietf-mud:mud"]["clear-envelope"]["messages"].values():
                message["rate"] = 3_600_000
            vendor.approved.write_text(json.dumps(document, indent=1))
        key = papers.new_key(vendor.folder / "key.pem")
        certificate = vendor.folder / "cert.pem"
        certificate.write_bytes(authority.issue(key.public_key(), vendor.name, tuple(vendor.hosts)) + authority.pem)
        answers = layout.SAMPLES / f"{vendor.name}.answers.json"
        command = ["python3", "-m", "tests.home.lab.vendor", "--folder", str(vendor.folder)]
        command += ["--certificate", str(certificate), "--key", str(vendor.folder / "key.pem")]
        command += ["--answers", str(answers)] if answers.exists() else []
        command += [] if os.environ.get("MUDROOM_LAB_BELIEVES") else ["--verify"]  # it costs more than the gateway's signing
        command += [address for pair in vendor.hosts.values() for address in pair]
        units.append(Unit(f"vendor-{vendor.name}", layout.INTERNET, tuple(command), environment=TESTS_PATH))
    records = [f"host-record={host},{v4},{v6}" for vendor in home.vendors for host, (v4, v6) in vendor.hosts.items()]
    (folder / "dnsmasq.conf").write_text(
        "\n".join(
            [
                "keep-in-foreground",
                "no-resolv",
                "no-hosts",
                "bind-interfaces",
                f"listen-address={layout.RESOLVER4},{layout.RESOLVER6}",
                "user=root",
                "pid-file=",
                "log-queries=extra",
                f"log-facility={folder}/questions.log",
                *records,
            ]
        )
        + "\n"
    )
    (folder / "chrony.conf").write_text(f"local stratum 2\nallow\nport 123\ncmdport 0\npidfile {folder}/chronyd.pid\n")
    units.append(Unit("isp-names", layout.INTERNET, ("dnsmasq", f"--conf-file={folder}/dnsmasq.conf"), notifies=False))
    units.append(Unit("isp-time", layout.INTERNET, _chronyd(folder / "chrony.conf"), notifies=False))
    return units


def _chronyd(configuration: Path) -> tuple[str, ...]:
    # -x: serve time and never touch the machine's clock; -u root: the namespace is its fence here
    return ("chronyd", "-d", "-x", "-u", "root", "-f", str(configuration))


def gateway_units() -> list[Unit]:
    """The gateway's processes, as their units on the appliance run them."""
    folder = layout.RUN / "gateway"
    (folder / "chrony.conf").write_text(
        f"server {layout.TIME4} iburst\nallow {layout.DMZ4}/24\nallow {layout.DMZ6}/64\nlocal stratum 10\n"
        f"cmdport 0\npidfile {folder}/chronyd.pid\n"
    )

    def ours(name: str, *words: str, user: str | None = None, capabilities: tuple[str, ...] = ()) -> Unit:
        command = (MUDROOM, "serve", *words)
        return Unit(name, layout.GATEWAY, command, user=user, capabilities=capabilities, environment=ENVIRONMENT)

    return [
        ours("steering", "steering"),
        ours("signer", "signer", user="mudroom-signer"),
        ours("ledger", "ledger", user="mudroom-ledger"),
        ours("courier", "courier", user="mudroom-courier"),
        ours("names", "names", user="mudroom-names"),
        ours("enrolment", "enrolment", user="mudroom-enrolment"),
        ours("steward", "steward"),
        ours("web", "web", user="mudroom-web", capabilities=("net_bind_service",)),
        ours("door-0", "door", "--worker", "0", user="mudroom-door"),
        ours("door-1", "door", "--worker", "1", user="mudroom-door"),
        Unit(
            "dhcp",
            layout.GATEWAY,
            ("dnsmasq", "--keep-in-foreground", f"--conf-file={folder}/dnsmasq.conf"),
            user="mudroom-dhcp",
            capabilities=("net_admin", "net_raw", "net_bind_service"),
            notifies=False,
            environment={"MUDROOM_MUD": str(layout.STATE / "state" / "dhcp" / "mud")},
        ),
        Unit("time", layout.GATEWAY, _chronyd(folder / "chrony.conf"), notifies=False),
    ]


def device_units(home: layout.Home) -> list[Unit]:
    """Each device's DHCP client."""
    script = str(layout.CHECKOUT / "tests" / "home" / "lab" / "udhcpc.sh")
    units = []
    for device in home.devices:
        command = ["udhcpc", "-f", "-i", "eth0", "-s", script, "-t", "20", "-T", "1", "-A", "1"]
        if device.mud_url:
            command += ["-x", "0xa1:" + device.mud_url.encode().hex()]  # RFC 8520 section 10: option 161
        units.append(Unit(f"dhcp-client-{device.number}", device.namespace, tuple(command), notifies=False))
    return units


async def mudroom(*words: str) -> str:
    """The owner's command, run inside the gateway; its standard output."""
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", layout.GATEWAY, MUDROOM, *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **ENVIRONMENT},
    )  # fmt: skip
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"mudroom {' '.join(words)}: exit {process.returncode}\n{err.decode()}{out.decode()}")
    return out.decode()


async def admit(device: layout.Device, home: layout.Home) -> None:
    """What the owner does with a new device; the unknown one is left alone and signs its own certificate."""
    device.folder.mkdir(parents=True, exist_ok=True)
    vendor = home.vendor(device.vendor)
    envelope = layout.SAMPLES / f"{vendor.name}.message.json"
    shutil.copyfile(envelope, device.folder / "message.json")
    kind = json.loads(envelope.read_text())["type"]
    manifest = json.loads((layout.SAMPLES / f"{vendor.name}.mud.json").read_text())["ietf-mud:mud"]["clear-envelope"]
    host = manifest["messages"][kind]["host"]
    (device.folder / "url").write_text(f"https://{host}/.well-known/clear-envelope/v1/messages/{kind}\n")
    key = papers.new_key(device.folder / "key.pem")
    if device.kind == "unknown":
        forger = papers.Authority("Mudroom home CA")
        (device.folder / "cert.pem").write_bytes(forger.issue(key.public_key(), device.id))
    else:
        await mudroom("devices", "add", device.id, "--mac", device.mac, "--name", f"Device {device.number}", "--kind", "local")
        request = device.folder / "request.pem"
        request.write_bytes(papers.request(key, device.id))
        (device.folder / "cert.pem").write_text(await mudroom("devices", "certify", device.id, str(request)))
    if device.kind == "standard" and vendor.manifest is not None:
        await mudroom("devices", "approve", device.id, str(vendor.approved), "--unsigned")
    shutil.copyfile(layout.STATE / "state" / "pki" / "ca.pem", device.folder / "ca.pem")


async def addressed(device: layout.Device, timeout: float = 25.0) -> dict[str, str]:
    """The device's addresses once it has a lease and has formed an IPv6 address of the DMZ."""
    try:
        async with asyncio.timeout(timeout):
            while True:
                links = json.loads(wires.run("ip", "-n", device.namespace, "-j", "address", "show", "dev", "eth0"))
                found = {
                    a["family"]: a["local"] for a in links[0]["addr_info"] if a["scope"] == "global" and not a.get("tentative")
                }
                if {"inet", "inet6"} <= found.keys():
                    return {"v4": found["inet"], "v6": found["inet6"]}
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TimeoutError(f"{device.id} has no addresses after {timeout} s: {links}") from None


async def resolves(device: layout.Device, home: layout.Home, timeout: float = 20.0) -> None:
    """Wait until the device finds its vendor's hosts by the gateway's resolver."""
    host = next(iter(home.vendor(device.vendor).hosts))
    async with asyncio.timeout(timeout):
        while True:
            question = ("kdig", "+short", "+time=1", "+retry=0", f"@{layout.DMZ4}", host, "A")
            process = await asyncio.create_subprocess_exec(
                "ip", "netns", "exec", device.namespace, *question,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            out, _ = await process.communicate()
            if out.strip().startswith(b"10."):
                return
            await asyncio.sleep(0.1)


def description(home: layout.Home, addresses: dict[layout.Device, dict[str, str]]) -> dict[str, Any]:
    """home.json."""
    bare = {name: value.split("/")[0] for name, value in vars(layout).items() if isinstance(value, str)}
    return {
        "namespaces": {
            "internet": layout.INTERNET,
            "gateway": layout.GATEWAY,
            "laptop": layout.LAPTOP,
            **{device.id: device.namespace for device in home.devices},
        },
        "gateway": {
            "wan0": {"v4": bare["WAN4"], "v6": bare["WAN6"]},
            "lan0": {"v4": bare["LAN4"], "v6": bare["LAN6"]},
            "dmz0": {"v4": layout.DMZ4, "v6": layout.DMZ6},
            "macs": {name: mac(layout.GATEWAY, name) for name in ("wan0", "lan0", "dmz0")},
            "settings": str(layout.SETTINGS_FILE),
            "state": str(layout.STATE / "state"),
            "ledger": str(layout.STATE / "state" / "ledger" / "ledger.db"),
        },
        "laptop": {"v4": bare["LAPTOP4"], "v6": bare["LAPTOP6"], "mac": mac(layout.LAPTOP, "eth0")},
        "internet": {
            "v4": bare["ISP4"],
            "v6": bare["ISP6"],
            "mac": mac(layout.INTERNET, "eth0"),
            "resolver": {"v4": layout.RESOLVER4, "v6": layout.RESOLVER6, "questions": str(layout.RUN / "internet/questions.log")},
            "time": {"v4": layout.TIME4, "v6": layout.TIME6},
            "ca": str(layout.RUN / "internet" / "ca.pem"),
        },
        "devices": {
            device.id: {
                "number": device.number,
                "namespace": device.namespace,
                "kind": device.kind,
                "vendor": device.vendor,
                "mac": device.mac,
                **addresses[device],
                "files": {name: str(device.folder / name) for name in ("ca.pem", "cert.pem", "key.pem", "message.json", "url")},
            }
            for device in home.devices
        },
        "vendors": {
            vendor.name: {
                "hosts": {host: {"v4": v4, "v6": v6} for host, (v4, v6) in vendor.hosts.items()},
                "received": str(vendor.received),
                "manifest": str(vendor.approved) if vendor.manifest else None,
            }
            for vendor in home.vendors
        },
        "control": str(layout.CONTROL),
        "logs": str(LOGS),
    }


def mac(namespace: str, interface: str) -> str:
    """An interface's hardware address."""
    found: str = json.loads(wires.run("ip", "-n", namespace, "-j", "link", "show", "dev", interface))[0]["address"]
    return found
