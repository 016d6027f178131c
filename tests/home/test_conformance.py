"""A vendor's afternoon in the whole home: the reference device enrols and speaks to the reference host, and both pass the kit."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.home.client import GATEWAY_ENVIRONMENT, Here, eventually, mudroom, order, run_in
from tests.home.lab import layout
from tests.home.lab.home import ENVIRONMENT, MUDROOM
from tests.home.page import RUNNING, Desk, blocks
from tests.home.reference.__main__ import AUTHORITIES, FOLDER, on_the_internet

MANIFEST = Path(__file__).with_name("reference") / "thermometer.mud.json"
DEVICE = Path(__file__).with_name("reference") / "device.py"
HOST = "in.celsia.example"
CODE = "MUDROOMSAFEBOOTS23"
MAC = "02:4d:75:64:00:04"
SPACE = layout.namespace(4)
NUMBERS = itertools.count(1)


@pytest.fixture
def forgotten(here: Here) -> Iterator[str]:
    """The page's device, a stranger again afterwards."""
    assert here.device(4)["mac"] == MAC
    yield "thermometer"
    mudroom("devices", "forget", "thermometer", check=False)


@pytest.fixture
def admitted(here: Here) -> Iterator[str]:
    """The same device under a name of its own, for the record of a name outlives the device."""
    name = f"thermometer-{next(NUMBERS)}"
    mudroom("devices", "add", name, "--mac", MAC)
    try:
        mudroom("devices", "approve", name, str(MANIFEST), "--unsigned")
        yield name
    finally:
        mudroom("devices", "forget", name)


def device(folder: Path, *more: str, count: int = 1) -> subprocess.CompletedProcess[str]:
    """The reference device until it has said so much."""
    line = ["ip", "netns", "exec", SPACE, sys.executable, str(DEVICE), "--folder", str(folder), "--code", CODE, "--every", "0.2"]
    return subprocess.run([*line, "--count", str(count), *more], text=True, capture_output=True, timeout=90, check=False)


def pairing(name: str) -> subprocess.Popen[str]:
    """`mudroom devices pair`, waiting for the device."""
    line = ["ip", "netns", "exec", layout.GATEWAY, MUDROOM, "devices", "pair", name, CODE]
    return subprocess.Popen(line, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=GATEWAY_ENVIRONMENT)


def enrolled(folder: Path, name: str, *more: str, count: int = 1) -> subprocess.CompletedProcess[str]:
    with pairing(name) as owner:
        try:
            assert owner.stderr is not None and "Waiting for" in owner.stderr.readline()
            done = device(folder, *more, count=count)
            assert owner.wait(15) == 0
        finally:
            owner.terminate()
    assert done.returncode == 0, done.stderr
    return done


def check(name: str, *more: str) -> tuple[int, dict[str, dict[str, str]]]:
    """`mudroom check device`: its exit code and its lines by requirement."""
    line = ["ip", "netns", "exec", layout.GATEWAY, MUDROOM, "check", "device", name, "--json", *more]
    done = subprocess.run(line, text=True, capture_output=True, env=GATEWAY_ENVIRONMENT, check=False)
    return done.returncode, {row["requirement"]: row for row in json.loads(done.stdout)}


