"""`python3 -m tests.home.reference MANIFEST`: the reference vendor host on the internet of the running virtual home.

It gives the manifest's first host an address, a name at the provider's name server and a certificate of an authority that the
gateway believes, serves until Ctrl-C or SIGTERM, and takes all of that away again.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.home.client import eventually, order, run_in
from tests.home.lab import layout, papers, wires

ADDRESS = "203.0.113.77"
FOLDER = layout.RUN / "vendors" / "reference"
VENDOR = Path(__file__).with_name("vendor.py")
AUTHORITIES = layout.RUN / "internet" / "ca.pem"
NAMES = layout.RUN / "internet" / "dnsmasq.conf"


@contextlib.contextmanager
def added(file: Path, text: str) -> Iterator[None]:
    """Lines at the end of a file, and not any more afterwards."""
    before = file.read_text()
    file.write_text(before + text)
    try:
        yield
    finally:
        file.write_text(before)


def told_names() -> None:
    """The provider's name server reads its file anew."""
    order("kill", "isp-names")
    order("ready", "isp-names")


@contextlib.contextmanager
def on_the_internet(manifest: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """The reference vendor host, listening; its standard output has a line for each message. ``more``: its options."""
    host = json.loads(manifest.read_text())["ietf-mud:mud"]["clear-envelope"]["hosts"][0]
    FOLDER.mkdir(parents=True, exist_ok=True)
    authority = papers.Authority("Virtual authority of the reference host")
    key = papers.new_key(FOLDER / "host.key")
    (FOLDER / "host.pem").write_bytes(authority.issue(key.public_key(), host, (host,)))
    (FOLDER / "ca.pem").write_bytes(authority.pem)
    wires.run("ip", "-n", layout.INTERNET, "address", "add", ADDRESS, "dev", "lo")
    command = ["ip", "netns", "exec", layout.INTERNET, sys.executable, str(VENDOR), "--manifest", str(manifest)]
    command += ["--certificate", str(FOLDER / "host.pem"), "--key", str(FOLDER / "host.key"), "--address", ADDRESS, *more]
    try:
        with added(AUTHORITIES, authority.pem.decode()), added(NAMES, f"host-record={host},{ADDRESS}\n"):
            told_names()
            with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                try:
                    assert process.stderr is not None
                    assert "listens" in process.stderr.readline()
                    question = ("kdig", "+short", "+time=1", "+retry=0", f"@{layout.RESOLVER4}", host, "A")
                    eventually(lambda: run_in(layout.INTERNET, *question).out.strip() == ADDRESS, "the name is known")
                    yield process
                finally:
                    process.terminate()
    finally:
        wires.run("ip", "-n", layout.INTERNET, "address", "del", f"{ADDRESS}/32", "dev", "lo", check=False)
        told_names()


def main() -> None:
    """Serve, showing each message, until told to stop."""
    if len(sys.argv) != 2 or not layout.HOME_JSON.exists():
        sys.exit(f"{__doc__}\nThe virtual home must run: make lab-up")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    with contextlib.suppress(KeyboardInterrupt), on_the_internet(Path(sys.argv[1])) as process:
        print(f"the reference host listens on {ADDRESS}", file=sys.stderr, flush=True)
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)


if __name__ == "__main__":
    main()
