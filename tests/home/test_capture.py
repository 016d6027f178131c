"""Keys are the owner's: what he captures opens in tshark, in clear, and holds one device only."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scapy.utils import PcapNgReader

from tests.home.client import GATEWAY_ENVIRONMENT, Here, mudroom, order, status_of
from tests.home.lab import layout
from tests.home.lab.home import MUDROOM

FIELDS = ("-e", "ip.src", "-e", "http.host", "-e", "http.request.uri", "-e", "http.file_data")
DOORS = 2


@contextlib.contextmanager
def taking(*words: str) -> Iterator[subprocess.Popen[str]]:
    """The owner's command once both doors have heard of it; ended by control-C."""
    line = ["ip", "netns", "exec", layout.GATEWAY, MUDROOM, *words]
    with subprocess.Popen(line, env=GATEWAY_ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = [process.stderr.readline() for _ in range(1 + DOORS)]
            assert said[0].startswith("record ") and said[DOORS].startswith("a door gives"), said
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()


def requests(file: Path, *more: str) -> list[list[str]]:
    """What tshark, which has nothing but the file, sees of HTTP."""
    words = ("tshark", "-n", "-r", str(file), *more, "-Y", "http.request", "-T", "fields", *FIELDS)
    done = subprocess.run(words, text=True, capture_output=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def streams(file: Path, *more: str) -> list[str]:
    """What it sees of HTTP/2: authority and path of each request."""
    fields = ("-e", "http2.headers.authority", "-e", "http2.headers.path")
    words = ("tshark", "-n", "-r", str(file), *more, "-Y", "http2.headers.method", "-T", "fields", *fields)
    done = subprocess.run(words, text=True, capture_output=True, check=True)
    return [line.replace("\t", "") for line in done.stdout.splitlines()]


def owners() -> list[dict[str, Any]]:
    """`mudroom keys list`."""
    found: list[dict[str, Any]] = json.loads(mudroom("keys", "list", "--json"))
    return found


def test_a_capture_shows_the_inner_leg_in_clear(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "plug.pcapng"
    assert 200 <= status_of(here.curl(1)) < 300
    with taking("capture", "device-1", "--minutes", "2", "-o", str(file)):
        assert 200 <= status_of(here.curl(1, "--http1.1")) < 300
        assert 200 <= status_of(here.curl(2)) < 300
    assert file.stat().st_mode & 0o777 == 0o600
    ((_, host, path, body),) = requests(file)
    assert f"https://{host}{path}" == here.url(1)
    assert bytes.fromhex(body) == (here.folder(1) / "message.json").read_bytes()
    mac = bytes.fromhex(here.device(1)["mac"].replace(":", ""))
    with PcapNgReader(str(file)) as reader:
        ends = {(head[:6], head[6:]) for frame in reader if (head := bytes(frame)[:12])}
    assert ends and all(mac in each for each in ends)
    newest = owners()[0]
    assert (newest["device"], newest["what"]) == ("device-1", "capture")


def test_without_its_secrets_nobody_reads_it(here: Here, tmp_path: Path) -> None:
    """The same packets, seen by somebody on the wire; only the exported keys open them. This time it is HTTP/2."""
    wire, keys = tmp_path / "wire.pcap", tmp_path / "plug.keys"
    sniffing = ["ip", "netns", "exec", layout.GATEWAY, "tcpdump", "-i", "dmz0", "--immediate-mode", "-U", "-w", str(wire)]
    with (
        taking("keys", "export", "device-1", "-o", str(keys)),
        subprocess.Popen(sniffing, stderr=subprocess.PIPE, text=True) as tcpdump,
    ):
        assert tcpdump.stderr is not None
        try:
            assert "listening" in tcpdump.stderr.readline()
            assert 200 <= status_of(here.curl(1, "--http2")) < 300
            assert 200 <= status_of(here.curl(2, "--http2")) < 300
        finally:
            tcpdump.terminate()
            tcpdump.wait(10)
    assert streams(wire) == []
    assert streams(wire, "-o", f"tls.keylog_file:{keys}") == [here.url(1).removeprefix("https://")]
    assert keys.stat().st_mode & 0o777 == 0o600


def test_nothing_is_taken_that_cannot_be_recorded(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "never.pcapng"
    order("stop", "ledger")
    try:
        done = subprocess.run(
            ["ip", "netns", "exec", layout.GATEWAY, MUDROOM, "capture", "device-1", "-o", str(file)],
            env=GATEWAY_ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    finally:
        order("start", "ledger")
        order("ready", "ledger", timeout=30)
    assert done.returncode == 1 and "ledger" in done.stderr
    assert not file.exists()
    (tmp_path / "there").write_text("mine")
    again = mudroom("capture", "device-1", "-o", str(tmp_path / "there"), check=False)
    assert (tmp_path / "there").read_text() == "mine" and "capturing" not in again
