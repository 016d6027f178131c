"""Each command that decides, as a program calls it: one JSON object of what was done, or one problem, and the truth in both."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from gateway.cli.command import app
from gateway.config import Config
from gateway.ipc.frames import FrameReader, encode
from gateway.ipc.messages import Pair, Paired, SignDevice, Signed
from gateway.pki.ca import new_authority
from gateway.pki.issue import device_certificate
from gateway.registry import Certificate, RegistryFile
from tests.unit.cli.recording import deeds, recording
from tests.unit.cli.test_firmware import SOFTWARE
from tests.unit.cli.test_manifests import ACME, Call
from tests.unit.pki.test_enrolment import CODE, NOW, csr, new_key
from tests.unit.standard.test_cms import signer

LABEL = "/payload/label"
WORDS = "the boots stand by the door"


def told(call: Call, *words: object, code: int = 0) -> dict[str, Any]:
    """The one object that a command prints."""
    got, out, err = call(*words, "--json")
    assert got == code, err
    assert out.count("\n") == 1, "nothing else is on standard output"
    found: dict[str, Any] = json.loads(out)
    return found


def problem(call: Call, *words: object, code: int) -> dict[str, Any]:
    """The one problem that a command tells."""
    got, out, err = call(*words, "--json")
    assert (got, out) == (code, ""), out
    found: dict[str, Any] = json.loads(err.splitlines()[-1])
    assert found.keys() == {"type", "title", "detail", "kind", "exit"} and found["exit"] == code
    return found


DECIDING: list[tuple[str, dict[str, Any], str]] = [  # words, what is told beside what stands on record, what is done before
    ("devices add lamp --mac 02:00:00:00:00:02", {"what": "admit", "device": "lamp", "kind": "local"}, ""),
    ("devices approve plug --unsigned", {"what": "approve", "device": "plug", "signer": None}, ""),
    ("devices kind plug quarantined", {"what": "kind", "device": "plug", "kind": "quarantined"}, ""),
    ("devices forget plug", {"what": "forget", "device": "plug"}, ""),
    ("devices budget plug 999", {"what": "budget", "bits_per_day": 999, "default": False}, ""),
    ("devices budget plug default", {"what": "budget", "default": True}, ""),
    ("devices pace plug 60", {"what": "pace", "slot_seconds": 60, "default": False}, ""),
    ("devices pace plug off", {"what": "pace", "slot_seconds": 0}, ""),
    ("devices revoke plug", {"what": "revoke", "revoked": 1}, "certificate"),
    ("manifest refuse plug", {"what": "decline", "device": "plug"}, ""),
    (f"rules withhold plug any {LABEL}", {"what": "rule", "do": "withhold", "holds": True}, ""),
    ("rules coarsen plug any /payload/power --step 5", {"what": "rule", "do": "coarsen"}, ""),
    (f"rules replace plug any {LABEL} x", {"what": "rule", "do": "replace"}, ""),
    (f"rules allow plug any {LABEL}", {"what": "rule", "do": "allow"}, ""),
    ("rules deny plug any --name no-word", {"what": "rule", "name": "no-word"}, ""),
    ("rules off one", {"what": "rule off", "name": "one"}, "rules deny plug any --name one"),
    ("rules on one", {"what": "rule on", "name": "one"}, "rules deny plug any --name one;rules off one"),
    ("rules remove one", {"what": "rule remove", "name": "one"}, "rules deny plug any --name one"),
    ("firmware offer plug", {"what": "offer-firmware", "version": "2.1.0"}, "software"),
    ("firmware withdraw plug", {"what": "withdraw-firmware"}, "software;firmware offer plug"),
    ("tokens create shell", {"what": "token", "name": "shell", "may": "read"}, ""),
    ("tokens revoke shell", {"what": "revoke-token", "name": "shell"}, "tokens create shell"),
    ("password remove", {"what": "household", "set": False}, ""),
    ("password reset", {"what": "password-reset"}, ""),
    ("ledger erase --device plug --yes", {"what": "erase", "device": "plug"}, ""),
]


@pytest.mark.parametrize(("words", "facts", "before"), DECIDING, ids=[case[0] for case in DECIDING])
def test_what_is_decided_is_told_as_it_stands_on_record(
    plug: Config, call: Call, words: str, facts: dict[str, Any], before: str
) -> None:
    with recording(plug):
        for first in filter(None, before.split(";")):
            BEFORE.get(first, lambda _, call, first=first: call(*first.split()))(plug, call)
        number = len(deeds(plug))
        found = told(call, *words.split())
        (deed, *_) = [row for row in deeds(plug)[: len(deeds(plug)) - number] if row.type != "erased"]
    assert found | facts == found
    assert (found["recorded"], found["unrecorded"], found.get("changed", True)) == (True, "", True)
    assert deed.type == found["what"]
    assert deed.device == found.get("device", "")


def certificate(config: Config, call: Call) -> None:
    with RegistryFile(config.paths.registry).change() as change:
        change.add_certificate("plug", Certificate("abc", 2**40))


def software(config: Config, call: Call) -> None:
    document = json.loads(ACME.read_text())
    document["ietf-mud:mud"]["clear-envelope"]["firmware"] = SOFTWARE
    file = Path(config.paths.state, "with.json")
    file.write_text(json.dumps(document))
    assert call("devices", "approve", "plug", file, "--unsigned")[0] == 0
    config.paths.firmware.mkdir(exist_ok=True)
    (config.paths.firmware / SOFTWARE["digest"].partition(":")[2]).write_bytes(b"x" * SOFTWARE["size"])


BEFORE: dict[str, Callable[[Config, Call], object]] = {"certificate": certificate, "software": software}


def test_what_changes_nothing_is_told_as_no_deed(plug: Config, call: Call) -> None:
    with recording(plug):
        found = told(call, "devices", "kind", "plug", "standard")
    assert (found["changed"], found["recorded"], found["unrecorded"]) == (False, False, "")


@pytest.mark.parametrize("words", ["devices forget plug", "rules deny plug any", "manifest refuse plug", "password reset"])
def test_what_is_done_without_a_record_says_so(plug: Config, call: Call, words: str) -> None:
    found = told(call, *words.split())
    assert found["recorded"] is False and "no answer" in found["unrecorded"]


def test_who_offers_and_approves_is_told_what_differs(plug: Config, call: Call) -> None:
    wider = Path(plug.paths.state, "wider.json")
    with recording(plug):
        found = told(call, "manifest", "offer", "plug", wider, code=3)
        assert found["state"] == "waits" and [d["waits"] for d in found["differences"]][:1] == [True]
        found = told(call, "devices", "approve", "plug", "--unsigned")
    assert found["manifest"] == RegistryFile(plug.paths.registry).current().by_id["plug"].manifest
    assert any("4000" in d["words"] or "4,000" in d["words"] for d in found["differences"])


def test_files_that_are_written_are_named(plug: Config, call: Call, tmp_path: Path) -> None:
    signer(tmp_path, "p256")
    keys = ("--certificate", tmp_path / "p256-digitalSignature.pem", "--key", tmp_path / "p256.key")
    found = told(call, "manifest", "sign", ACME, *keys, "-o", tmp_path / "a.p7s")
    assert Path(found["file"]).is_file() and len(found["key"]) > 8
    with recording(plug):
        found = told(call, "ledger", "export", "--to", tmp_path / "all.jsonl")
        assert (found["file"], found["messages"]) == (str(tmp_path / "all.jsonl"), 0)
        assert "--to FILE" in problem(call, "ledger", "export", code=2)["detail"]
        found = told(call, "ledger", "anchor")
    assert found["anchored"] and found["record"] > 0
    assert told(call, "config", "check", tmp_path / "mudroom.toml") == {
        "what": "check", "file": str(tmp_path / "mudroom.toml"), "fine": True,
    }  # fmt: skip
    assert told(call, "firmware", "remove", "--unused") == {"what": "remove-firmware", "device": "", "files": []}


def test_a_token_is_told_once_and_a_password_never(plug: Config, call: Call) -> None:
    with recording(plug):
        secret = told(call, "tokens", "create", "shell")["token"]
        assert secret not in call("tokens", "list", "--json")[1]
        words = ["--config", str(Path(plug.paths.state, "mudroom.toml")), "password", "set", "--json"]
        done = CliRunner().invoke(app, words, input=f"{WORDS}\n{WORDS}\n")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"what": "password", "role": "owner", "set": True, "recorded": True, "unrecorded": ""}
    assert WORDS not in done.output


@pytest.mark.parametrize(
    ("words", "code", "kind", "said"),
    [
        ("devices kind plug kitchen", 2, "usage", "kitchen"),
        ("devices kind", 2, "usage", "DEVICE"),
        ("devices kind plug local --loud", 2, "usage", "--loud"),
        ("devices dance", 2, "usage", "dance"),
        ("dance", 2, "usage", "dance"),
        ("devices budget plug much", 2, "usage", "much"),
        ("devices kind nobody local", 1, "registry", "nobody"),
        ("devices budget plug 1001", 1, "not-recorded", "could not be recorded"),
        ("rules remove nothing", 1, "rule", "nothing"),
        ("manifest diff /nowhere /nowhere", 1, "system", "/nowhere"),
        ("devices pair plug SHORT", 2, "usage", ""),
        ("messages --since yesterday-ish", 2, "usage", ""),
    ],
)
def test_what_cannot_be_done_is_one_problem(plug: Config, call: Call, words: str, code: int, kind: str, said: str) -> None:
    found = problem(call, *words.split(), code=code)
    assert found["kind"] == kind and said in found["detail"]


def test_a_question_that_nobody_answers_is_a_problem(plug: Config, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert problem(call, "ledger", "erase", "--device", "plug", code=1)["kind"] == "aborted"


def test_wrong_settings_are_a_problem_too(tmp_path: Path, call: Call) -> None:
    (tmp_path / "mudroom.toml").write_text("[wan]\nmethod = 'dhpc'\n")
    assert problem(call, "devices", code=1)["kind"] == "settings"


def test_without_json_people_get_their_sentence(plug: Config, call: Call) -> None:
    code, out, err = call("devices", "kind", "nobody", "local")
    assert (code, out) == (1, "") and err.startswith("mudroom: ") and "{" not in err
    code, _, err = call("rules", "deny", "plug", "any", "--name", "x", "--note", "a", "--", "--json")
    assert code == 2 and not err.startswith("{"), "behind -- it is a word, not an option"


def test_a_problem_cannot_drive_a_terminal(plug: Config, call: Call) -> None:
    code, _, err = call("devices", "kind", "\x1b[2Jplug", "local", "--json")
    assert code == 1 and err.removesuffix("\n").isprintable() and "\x1b[2Jplug" in json.loads(err)["detail"]


@pytest.fixture
def sign(plug: Config, tmp_path: Path) -> Iterator[Path]:
    """A signer that signs what it is asked to, and finds each code proved at once; the device's request beside it."""
    authority, request = new_authority(NOW), csr(new_key())
    chain = device_certificate(authority, "plug", request, 90, NOW).public_bytes(Encoding.PEM)
    path = plug.paths.socket("signer")
    path.parent.mkdir()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = server.accept()
                with peer:
                    (payload,) = FrameReader().feed(peer.recv(65_536))
                    asked = msgspec.msgpack.decode(payload, type=SignDevice | Pair)
                    answer = Signed(asked.ref, chain, "") if isinstance(asked, SignDevice) else Paired(asked.ref, chain, "")
                    peer.sendall(encode(answer))
                    peer.recv(65_536)  # Recorded, or the end

    thread = threading.Thread(target=serve)
    thread.start()
    (tmp_path / "request.der").write_bytes(request)
    yield tmp_path / "request.der"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_certificates_are_told_and_the_code_is_not(plug: Config, call: Call, sign: Path) -> None:
    with recording(plug):
        made = told(call, "devices", "certify", "plug", sign)
        (listed,) = RegistryFile(plug.paths.registry).current().by_id["plug"].certificates
        assert (made["what"], made["serial"], made["not_after"]) == ("certify", listed.serial, listed.not_after)
        assert made["chain"].startswith("-----BEGIN CERTIFICATE-----") and made["recorded"]
        assert call("devices", "revoke", "plug")[0] == 0
        code, out, err = call("devices", "pair", "plug", CODE, "--json")
        found = json.loads(out)
    assert code == 0 and (found["what"], found["serial"]) == ("pair", listed.serial)
    assert CODE not in out + err


def test_secrets_go_to_the_file_and_their_number_to_the_program(plug: Config, call: Call, tmp_path: Path) -> None:
    file = tmp_path / "plug.keys"
    with recording(plug):
        found = told(call, "keys", "export", "plug", "--minutes", "0.05", "-o", file)
        (deed, *_) = deeds(plug)
    assert found == {
        "what": "keys", "device": "plug", "file": str(file), "connections": 0,
        "record": deed.seq, "recorded": True, "unrecorded": "",
    }  # fmt: skip
    assert deed.type == "keys" and file.read_bytes() == b""
    assert "name a new file" in problem(call, "keys", "export", "plug", "-o", file, code=2)["detail"]
