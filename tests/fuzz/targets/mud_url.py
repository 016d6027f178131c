"""What a device showed to dnsmasq as its MUD URL, by the script that writes it down and the reader that shows it.

The first line is the action, the second the hardware address, the rest the URL. Each input is a run of the shell.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from gateway.announced import MUD_URL_MOST, mud_folder, mud_urls
from gateway.config import Config, Paths
from gateway.network.dhcp import RECORDER

WORDS = (
    b"add\n", b"old\n", b"del\n", b"02:00:00:00:00:01\n", b"https://a.example/mud.json", b"https://", b"$(id)", b"`id`", b"../",
    b"\n", b"%s", b"\\n", b"*", b"'", b'"', b"\xff", b"-n ", b"http://", b"A" * 256,
)  # fmt: skip
_MAC = re.compile(rb"(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")
_URL = re.compile(rb"https://[!-~]+")


def check(data: bytes) -> None:
    """One file of one printable line for the hardware address, or none; nothing else in the folder, nothing said."""
    action, mac, url = [*data.replace(b"\x00", b"").split(b"\n", 2), b"", b""][:3]  # a process cannot be given a zero byte
    with tempfile.TemporaryDirectory(prefix="mudroom-mud-") as scratch:
        config = Config(paths=Paths(state=scratch))
        folder = mud_folder(config)
        folder.mkdir(parents=True)
        done = subprocess.run(
            [b"/bin/sh", str(RECORDER).encode(), action, mac, b"10.99.0.16"],
            env={b"MUDROOM_MUD": str(folder).encode(), b"DNSMASQ_MUD_URL": url},
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=5,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        there = {path.name.encode(): path.read_bytes() for path in folder.iterdir()}
        taken = action in {b"add", b"old"} and _MAC.fullmatch(mac) and _URL.fullmatch(url) and len(url) <= MUD_URL_MOST
        assert there == ({mac: url + b"\n"} if taken else {})
        assert mud_urls(config) == ({mac.decode().lower(): url.decode()} if taken else {})
        assert {path.name for path in Path(scratch).iterdir()} == {folder.relative_to(scratch).parts[0]}
