"""`mudroom manifest …` and approval, as owner and vendor type them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main, status
from gateway.cli.state import State
from gateway.config import load
from gateway.registry import RegistryFile
from tests.unit.cli.recording import recording
from tests.unit.standard.conftest import SAMPLES
from tests.unit.standard.test_cms import signer

ACME = SAMPLES / "acme.mud.json"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    (tmp_path / "mudroom.toml").write_text(f'[paths]\nstate = "{tmp_path}"\nrun = "{tmp_path}"\n')

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mudroom", "--config", str(tmp_path / "mudroom.toml"), *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, str], Path]:
    """Acme's manifest with one text replaced."""

    def make(old: str, new: str) -> Path:
        text = ACME.read_text()
        assert old in text
        path = tmp_path / f"changed-{abs(hash((old, new)))}.json"
        path.write_text(text.replace(old, new))
        return path

    return make


def signature(call: Call, folder: Path, file: Path, name: str = "p256") -> Path:
    signer(folder, name)
    made = folder / f"{file.name}-{name}.p7s"
    code, out, _ = call(
        "manifest",
        "sign",
        file,
        "--certificate",
        folder / f"{name}-digitalSignature.pem",
        "--key",
        folder / f"{name}.key",
        "-o",
        made,
    )
    assert code == 0 and "signed by CN=MUD signer" in out
    return made


def device(folder: Path) -> Any:
    return RegistryFile(folder / "registry.json").current().by_id["plug"]


