"""Signed manifests in the whole home: approved, fetched at the owner's word, in force or waiting, and all of it on record."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.home.client import GATEWAY_ENVIRONMENT, Done, Here, eventually, mudroom, status_of
from tests.home.lab import layout
from tests.home.lab.home import MUDROOM

HOST = "api.acme.example"
URL = f"https://{HOST}/mud/plug-7.json"


def command(*words: object) -> Done:
    line = ["ip", "netns", "exec", layout.GATEWAY, MUDROOM, *map(str, words)]
    done = subprocess.run(line, text=True, capture_output=True, env=GATEWAY_ENVIRONMENT, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def signer(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """Makes a signer's certificate and key with openssl."""

    def make(name: str) -> tuple[Path, Path]:
        key, certificate = tmp_path / f"{name}.key", tmp_path / f"{name}.pem"
        options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "90", "-subj", f"/CN={name}"]
        subprocess.run(
            ["openssl", "req", "-x509", *options, "-keyout", key, "-out", certificate], check=True, capture_output=True
        )
        return certificate, key

    return make


@pytest.fixture
def published(here: Here) -> Iterator[Path]:
    """What the vendor publishes; afterwards device 1 has its own manifest again."""
    original = Path(here.facts["vendors"]["acme"]["manifest"])
    folder = original.parent / "files"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    yield folder
    for file in folder.iterdir():
        file.unlink()
    mudroom("devices", "approve", "device-1", str(original), "--unsigned")


def publish(here: Here, folder: Path, signer: tuple[Path, Path], maximum: int) -> Path:
    """A version of Acme's manifest with another upper bound of the power, signed."""
    document: dict[str, Any] = json.loads(Path(here.facts["vendors"]["acme"]["manifest"]).read_text())
    head = document["ietf-mud:mud"]
    head |= {"mud-url": URL, "mud-signature": f"{URL}.p7s"}
    reading = head["clear-envelope"]["messages"]["power-reading"]["payload"]["properties"]
    reading["power"]["maximum"] = maximum
    file = folder / "plug-7.json"
    file.write_text(json.dumps(document))
    certificate, key = signer
    mudroom("manifest", "sign", str(file), "--certificate", str(certificate), "--key", str(key))
    for path in (file, file.with_name("plug-7.json.p7s")):
        path.chmod(0o644)
    return file


def sent(here: Here, power: float) -> int:
    envelope = json.loads((here.folder(1) / "message.json").read_text())
    envelope["payload"]["power"] = power
    return status_of(here.curl(1, data=json.dumps(envelope)))


def test_a_signed_manifest_from_approval_to_its_successors(
    here: Here, published: Path, signer: Callable[[str], tuple[Path, Path]]
) -> None:
    acme = signer("Acme")
    first = publish(here, published, acme, 2000)
    assert command("devices", "approve", "device-1", first).code == 2, "nobody says who signed it"
    mudroom("devices", "approve", "device-1", str(first), "--signature", f"{first}.p7s")
    assert 200 <= sent(here, 1500) < 300
    assert sent(here, 2500) == 422

    # the vendor asks for less: in force at once
    before = len(here.received("acme"))
    publish(here, published, acme, 1000)
    done = command("manifest", "fetch", "device-1")
    assert (done.code, "so it is in force" in done.out) == (0, True), done
    assert sent(here, 1500) == 422
    assert 200 <= sent(here, 900) < 300
    looks = [line for line in here.received("acme")[before:] if line["method"] == "GET"]
    assert [line["path"] for line in looks] == ["/mud/plug-7.json", "/mud/plug-7.json.p7s"]
    names = {name.lower() for line in looks for name, _ in line["headers"]}
    assert names == {"host", "accept", "user-agent"}, "the vendor learns nothing else"

    # it asks for more: waits, and is told in words
    publish(here, published, acme, 3000)
    done = command("manifest", "fetch", "device-1")
    assert done.code == 3 and "would reach from 0 to 3000 W, so far from 0 to 1000" in done.out
    assert sent(here, 2500) == 422
    findings = json.loads(mudroom("doctor", "--json", check=False))
    assert any("a manifest of device-1 waits" in finding["says"] for finding in findings)
    mudroom("devices", "approve", "device-1")
    assert 200 <= sent(here, 2500) < 300

    # somebody else signs a narrower one: waits as a change of signer
    publish(here, published, signer("Mallory"), 500)
    done = command("manifest", "fetch", "device-1")
    assert done.code == 3 and "signed by another key: “CN=Mallory”" in done.out
    assert 200 <= sent(here, 2500) < 300

    # a changed file under the old signature is nobody's
    publish(here, published, acme, 100).write_text(first.read_text().replace("100", "101"))
    done = command("manifest", "fetch", "device-1")
    assert done.code == 1 and "changed since" in done.err

    # each look stands in the record, whose chain is whole
    rows = json.loads(mudroom("manifest", "looks", "device-1", "--json"))
    assert len(rows) == 8 and {row["url"] for row in rows} == {URL, f"{URL}.p7s"}
    assert all(row["came"].endswith("bytes") for row in rows)
    (chain,) = json.loads(mudroom("ledger", "verify", "--json"))
    assert chain["broken"] is None


def test_a_look_at_what_is_not_there_or_not_allowed(here: Here, published: Path) -> None:
    done = command("manifest", "fetch", "device-1", "--url", f"https://{HOST}/mud/nothing.json")
    assert done.code == 1 and "answered 204" in done.err
    done = command("manifest", "fetch", "device-3")
    assert done.code == 1 and "no approved manifest" in done.err
    rows = json.loads(mudroom("manifest", "looks", "device-1", "--json"))
    assert eventually(lambda: rows[0]["came"] == "vendor-answer", "the look is on record")
