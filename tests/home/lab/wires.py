"""Namespaces and the cables between them: made, looked into and removed with ip(8)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence

from tests.home.lab import layout


def run(*argv: str, input: str | None = None, check: bool = True) -> str:
    """A command's standard output. Raises CalledProcessError with its standard error shown."""
    done = subprocess.run(argv, input=input, text=True, capture_output=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def inside(namespace: str, *argv: str, check: bool = True) -> str:
    """The same, inside a namespace."""
    return run("ip", "netns", "exec", namespace, *argv, check=check)


def existing(home: layout.Home) -> list[str]:
    """Those of the home's namespaces that exist."""
    found = {line.split()[0] for line in run("ip", "netns", "list", check=False).splitlines() if line.strip()}
    return [name for name in home.namespaces if name in found]


def processes(namespace: str) -> list[int]:
    """The ids of the processes that live in a namespace."""
    return [int(pid) for pid in run("ip", "netns", "pids", namespace, check=False).split()]


def make(home: layout.Home) -> None:
    """All namespaces and cables. The gateway's DMZ side is left to `mudroom network apply`; devices' links stay down."""
    for name in home.namespaces:
        run("ip", "netns", "add", name)
    _batch(None, _cables(home))
    _batch(layout.INTERNET, _internet(home))
    _batch(layout.GATEWAY, _gateway())
    _batch(layout.LAPTOP, _laptop())
    for device in home.devices:
        _batch(device.namespace, ["link set lo up"])
        folder = layout.NETNS_ETC / device.namespace
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(f"nameserver {layout.DMZ4}\noptions timeout:2 attempts:2\n")
    for name in (layout.GATEWAY, layout.LAPTOP):
        folder = layout.NETNS_ETC / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(f"nameserver {layout.RESOLVER4}\n")


def remove(home: layout.Home) -> None:
    """All of it, whatever state it is in."""
    for name in existing(home):
        run("ip", "netns", "delete", name, check=False)
    for name in home.namespaces:
        shutil.rmtree(layout.NETNS_ETC / name, ignore_errors=True)


def _batch(namespace: str | None, lines: Iterable[str]) -> None:
    where: Sequence[str] = () if namespace is None else ("-n", namespace)
    run("ip", *where, "-batch", "-", input="\n".join(lines) + "\n")


def _cables(home: layout.Home) -> list[str]:
    cable = "link add name {} netns {} type veth peer name eth0 netns {}"
    return [
        cable.format("wan0", layout.GATEWAY, layout.INTERNET),
        cable.format("lan0", layout.GATEWAY, layout.LAPTOP),
        *(
            f"link add name port{d.number} netns {layout.GATEWAY} type veth peer name eth0 address {d.mac} netns {d.namespace}"
            for d in home.devices
        ),
    ]


def _internet(home: layout.Home) -> list[str]:
    hosts = [address for vendor in home.vendors for pair in vendor.hosts.values() for address in pair]
    return [
        "link set lo up",
        "link set eth0 up",
        f"address add {layout.ISP4} dev eth0",
        f"address add {layout.ISP6} dev eth0 nodad",
        *(f"address add {a}/24 dev eth0" for a in (layout.RESOLVER4, layout.TIME4)),
        *(f"address add {a}/64 dev eth0 nodad" for a in (layout.RESOLVER6, layout.TIME6)),
        *(f"address add {a} dev lo" for a in hosts),
    ]


def _gateway() -> list[str]:
    """What the WAN role does on the appliance: addresses and default routes of the WAN."""
    return [
        "link set lo up",
        "link set wan0 up",
        "link set lan0 up",
        f"address add {layout.WAN4} dev wan0",
        f"address add {layout.WAN6} dev wan0 nodad",
        f"route add default via {layout.ISP4.split('/')[0]}",
        f"route add default via {layout.ISP6.split('/')[0]}",
    ]


def _laptop() -> list[str]:
    return [
        "link set lo up",
        "link set eth0 up",
        f"address add {layout.LAPTOP4} dev eth0",
        f"address add {layout.LAPTOP6} dev eth0 nodad",
        f"route add default via {layout.LAN4.split('/')[0]}",
        f"route add default via {layout.LAN6.split('/')[0]}",
    ]
