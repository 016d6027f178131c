"""Firmware in the whole home: declared, approved, fetched at the owner's word, offered, taken by its device and by no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.standard.firmware import IMAGE_PATH, PATH
from tests.home.client import Here, eventually, mudroom, order, run_in
from tests.home.https import DeviceClient
from tests.home.lab import layout
from tests.home.test_manifests import HOST, command
from tests.home.test_signatures import behaving

IMAGE = hashlib.shake_128(b"firmware of the virtual plug").digest(24 * 1024 * 1024 + 7)
DIGEST = hashlib.sha256(IMAGE).hexdigest()
URI = f"https://{HOST}/fw/plug-7-2.1.0.bin"
KEPT = layout.STATE / "state" / "firmware"


@pytest.fixture
def declared(here: Here, tmp_path: Path) -> Iterator[Path]:
    """Device 1's approved manifest declares the image, which its vendor publishes. Afterwards all is as before."""
    original = Path(here.facts["vendors"]["acme"]["manifest"])
    folder = original.parent / "files"
    folder.mkdir(exist_ok=True)
    published = folder / "plug-7-2.1.0.bin"
    published.write_bytes(IMAGE)
    approve(original, tmp_path)
    yield published
    published.unlink()
    mudroom("firmware", "remove", "device-1")
    mudroom("devices", "approve", "device-1", str(original), "--unsigned")


def approve(original: Path, folder: Path, **changed: Any) -> None:
    document = json.loads(original.read_text())
    told = {"version": "2.1.0", "uri": URI, "size": len(IMAGE), "digest": f"sha-256:{DIGEST}", "title": "Safer Wi-Fi"}
    document["ietf-mud:mud"]["clear-envelope"]["firmware"] = told | changed
    file = folder / "with-firmware.json"
    file.write_text(json.dumps(document))
    mudroom("devices", "approve", "device-1", str(file), "--unsigned")


def asks(
    here: Here, path: str, *, number: int = 1, host: str = HOST, into: str = "/dev/null", by: str = "--http2"
) -> tuple[int, int]:
    """A device's GET by curl: status and bytes of the answer."""
    words = ["curl", by, "-sS", "-m", "60", "--cacert", "ca.pem", "--cert", "cert.pem", "--key", "key.pem", "-o", into]
    done = run_in(
        layout.namespace(number), *words, "-w", "%{http_code} %{size_download}", f"https://{host}{path}",
        timeout=62, cwd=here.folder(number),
    )  # fmt: skip
    status, size = [*done.out.split(), "0", "0"][:2]
    return int(status), int(size)


def looks(here: Here) -> list[dict[str, Any]]:
    return [line for line in here.received("acme") if line["method"] == "GET"]


def record() -> list[tuple[str, str]]:
    return [(row["what"], row["result"]) for row in json.loads(mudroom("firmware", "record", "device-1", "--json"))]