def failed(lines: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    return [line for line in lines.values() if line["verdict"] == "fail"]


def test_every_command_of_the_vendors_page(here: Here, forgotten: str, tmp_path: Path) -> None:
    """From the manifest that the first part left (made here anew) to `check device`, as written."""
    found = blocks()
    at = found.index("sudo make lab-up\n")
    there = [block for block in found[at + 1 :] if block != "sudo make lab-down\n"]
    command = " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    desk = Desk(tmp_path, f"ip netns exec {layout.GATEWAY} env {command} {MUDROOM}")
    for block in found[1:3]:  # the manifest and its signature
        desk.run(block)
    running, told = [], {}
    try:
        for block in there:
            if block.startswith(RUNNING):
                running.append(desk.start(block))
                assert running[-1].stderr is not None
                line = running[-1].stderr.readline()
                assert "listens on" in line or "Waiting for" in line, line
            else:
                told[block] = desk.run(block).stdout
        # the owner's command has ended by itself: the device proved its code
        assert running[-1].wait(15) == 0
    finally:
        for process in reversed(running):
            process.terminate()
            process.communicate(timeout=15)
    report = next(text for block, text in told.items() if "check device" in block)
    assert "0 fail" in report and "pass  it enrolled with the code on its label" in report
    spoken = next(text for block, text in told.items() if "device.py" in block)
    assert "a certificate until" in spoken and spoken.count("in.celsia.example") >= 3
    assert len(told) == 3 and len(running) == 2


def test_the_reference_host_passes_on_the_internet_of_the_home(here: Here) -> None:
    """By its real name, asked of the provider's name server, from the house's laptop."""
    with on_the_internet(MANIFEST):
        done = run_in(
            layout.LAPTOP, "env", f"PYTHONPATH={layout.CHECKOUT}", sys.executable, "-m", "gateway.cli", "check", "vendor",
            f"https://{HOST}", "--manifest", str(MANIFEST), "--ca", str(AUTHORITIES), "--json", timeout=60,
        )  # fmt: skip
    assert done.code == 0, done
    rows = json.loads(done.out)
    assert [row for row in rows if row["verdict"] == "fail"] == []
    assert {row["requirement"] for row in rows if row["verdict"] == "not applicable"} == {"claim-taken"}


def test_the_reference_device_renews_waits_and_gives_up(here: Here, admitted: str, tmp_path: Path) -> None:
    with on_the_internet(MANIFEST, "--store", str(FOLDER / "store.db")) as host:
        done = enrolled(tmp_path, admitted, count=2)
        assert done.stdout.count('{"ce": 1, "payload": {"minutes": 1}, "type": "interval"}') == 2, "its vendor's own answer"
        assert host.stdout is not None
        assert json.loads(host.stdout.readline())["type"] == "temperature-reading"
        code, lines = check(admitted)
        assert (code, failed(lines)) == (0, [])
        assert {name for name, line in lines.items() if line["verdict"] != "pass"} == {"renews", "once", "gives-up", "waits"}

        first = (tmp_path / "cert.pem").read_text()
        done = device(tmp_path, "--renew-at", "0")
        assert done.returncode == 0 and "a certificate until" in done.stdout, done.stderr
        assert (tmp_path / "cert.pem").read_text() != first, "renewed with the same key, and used"
    # the host is away: 202, and the device says it once
    done = device(tmp_path)
    assert "reading 1: null" in done.stdout
    code, lines = check(admitted)
    assert (code, lines["once"]["verdict"]) == (0, "pass"), lines["once"]
    # what is refused for good is not said again
    document = json.loads(MANIFEST.read_text())
    reading = document["ietf-mud:mud"]["clear-envelope"]["messages"]["temperature-reading"]
    reading["payload"]["properties"]["temperature"]["maximum"] = 0
    narrower = tmp_path / "narrower.json"
    narrower.write_text(json.dumps(document))
    mudroom("devices", "approve", admitted, str(narrower), "--unsigned")
    done = device(tmp_path, count=2)
    assert done.stderr.count("temperature-reading is refused") == 2
    eventually(lambda: check(admitted)[1]["payload"]["verdict"] == "fail", "the refusals are on record")
    code, lines = check(admitted)
    assert code == 3
    assert (lines["gives-up"]["verdict"], lines["payload"]["verdict"]) == ("pass", "fail")
    assert "not-in-schema" in lines["payload"]["seen"]


def test_a_device_that_reaches_for_something_else_fails_that(here: Here, admitted: str, tmp_path: Path) -> None:
    with on_the_internet(MANIFEST):
        enrolled(tmp_path, admitted)
        eventually(lambda: check(admitted)[0] == 0, "the kernel's counters are on record, and all is well")
        run_in(SPACE, "curl", "-sS", "-m", "2", "-k", f"https://{layout.FOREIGN4}/")
        run_in(SPACE, "kdig", "+time=1", "+retry=0", f"@{layout.DMZ4}", "tracker.example", "A")
        run_in(SPACE, "curl", "-sS", "-m", "1", f"http://{layout.LAPTOP4}/")

    def found() -> dict[str, dict[str, str]] | None:
        _, lines = check(admitted)
        return lines if len(failed(lines)) >= 3 else None

    lines = eventually(found, "all three are on record")
    assert {line["requirement"] for line in failed(lines)} <= {"tls", "names", "nothing-else"}


def test_watching_tells_what_comes_and_reports_on_that_alone(here: Here, admitted: str, tmp_path: Path) -> None:
    with on_the_internet(MANIFEST):
        enrolled(tmp_path, admitted)
        # a shell that runs the tests in the background leaves them a SIGINT that is ignored: --default-signal
        line = ["env", "--default-signal=INT", "ip", "netns", "exec", layout.GATEWAY]
        line += [MUDROOM, "check", "device", admitted, "--watch", "5", "--json"]
        with subprocess.Popen(
            line, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=GATEWAY_ENVIRONMENT
        ) as process:
            assert process.stderr is not None
            assert f"watching {admitted}" in process.stderr.readline()
            device(tmp_path)
            assert "temperature-reading: taken" in process.stderr.readline()
            process.send_signal(2)  # the owner has seen enough
            out, _ = process.communicate(timeout=20)
    rows = {row["requirement"]: row for row in json.loads(out)}
    assert "messages were taken, 0 were refused" in rows["heard"]["seen"]
    assert process.returncode == 0, [row for row in rows.values() if row["verdict"] == "fail"]


def test_order_is_left_as_it_was(here: Here) -> None:
    """Nothing of the reference host stays on the home's internet."""
    assert HOST not in (layout.RUN / "internet" / "dnsmasq.conf").read_text()
    assert order("list")["isp-names"]["ready"]