def test_check_says_what_a_manifest_declares(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("manifest", "check", ACME, "--signature", signature(call, tmp_path, ACME))
    assert code == 0
    assert "signature: good, by “CN=MUD signer p256,O=Acme”" in out
    assert "Power drawn now: a number from 0 to 3680 W in steps of 0.1" in out
    (facts,) = json.loads(call("manifest", "check", ACME, "--json")[1])
    assert facts["conforms"] and facts["messages"]["power-reading"]["rate"] == 360


def test_check_says_what_is_wrong_and_what_to_do(call: Call, changed: Callable[[str, str], Path]) -> None:
    wrong = changed('"unit": "W"', '"unit": "Watt"')
    code, out, _ = call("manifest", "check", wrong)
    assert code == 3 and "/properties/power/unit: units are SenML's" in out and "choose one" in out
    (facts,) = json.loads(call("manifest", "check", wrong, "--json")[1])
    assert not facts["conforms"] and facts["pointer"].endswith("/power/unit")


def test_check_shows_what_a_plain_mud_files_device_would_want(call: Call, tmp_path: Path) -> None:
    matches = {
        "ipv4": {"ietf-acldns:dst-dnsname": "api.lamp.example", "protocol": 6},
        "tcp": {"destination-port": {"operator": "eq", "port": 443}},
    }
    policy = {"access-lists": {"access-list": [{"name": "l"}]}}
    plain = {
        "ietf-mud:mud": {"mud-version": 1, "mud-url": "https://lamp.example/m", "from-device-policy": policy},
        "ietf-access-control-list:acls": {"acl": [{"name": "l", "aces": {"ace": [{"name": "a", "matches": matches}]}}]},
    }
    file = tmp_path / "lamp.json"
    file.write_text(json.dumps(plain))
    code, out, _ = call("manifest", "check", file)
    assert code == 3 and "can only be local" in out and "to api.lamp.example: TCP port 443" in out


def test_a_bad_signature_is_an_error(call: Call, tmp_path: Path, changed: Callable[[str, str], Path]) -> None:
    made = signature(call, tmp_path, ACME)
    code, _, err = call("manifest", "check", changed("3680", "3681"), "--signature", made)
    assert code == 1 and "another file's" in err


def test_diff(call: Call, changed: Callable[[str, str], Path]) -> None:
    assert call("manifest", "diff", ACME, ACME)[0] == 0
    code, out, _ = call("manifest", "diff", ACME, changed("3680", "3000"))
    assert code == 0 and "would reach from 0 to 3000 W" in out
    code, out, _ = call("manifest", "diff", ACME, changed("3680", "4000"))
    assert code == 3 and "! “Power drawn now” would reach from 0 to 4000 W" in out
    rows = json.loads(call("manifest", "diff", ACME, changed("3680", "4000"), "--json")[1])
    assert [row["effect"] for row in rows] == ["widens"] and rows[0]["waits"]


def test_draft_and_its_gaps(call: Call, tmp_path: Path) -> None:
    lines = tmp_path / "Power Reading.jsonl"
    lines.write_text('{"power": 61.4, "id": "550e8400-e29b-41d4-a716-446655440000"}\n{"power": 60.1}\n')
    code, out, err = call("manifest", "draft", lines)
    assert code == 0
    messages = json.loads(out)["ietf-mud:mud"]["clear-envelope"]["messages"]
    assert messages["power-reading"]["payload"]["properties"]["power"]["unit"] == "W"
    assert "CANNOT BE DECLARED: power-reading /id: a UUID" in err
    draft = tmp_path / "draft.json"
    assert call("manifest", "draft", lines, "-o", draft)[0] == 0
    code, out, _ = call("manifest", "check", draft)
    assert code == 3 and "still to be filled in" in out
    whole = json.loads(call("manifest", "draft", ACME.with_name("acme.message.json"), "--json")[1])
    assert "power-reading" in whole["manifest"]["ietf-mud:mud"]["clear-envelope"]["messages"]
    lines.write_text("{}{")
    assert call("manifest", "draft", lines)[0] == 2


def test_approval_pins_the_signer_and_later_versions_are_weighed(
    call: Call, recorded: None, tmp_path: Path, changed: Callable[[str, str], Path]
) -> None:
    call("devices", "add", "plug", "--mac", "02:00:00:00:00:01")
    code, _, err = call("devices", "approve", "plug", ACME)
    assert code == 2 and "--unsigned" in err and not device(tmp_path).manifest
    code, out, _ = call("devices", "approve", "plug", ACME, "--signature", signature(call, tmp_path, ACME))
    assert code == 0 and "signature: good" in out and "may send 3 message types to api.acme.example" in out
    assert "its budget is 262,144: what is beyond will be refused" in out
    assert call("devices", "budget", "plug", str(10**9))[0] == 0
    again = call("devices", "approve", "plug", ACME, "--signature", signature(call, tmp_path, ACME))
    assert again[0] == 0 and "budget" not in again[1]
    pinned = device(tmp_path).approval.signer
    assert pinned.subject == "CN=MUD signer p256,O=Acme"
    rows = json.loads(call("devices", "--json")[1])
    assert rows[0]["manifest"].startswith("signed, good until ")

    narrower = changed("3680", "3000")
    code, out, _ = call("manifest", "offer", "plug", narrower, "--signature", signature(call, tmp_path, narrower))
    assert code == 0 and "so it is in force" in out

    wider = changed("3680", "4000")
    code, out, _ = call("manifest", "offer", "plug", wider, "--signature", signature(call, tmp_path, wider))
    assert code == 3 and "! “Power drawn now” would reach from 0 to 4000 W, so far from 0 to 3000" in out
    assert "from 0 to 4000" in call("manifest", "waiting")[1]
    state = State(tmp_path / "mudroom.toml")
    assert "wait for you: plug" in status._manifests(state)["facts"]
    (row,) = json.loads(call("manifest", "waiting", "plug", "--json")[1])
    assert row["differences"][0]["effect"] == "widens" and row["signer"]["key"] == pinned.key
    assert call("manifest", "refuse", "plug")[0] == 0
    assert "No manifest waits" in call("manifest", "waiting")[1]
    assert status._manifests(state)["facts"] == "approved 1, wait for you: none, to be looked at again: none"

    other = signature(call, tmp_path, narrower, "p384")
    code, out, _ = call("manifest", "offer", "plug", narrower, "--signature", other)
    assert code == 3 and "signed by another key" in out
    code, _, err = call("devices", "approve", "plug")
    assert code == 2 and "--new-signer" in err and device(tmp_path).approval.signer == pinned
    code, out, _ = call("devices", "approve", "plug", "--new-signer")
    assert code == 0 and "signed by another key" in out
    assert device(tmp_path).approval.signer.subject == "CN=MUD signer p384,O=Acme"

    code, out, _ = call("devices", "approve", "plug", ACME, "--unsigned")
    assert code == 0 and "signature: NONE" in out
    assert device(tmp_path).approval.signer is None
    assert json.loads(call("devices", "--json")[1])[0]["manifest"].startswith("not signed")


def test_the_announced_url_is_shown_and_not_fetched(call: Call, tmp_path: Path) -> None:
    with recording(load(tmp_path / "mudroom.toml")):
        call("devices", "add", "plug", "--mac", "02:00:00:00:00:01")
    code, _, err = call("manifest", "fetch", "plug")
    assert code == 1 and "no approved manifest" in err and "--url" in err
    for url in ("http://acme.example/m", "https://acme.example/m?who=me", "https://192.168.1.1/m"):
        code, _, err = call("manifest", "fetch", "plug", "--url", url)
        assert code == 1 and "nothing else is fetched" in err
    code, _, err = call("manifest", "fetch", "nobody", "--url", "https://acme.example/m")
    assert code == 1 and "there is no device nobody" in err
    code, _, err = call("manifest", "fetch", "plug", "--url", "https://acme.example/m")
    assert code == 1 and "ledger" in err, "there is none to ask"


def test_each_command_explains_itself() -> None:
    done = subprocess.run([sys.executable, "-m", "gateway.cli", "manifest", "--help"], capture_output=True, text=True, check=True)
    for name in ("check", "diff", "draft", "sign", "fetch", "offer", "waiting", "refuse", "looks"):
        assert name in done.stdout