def test_from_the_owners_word_to_the_device(here: Here, declared: Path, tmp_path: Path) -> None:
    before = len(looks(here))
    (row,) = json.loads(mudroom("firmware", "list", "device-1", "--json"))
    assert (row["version"], row["kept"], row["offered"]) == ("2.1.0", False, False)
    assert (asks(here, PATH), asks(here, IMAGE_PATH)[0]) == ((204, 0), 404)
    assert len(looks(here)) == before, "approved, asked for by its device: nothing has left"

    assert "whole" in mudroom("firmware", "fetch", "device-1")
    (look,) = looks(here)[before:]
    assert look["path"] == "/fw/plug-7-2.1.0.bin"
    assert {name.lower() for name, _ in look["headers"]} == {"host", "accept", "user-agent"}, "the vendor learns nothing else"
    file = KEPT / DIGEST
    assert (file.owner(), file.group(), file.stat().st_mode & 0o777) == ("mudroom-courier", "mudroom", 0o640)
    assert [path.name for path in KEPT.iterdir()] == [DIGEST]
    assert asks(here, IMAGE_PATH)[0] == 404, "kept for the owner, who has not offered it"

    mudroom("firmware", "offer", "device-1")
    notice = here.folder(1) / "notice.json"
    assert asks(here, PATH, into=notice.name)[0] == 200
    assert json.loads(notice.read_text()) == {
        "version": "2.1.0",
        "size": len(IMAGE),
        "digest": f"sha-256:{DIGEST}",
        "title": "Safer Wi-Fi",
    }
    for by in ("--http1.1", "--http2"):
        assert asks(here, IMAGE_PATH, into="image.bin", by=by) == (200, len(IMAGE))
        assert (here.folder(1) / "image.bin").read_bytes() == IMAGE

    # Borealis' device finds nothing of it: not at its own host, not at the other's
    assert asks(here, PATH, number=2, host=here.host(2)) == (204, 0)
    assert asks(here, IMAGE_PATH, number=2, host=here.host(2))[0] == 404
    assert asks(here, IMAGE_PATH, number=2) == (0, 0)

    # once fetched, it is not asked for again, and what the device took the vendor never heard of
    assert "kept already" in mudroom("firmware", "fetch", "device-1")
    assert len(looks(here)) == before + 1
    assert eventually(lambda: record()[:1] == [("fetched", "kept")] and record(), "on record") == [
        ("fetched", "kept"),
        ("taken", "taken whole"),
        ("taken", "taken whole"),
        ("fetched", "kept"),
    ]
    mudroom("firmware", "withdraw", "device-1")
    assert asks(here, IMAGE_PATH)[0] == 404
    (chain,) = json.loads(mudroom("ledger", "verify", "--json"))
    assert chain["broken"] is None


def test_another_image_than_the_declared_is_not_kept_and_the_owner_is_told(here: Here, declared: Path) -> None:
    wrong = IMAGE[:-1] + b"!"
    declared.write_bytes(wrong)
    done = command("firmware", "fetch", "device-1", "--offer")
    assert done.code == 1 and hashlib.sha256(wrong).hexdigest() in done.err and "nothing was kept" in done.err
    declared.write_bytes(IMAGE[:-1])
    done = command("firmware", "fetch", "device-1")
    assert done.code == 1 and "Content-Length" in done.err
    with behaving("acme", status=302, headers={"Location": "https://tracker.example/"}):
        done = command("firmware", "fetch", "device-1")
        assert done.code == 1 and "redirects are not followed" in done.err
    assert list(KEPT.iterdir()) == []
    assert asks(here, PATH) == (204, 0)
    assert [result for what, result in record() if what == "fetched"][:3] == [
        "vendor-answer",
        "firmware-mismatch",
        "firmware-mismatch",
    ]


def test_a_file_that_changed_on_the_box_never_reaches_the_device_whole(here: Here, declared: Path) -> None:
    mudroom("firmware", "fetch", "device-1", "--offer")
    file = KEPT / DIGEST
    with file.open("r+b") as kept:
        kept.seek(1000)
        kept.write(b"a broken courier was here")
    status, size = asks(here, IMAGE_PATH)
    assert (status, size < len(IMAGE)) == (200, True)
    refused = json.loads(mudroom("messages", "--refused", "--json", "--device", "device-1"))
    assert refused[0]["reason"] == "firmware-mismatch"
    mudroom("firmware", "fetch", "device-1")
    assert asks(here, IMAGE_PATH) == (200, len(IMAGE)), "fetched anew"


def test_a_device_that_does_not_read_holds_a_bounded_part_for_a_bounded_time(here: Here, declared: Path) -> None:
    mudroom("firmware", "fetch", "device-1", "--offer")
    pids = {name: facts["pid"] for name, facts in order("list").items() if name.startswith("door-")}

    def resident() -> int:
        """Of all doors, in KiB, shared file pages left out."""
        lines = [line for pid in pids.values() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

    before, taken = resident(), len(record())
    client = DeviceClient(here, 1)
    connection = client._open(30)
    connection.request("GET", IMAGE_PATH)
    eventually(lambda: len(record()) > taken, "it has begun")
    most = 0

    def ended() -> bool:
        nonlocal most
        most = max(most, resident() - before)
        return record()[0][1].startswith("broke off")

    eventually(ended, "the door waits no longer", timeout=40)
    connection.close()
    assert most < 4096, f"{most} KiB for a device that does not read"
    eventually(lambda: here.reasons(1).get("timeout"), "the drop is on record")
