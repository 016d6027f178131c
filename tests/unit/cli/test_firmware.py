"""`mudroom firmware …`, as an owner types it; the courier's end is a peer that keeps what the test says."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config import load
from gateway.ipc.frames import FrameReader, encode
from gateway.ipc.messages import AskFetch, Deed, DeedNoted, FetchAnswer
from gateway.reasons import Reason
from gateway.registry import Device, Kind, RegistryFile
from tests.unit.cli.recording import recording
from tests.unit.cli.test_manifests import ACME, Call
from tests.unit.standard.test_firmware import FIRMWARE, IMAGE

SOFTWARE = {**FIRMWARE, "size": len(IMAGE), "description": "Closes a hole."}
NAME = hashlib.sha256(IMAGE).hexdigest()


@pytest.fixture
def document(tmp_path: Path) -> Path:
    document = json.loads(ACME.read_text())
    document["ietf-mud:mud"]["clear-envelope"]["firmware"] = SOFTWARE
    (tmp_path / "with.json").write_text(json.dumps(document))
    return tmp_path / "with.json"


@pytest.fixture
def home(tmp_path: Path, call: Call, document: Path) -> Path:
    """Two plugs under one manifest with software, and a lamp without."""
    for number, id in enumerate(("plug", "plug-2", "lamp")):
        with RegistryFile(tmp_path / "registry.json").change() as change:
            change.admit(Device(id, id, Kind.LOCAL, f"02:00:00:00:00:0{number}"))
        with recording(load(tmp_path / "mudroom.toml")):
            assert call("devices", "approve", id, document if id != "lamp" else ACME, "--unsigned")[0] == 0
    return tmp_path


def keep(home: Path) -> Path:
    (home / "firmware").mkdir(exist_ok=True)
    (home / "firmware" / NAME).write_bytes(IMAGE)
    return home / "firmware" / NAME


def rows(call: Call, *words: str) -> list[dict[str, Any]]:
    code, out, err = call("firmware", *words, "--json")
    assert code == 0, err
    found: list[dict[str, Any]] = json.loads(out)
    return found


def offered(home: Path) -> dict[str, str]:
    return {device.id: device.firmware for device in RegistryFile(home / "registry.json").current().registry.devices}


@pytest.fixture
def ledger(home: Path) -> Iterator[list[Any]]:
    """A ledger's socket that gives the answers in the list, and puts what it was asked in their place; it records every deed."""
    answers: list[Any] = []
    (home / "ledger").mkdir(exist_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(home / "ledger" / "socket"))
    server.listen()

    def serve() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer:
                (payload,) = FrameReader().feed(peer.recv(65_536))
                asked = msgspec.msgpack.decode(payload, type=AskFetch | Deed)
                if isinstance(asked, Deed):
                    peer.sendall(encode(DeedNoted(asked.ref, 1, -1)))
                    continue
                answer = answers.pop(0)
                answers.append(asked)
                peer.sendall(encode(answer))

    thread = threading.Thread(target=serve)
    thread.start()
    yield answers
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_a_manifest_is_shown_with_its_software(call: Call, document: Path) -> None:
    code, out, _ = call("manifest", "check", document)
    assert code == 0
    assert "software for the device, fetched and offered at your word only: “Safer Wi-Fi”, version 2.1.0, 8 bytes" in out
    assert f"{SOFTWARE['digest']} Closes a hole., from {SOFTWARE['uri']}" in out
    (facts,) = json.loads(call("manifest", "check", document, "--json")[1])
    assert facts["firmware"] == SOFTWARE
    (facts,) = json.loads(call("manifest", "check", ACME, "--json")[1])
    assert facts["firmware"] is None
    code, out, _ = call("manifest", "diff", ACME, document)
    assert code == 3 and "would offer software for the device" in out and "(reprograms)" in out


def test_who_approves_is_told_of_the_software(home: Path, recorded: None, call: Call, document: Path) -> None:
    code, out, _ = call("devices", "approve", "lamp", document, "--unsigned")
    assert code == 0 and "“Safer Wi-Fi”, version 2.1.0" in out and "mudroom firmware fetch lamp" in out
    assert "software" not in call("devices", "approve", "lamp", ACME, "--unsigned")[1].splitlines()[-1]
    assert set(offered(home).values()) == {""}, "approved is not offered"


