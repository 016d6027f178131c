"""Three namespaces in a row (client, middle, vendor) for the peers: no interceptor, and stock mitmdump.

The vendor is the virtual home's own vendor program. Everything here is made by ``street`` and removed at its end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.home.lab import papers, wires
from tests.home.sockets import socket_in

CLIENT, MIDDLE, VENDOR = "mudroom-bench-client", "mudroom-bench-middle", "mudroom-bench-vendor"
CLIENT4, MIDDLE4, OUTER4, VENDOR4 = "10.99.1.2", "10.99.1.1", "10.99.2.1", "10.99.2.2"
DIRECT, INTERCEPTED = "203.0.113.10", "203.0.113.11"  # the same vendor; what goes to the second meets mitmdump
PORT = 8080


@dataclass(frozen=True)
class Street:
    """What the measurements need to know. ``ca_*``: what the client trusts on either way."""

    folder: Path
    host: str
    path: str
    message: Path
    certificate: Path
    key: Path
    ca_direct: Path
    ca_intercepted: Path
    mitmdump: int  # process id


def patient(argv: list[str], namespace: str | None = None, **options: object) -> subprocess.Popen[bytes]:
    """Start a command that dies with us."""
    line = ["setpriv", "--pdeathsig", "KILL", "--", *argv]
    if namespace:
        line = ["ip", "netns", "exec", namespace, *line]
    return subprocess.Popen(line, stdin=subprocess.DEVNULL, start_new_session=True, **options)  # type: ignore[call-overload,no-any-return]


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, a while, SIGKILL."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def street(message: Path, manifest_host: str, kind: str, answers: Path | None) -> Iterator[Street]:
    """The peers' topology with vendor and mitmdump running."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="mudroom-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(remove)
        cables()
        public, home = papers.Authority("Bench public CA"), papers.Authority("Bench home CA")
        (folder / "public.pem").write_bytes(public.pem)
        vendor_key = papers.new_key(folder / "vendor.key")
        (folder / "vendor.pem").write_bytes(public.issue(vendor_key.public_key(), "vendor", (manifest_host,)) + public.pem)
        device_key = papers.new_key(folder / "device.key")
        (folder / "device.pem").write_bytes(home.issue(device_key.public_key(), "bench-device"))
        command = ["python3", "-m", "tests.home.lab.vendor", "--folder", str(folder)]
        command += ["--certificate", str(folder / "vendor.pem"), "--key", str(folder / "vendor.key")]
        command += ["--answers", str(answers)] if answers else []
        with (folder / "vendor.log").open("wb") as log:
            stack.callback(end, patient([*command, DIRECT, INTERCEPTED], VENDOR, stdout=log, stderr=log))
        confdir = folder / "mitmproxy"
        confdir.mkdir()
        interceptor_authority(confdir / "mitmproxy-ca.pem")
        options = {
            "confdir": confdir,
            "listen_port": PORT,
            "request_client_cert": "true",
            "ssl_verify_upstream_trusted_ca": folder / "public.pem",
            "http2": "false",
        }
        command = ["mitmdump", "-q", "--mode", "transparent"]
        command += [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
        with (folder / "mitmdump.log").open("wb") as log:
            mitmdump = patient(command, MIDDLE, stdout=log, stderr=log)
            stack.callback(end, mitmdump)
        for address in (DIRECT, INTERCEPTED):
            reachable(address, folder)
        await_port(MIDDLE, PORT, folder / "mitmdump.log")
        yield Street(
            folder=folder,
            host=manifest_host,
            path=f"/.well-known/clear-envelope/v1/messages/{kind}",
            message=message,
            certificate=folder / "device.pem",
            key=folder / "device.key",
            ca_direct=folder / "public.pem",
            ca_intercepted=confdir / "mitmproxy-ca.pem",
            mitmdump=mitmdump.pid,
        )


def cables() -> None:
    """Namespaces, cables, routes, and mitmproxy's documented redirect."""
    remove()
    for name in (CLIENT, MIDDLE, VENDOR):
        wires.run("ip", "netns", "add", name)
    batch = f"""\
link add name inner netns {MIDDLE} type veth peer name eth0 netns {CLIENT}
link add name outer netns {MIDDLE} type veth peer name eth0 netns {VENDOR}
"""
    wires.run("ip", "-batch", "-", input=batch)
    for name, lines in {
        CLIENT: [f"address add {CLIENT4}/24 dev eth0", "link set eth0 up", f"route add default via {MIDDLE4}"],
        MIDDLE: [
            f"address add {MIDDLE4}/24 dev inner",
            f"address add {OUTER4}/24 dev outer",
            "link set inner up",
            "link set outer up",
            f"route add default via {VENDOR4}",
        ],
        VENDOR: [
            f"address add {VENDOR4}/24 dev eth0",
            f"address add {DIRECT} dev lo",
            f"address add {INTERCEPTED} dev lo",
            "link set eth0 up",
            f"route add {CLIENT4}/32 via {OUTER4}",
        ],
    }.items():
        wires.run("ip", "-n", name, "-batch", "-", input="\n".join(["link set lo up", *lines]) + "\n")
    wires.inside(MIDDLE, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    rules = f"""\
table ip bench {{
    chain prerouting {{
        type nat hook prerouting priority dstnat
        iifname "inner" ip daddr {INTERCEPTED} tcp dport 443 redirect to :{PORT}
    }}
}}
"""
    wires.run("ip", "netns", "exec", MIDDLE, "nft", "-f", "-", input=rules)


def remove() -> None:
    """The namespaces and what still lives in them."""
    found = {line.split()[0] for line in wires.run("ip", "netns", "list", check=False).splitlines() if line.strip()}
    for name in (CLIENT, MIDDLE, VENDOR):
        if name in found:
            for member in wires.processes(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(member, signal.SIGKILL)
            wires.run("ip", "netns", "delete", name, check=False)


def interceptor_authority(path: Path) -> None:
    """A P-256 CA for mitmdump, so that its leaves (which use the CA's own key) are P-256 as ours are."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = papers.Authority("mitmproxy", key)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    path.write_bytes(pem + authority.pem)


def reachable(address: str, folder: Path, timeout: float = 30.0) -> None:
    """Wait until the vendor listens on ``address``."""
    await_port(VENDOR, 443, folder / "vendor.log", address, timeout)


def await_port(namespace: str, port: int, log: Path, address: str = "127.0.0.1", timeout: float = 30.0) -> None:
    """Wait until something in ``namespace`` listens. Raises TimeoutError with the log's end."""
    until = time.monotonic() + timeout
    while not _listens(namespace, port, address):
        if time.monotonic() > until:
            raise TimeoutError(f"nothing listens on {address}:{port} in {namespace}: {log.read_text()[-2000:]}")
        time.sleep(0.1)


def _listens(namespace: str, port: int, address: str) -> bool:
    with socket_in(namespace, socket.AF_INET, socket.SOCK_STREAM) as sock:
        return sock.connect_ex((address, port)) == 0
