"""`mudroom devices strangers`: whom nobody admitted, and nobody else."""

from __future__ import annotations

import json
import socket
import time
from contextlib import closing
from pathlib import Path

from gateway.config import load
from gateway.ipc.frames import encode
from gateway.ipc.messages import Attempt
from gateway.ledger.reader import Reader
from gateway.reasons import Reason
from tests.unit.cli.recording import recording
from tests.unit.cli.test_manifests import Call

KNOWN, STRANGER, LATER = "02:00:00:00:00:01", "02:00:00:00:00:09", "02:00:00:00:00:0a"


def test_they_are_listed_with_what_they_tried(call: Call, tmp_path: Path) -> None:
    config = load(tmp_path / "mudroom.toml")
    with recording(config):
        assert call("devices", "strangers")[1] == "Nobody was heard whom you did not admit.\n"
        assert call("devices", "add", "plug", "--mac", KNOWN)[0] == 0
        with closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.connect(str(config.paths.socket("ledger")))
            for number, (device, reason) in enumerate(
                (
                    (KNOWN, Reason.UNKNOWN_DEVICE), (STRANGER, Reason.UNKNOWN_DEVICE), (STRANGER, Reason.NAME_NOT_APPROVED),
                    (LATER, Reason.UNKNOWN_DEVICE), ("plug", Reason.NAME_NOT_APPROVED), ("<b>", Reason.UNKNOWN_DEVICE),
                )
            ):  # fmt: skip
                at = time.time_ns() + number
                sock.sendall(encode(Attempt(device, reason.code, "udp", "203.0.113.9", 443, 2, at, at, "door")))
            deadline = time.monotonic() + 15
            while not any(row.device == "<b>" for row in _attempts(config.paths.ledger)) and time.monotonic() < deadline:
                time.sleep(0.02)  # they are written by and by, and nobody is told
    rows = json.loads(call("devices", "strangers", "--json")[1])
    assert [(row["mac"], row["count"]) for row in rows] == [(LATER, 2), (STRANGER, 4)]
    assert Reason.UNKNOWN_DEVICE.words in rows[1]["tried"] and Reason.NAME_NOT_APPROVED.words in rows[1]["tried"]


def _attempts(path: Path) -> list[object]:
    with Reader(path) as reader:
        return list(reader.attempts(limit=100))
