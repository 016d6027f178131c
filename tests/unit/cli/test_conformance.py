"""`mudroom check`: what it says beforehand, what it reports, and with which exit code it ends."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli import main
from gateway.config import Config, load
from gateway.ipc.messages import Refused
from gateway.ledger.batch import Batch
from gateway.ledger.store import Quotas, Store
from gateway.reasons import Reason
from gateway.registry import Certificate, Device, Kind, RegistryFile
from gateway.standard.envelope import outgoing, sent_at
from gateway.standard.judge import Judge
from tests.home.reference.vendor import VendorHost
from tests.unit.conformance import variants
from tests.unit.conformance.street import HOST, MANIFEST, Papers, issued, service, serving
from tests.unit.ledger.peers import submit


def call(*words: str) -> object:
    """The command's exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mudroom", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code or 0


# --- a vendor host ---------------------------------------------------------------------------------------------------


@pytest.fixture
def found(tmp_path: Path) -> Papers:
    return issued(tmp_path)


def vendor(found: Papers, host: type[VendorHost] = VendorHost, *more: str) -> object:
    with serving(host(HOST, json.loads(MANIFEST.read_text()), service), found.tls) as port:
        address = f"127.0.0.1:{port}"
        return call(
            "check", "vendor", f"https://{HOST}", "--manifest", str(MANIFEST), "--ca", str(found.ca), "--address", address, *more
        )


def test_a_vendor_host_that_holds_everything(found: Papers, capsys: pytest.CaptureFixture[str]) -> None:
    assert vendor(found) == 0
    told = capsys.readouterr()
    assert f"To {HOST} at 127.0.0.1" in told.err and "to nobody else: 240 requests at the most" in told.err
    assert "temperature-reading, battery-low" in told.err
    assert "0 fail" in told.out.splitlines()[-1]
    assert "FAIL" not in told.out and "what to do" not in told.out


def test_a_vendor_host_that_breaks_a_rule(found: Papers, capsys: pytest.CaptureFixture[str]) -> None:
    assert vendor(found, variants.IgnoresDigest) == 3
    told = capsys.readouterr().out.splitlines()
    (at,) = [number for number, line in enumerate(told) if line.startswith("FAIL")]
    assert "[digest, section 8 (step 3)]" in told[at]
    assert "another content than the digest's: answered 200" in told[at + 1]
    assert "what to do: compare it with the content's SHA-256" in told[at + 2]


def test_for_programs(found: Papers, capsys: pytest.CaptureFixture[str]) -> None:
    assert vendor(found, variants.RefusesByAge, "--json") == 3
    rows = json.loads(capsys.readouterr().out)
    assert [row["requirement"] for row in rows if row["verdict"] == "fail"] == ["no-age"]
    assert {"requirement", "section", "verdict", "words", "seen", "remedy"} == rows[0].keys()


class Painter(VendorHost):
    """Would like to draw on the terminal of whoever checks it."""

    def message(self, envelope: dict[str, Any], type: str) -> Any:
        answer = super().message(envelope, type)
        return answer._replace(status=422, content=json.dumps({"title": "\x1b[2J\u202e"}).encode(), media="text/\x7f")