def test_the_list_says_what_is_declared_kept_and_offered(home: Path, recorded: None, call: Call) -> None:
    first, second = rows(call, "list")
    assert (first["device"], first["version"], first["size"], first["digest"]) == ("plug", "2.1.0", 8, SOFTWARE["digest"])
    assert (first["kept"], first["offered"], second["device"]) == (False, False, "plug-2")
    keep(home).write_bytes(IMAGE + b"!")
    assert not rows(call, "list", "plug")[0]["kept"], "not its size"
    keep(home)
    assert call("firmware", "offer", "plug")[0] == 0
    assert [(row["kept"], row["offered"]) for row in rows(call, "list")] == [(True, True), (True, False)]
    code, out, _ = call("firmware", "list")
    assert code == 0 and "Safer Wi-Fi" in out and SOFTWARE["uri"] in out
    assert rows(call, "list", "lamp") == []


def test_nothing_is_offered_that_is_not_here(home: Path, recorded: None, call: Call) -> None:
    code, _, err = call("firmware", "offer", "plug")
    assert code == 1 and "mudroom firmware fetch plug" in err
    for device in ("lamp", "nobody"):
        code, _, err = call("firmware", "offer", device)
        assert code == 1 and "no approved manifest that declares software" in err
    assert set(offered(home).values()) == {""}


def test_fetching_asks_for_what_is_declared_and_offers_only_when_told(home: Path, call: Call, ledger: list[Any]) -> None:
    told = json.dumps({"digest": SOFTWARE["digest"]}).encode()
    ledger.append(FetchAnswer(1, 200, -1, "", told))
    code, out, _ = call("firmware", "fetch", "plug")
    assert code == 0 and f"from {SOFTWARE['uri']}" in out and "mudroom firmware offer plug" in out
    assert ledger.pop() == AskFetch(1, "plug", SOFTWARE["uri"], "firmware")
    assert set(offered(home).values()) == {""}
    ledger.append(FetchAnswer(1, 0, -1, "kept already; nothing was fetched", told))
    row = json.loads(call("firmware", "fetch", "plug", "--offer", "--json")[1])
    assert (row["offered"], row["detail"], row["recorded"]) == (True, "kept already; nothing was fetched", True)
    assert offered(home) == {"plug": SOFTWARE["digest"], "plug-2": "", "lamp": ""}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (FetchAnswer(1, 200, Reason.FIRMWARE_MISMATCH.code, "SHA-256 00 came", b""), "SHA-256 00 came"),
        (FetchAnswer(1, 200, -1, "", b'{"digest":"sha-256:00"}'), "other software than"),
    ],
)
def test_what_is_wrong_is_told_and_not_offered(
    home: Path, call: Call, ledger: list[Any], answer: FetchAnswer, words: str
) -> None:
    ledger.append(answer)
    code, _, err = call("firmware", "fetch", "plug", "--offer")
    assert code == 1 and words in err
    assert set(offered(home).values()) == {""}


def test_withdrawing_and_removing(home: Path, recorded: None, call: Call) -> None:
    file = keep(home)
    for device in ("plug", "plug-2"):
        call("firmware", "offer", device)
    assert call("firmware", "withdraw", "plug")[0] == 0
    assert offered(home)["plug"] == "" and file.exists()
    code, out, _ = call("firmware", "remove", "plug")
    assert code == 0 and "stays for plug-2" in out and file.exists()
    code, out, _ = call("firmware", "remove", "plug-2")
    assert code == 0 and "is removed" in out and not file.exists()
    assert set(offered(home).values()) == {""}
    assert "was not here" in call("firmware", "remove", "plug-2")[1]


def test_removing_what_no_device_has(home: Path, recorded: None, call: Call) -> None:
    assert call("firmware", "remove", "--unused")[1].strip() == "there was none"
    file = keep(home)
    (file.parent / ("0" * 64)).write_bytes(b"old")
    (file.parent / ".incoming-x").write_bytes(b"the courier's")
    assert "files removed: 1" in call("firmware", "remove", "--unused")[1]
    assert {path.name for path in file.parent.iterdir()} == {NAME, ".incoming-x"}
    assert call("firmware", "remove")[0] == 2
    assert call("firmware", "remove", "plug", "--unused")[0] == 2