def test_a_vendor_host_cannot_write_on_the_terminal(found: Papers, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ((), ("--json",)):
        assert vendor(found, Painter, *more) == 3
        assert not {"\x1b", "\u202e", "\x7f"} & set(capsys.readouterr().out)


@pytest.mark.parametrize(
    "words",
    [
        ("http://in.celsia.example",),
        ("https://in.celsia.example:8443",),
        ("https://in.celsia.example/path",),
        ("https://in.celsia.example?x",),
        ("https://me@in.celsia.example",),
        ("https://127.0.0.1",),
        ("https://[::1",),
        ("in.celsia.example",),
        ("https://other.example",),
        ("https://in.celsia.example", "--address", "localhost"),
        ("https://in.celsia.example", "--address", "127.0.0.1:0"),
        ("https://in.celsia.example", "--address", "127.0.0.1:99999"),
        ("https://in.celsia.example", "--address", "[::1]:x"),
        ("https://in.celsia.example", "--address", "127.0.0.1", "--ca", "/nonexistent.pem"),
    ],
)
def test_nothing_is_sent_where_the_call_is_wrong(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", "vendor", *words, "--manifest", str(MANIFEST)) in (1, 2)
    assert "requests at the most" not in capsys.readouterr().err


# --- a device --------------------------------------------------------------------------------------------------------

NOW = time.time_ns()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """An enrolled thermometer that nobody has heard yet."""
    settings = tmp_path / "mudroom.toml"
    settings.write_text(f'[paths]\nstate = "{tmp_path}/state"\nrun = "{tmp_path}/run"\n[dmz]\ntrunk = "port1"\n')
    monkeypatch.setenv("MUDROOM_CONFIG", str(settings))
    config = load()
    with RegistryFile(config.paths.registry).change() as change:
        change.admit(Device(id="thermometer", name="T", kind=Kind.LOCAL, mac="02:00:00:00:00:01"))
        change.approve("thermometer", MANIFEST.read_bytes(), config.dmz.pool_ipv4, config.dmz.pool_ipv6)
        change.add_certificate("thermometer", Certificate("ab", NOW // 10**9 + 86_400, key="cd"))
    return config


def record(config: Config, *payloads: dict[str, Any], refused: tuple[Refused, ...] = (), asked: bool = True) -> None:
    """Messages and refusals, a second apart, up to now."""
    (manifest,) = RegistryFile(config.paths.registry).current().manifests.values()
    judge = Judge(manifest)
    store = Store(config.paths.ledger, Quotas(1000, 10**9, 1000, 1000))
    store.open()
    for number, payload in enumerate(payloads):
        kind = "battery-low" if "charge" in payload else "temperature-reading"
        vendor = {"name": manifest.vendor.name, "hosts": list(manifest.hosts)}
        body = json.dumps({"ce": 1, "type": kind, "vendor": vendor, "payload": payload}).encode()
        sent = outgoing(judge.from_device(HOST, kind, body), manifest, id=f"m-{number:08d}", sent=sent_at(NOW), device="d-1")
        whole = submit(number, device="thermometer", type_=kind, received=NOW - 10**9 * (100 + number), bits=20)
        store.commit(Batch(submits=[msgspec.structs.replace(whole, original=body, outgoing=sent)]))
    names = {("thermometer", Reason.PASS_NAMES.code): (3, 200)} if asked else {}
    store.commit(Batch(refusals=list(refused), counters=names))
    store.close()


def rows(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, dict[str, dict[str, Any]]]:
    code = call("check", "device", "thermometer", "--json", *words)
    return code, {row["requirement"]: row for row in json.loads(capsys.readouterr().out)}


READING = {"measured": "2026-11-22T13:37:00Z", "temperature": 20.5, "humidity": 45}


def test_a_device_by_its_record(home: Config, capsys: pytest.CaptureFixture[str]) -> None:
    record(home, READING, {"charge": 20})
    code, found = rows(capsys)
    assert code == 0, [row for row in found.values() if row["verdict"] == "fail"]
    assert "2 messages were taken" in found["heard"]["seen"]
    assert found["types"]["verdict"] == found["optional"]["verdict"] == "pass"


def test_a_device_that_asked_no_name(home: Config, capsys: pytest.CaptureFixture[str]) -> None:
    record(home, READING, {"charge": 20}, asked=False)
    code, found = rows(capsys)
    assert (code, found["names"]["verdict"]) == (3, "fail")


def test_a_device_that_was_refused(home: Config, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = Refused("thermometer", HOST, "temperature-reading", Reason.NOT_IN_SCHEMA.code, "too warm", ("/payload",), NOW, b"{}")
    record(home, READING, refused=(wrong,))
    code, found = rows(capsys)
    assert (code, found["payload"]["verdict"]) == (3, "fail")
    assert "not-in-schema (1): too warm" in found["payload"]["seen"]
    # and what lies before the span is not held against it
    _, found = rows(capsys, "--watch", "0.001")
    assert (found["payload"]["verdict"], found["heard"]["verdict"]) == ("not applicable", "fail")


def test_a_silent_device_does_not_pass(home: Config, capsys: pytest.CaptureFixture[str]) -> None:
    record(home)
    code, found = rows(capsys)
    assert (code, found["heard"]["verdict"]) == (3, "fail")
    assert call("check", "device", "thermometer") == 3
    assert "FAIL  it says something that is taken [heard, section 1]" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [("nobody",), ("thermometer", "--since", "a week"), ("thermometer", "--since", "9"), ("thermometer", "--since", "-1d")],
)
def test_nonsense_is_refused(home: Config, words: tuple[str, ...]) -> None:
    record(home)
    assert call("check", "device", *words) == 2


@pytest.mark.parametrize("address", [(), ("--address", "203.0.113.9"), ("--address", "[2001:db8::9]:443")])
def test_a_gateway_says_nothing_to_a_vendor_past_its_record(
    home: Config, address: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("check", "vendor", f"https://{HOST}", "--manifest", str(MANIFEST), *address) == 2
    told = capsys.readouterr().err
    assert "requests at the most" not in told
    assert "this machine is a gateway" in " ".join(told.replace("│", " ").split())


def test_a_gateway_may_check_a_host_on_its_own_loopback(home: Config, found: Papers) -> None:
    assert vendor(found) == 0
