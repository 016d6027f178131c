"""A newcomer with plain openssl and curl: what it reaches before anybody knows it, how it enrols, what attackers get."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.standard import enrolment
from tests.home.client import GATEWAY_ENVIRONMENT, Done, Here, eventually, mudroom, run_in, status_of
from tests.home.lab import layout
from tests.home.lab.home import MUDROOM
from tests.home.sockets import Capture
from tests.home.watch import leaks_from_devices, leaks_to_internet

CODE = "MUDR-OOMS-AFEB-OOTS-23"
PLAIN = CODE.replace("-", "")
OTHER = "ABCDEFGHIJKLMNOPQR"
DEVICE = layout.CHECKOUT / "tests" / "home" / "est_device.sh"
EST = "https://mudroom.home.arpa/.well-known/est"
NEWCOMER = 4
STATUS = ("-o", "/dev/null", "-w", "%{http_code}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A newcomer's memory."""
    return tmp_path


@pytest.fixture
def admitted(here: Here) -> Iterator[str]:
    """The newcomer is admitted and may speak to its vendor, once it has a certificate; afterwards a stranger again."""
    facts = here.device(NEWCOMER)
    mudroom("devices", "add", "newcomer", "--mac", facts["mac"], "--kind", "local")
    try:
        here.settle(NEWCOMER)
        mudroom("devices", "approve", "newcomer", here.facts["vendors"]["acme"]["manifest"], "--unsigned")
        yield "newcomer"
    finally:
        mudroom("devices", "forget", "newcomer")


@contextmanager
def pairing(device: str, code: str) -> Iterator[subprocess.Popen[str]]:
    """`mudroom devices pair`, waiting."""
    line = ["ip", "netns", "exec", layout.GATEWAY, MUDROOM, "devices", "pair", device, code, "--minutes", "5"]
    with subprocess.Popen(line, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=GATEWAY_ENVIRONMENT) as process:
        try:
            assert process.stderr is not None
            assert "Waiting for" in process.stderr.readline()
            yield process
        finally:
            process.terminate()


def enrol(folder: Path, code: str = PLAIN, number: int = NEWCOMER) -> Done:
    """The whole of what a device does."""
    return run_in(layout.namespace(number), "sh", str(DEVICE), code, str(folder), timeout=30)


def paired(folder: Path, code: str = PLAIN) -> Done:
    """Enrol as soon as the signer holds the code."""
    return eventually(lambda: found if (found := enrol(folder, code)).code != 2 else None, "the code is with the signer")


def ask(*words: str, number: int = NEWCOMER, cwd: Path | None = None) -> Done:
    return run_in(layout.namespace(number), "curl", "-sS", "-m", "8", *words, cwd=cwd)


def send(here: Here, folder: Path, *more: str, number: int = NEWCOMER) -> Done:
    """A conforming message with what enrolment gave."""
    words = ["curl", "-sS", "-m", "15", "--cacert", "ca.pem", "--cert", "cert.pem", "--key", "key.pem", "-w", "\n%{http_code}"]
    words += ["-H", "Content-Type: application/clear-envelope+json", "--data", f"@{here.folder(number) / 'message.json'}"]
    return run_in(layout.namespace(number), *words, *more, here.url(number), cwd=folder)


def test_a_newcomer_waits_for_its_owner_and_the_owner_is_told(here: Here, folder: Path) -> None:
    assert enrol(folder).code == 2
    eventually(lambda: here.reasons(NEWCOMER).get("enrolment-waiting"), "the drops name the newcomer that waits")


def test_a_newcomer_enrols_sends_and_is_refused_once_it_is_revoked(here: Here, folder: Path, admitted: str) -> None:
    with Capture(layout.INTERNET) as wan, pairing(admitted, CODE) as owner:
        done = paired(folder)
        assert done.code == 0, done.err
        out, err = owner.communicate(timeout=15)
        assert owner.returncode == 0, err
        assert "has a certificate until" in out
    assert leaks_to_internet(wan.frames, here) == []
    text = run_in(layout.namespace(NEWCOMER), "openssl", "verify", "-CAfile", "ca.pem", "cert.pem", cwd=folder)
    assert text.out.strip() == "cert.pem: OK", text.err
    listed = next(row for row in json.loads(mudroom("devices", "--json")) if row["device"] == admitted)
    assert (listed["certificates"], listed["pairing"]) == (1, "enrolled")

    before = len(here.received("acme"))
    assert status_of(eventually(lambda: d if status_of(d := send(here, folder)) == 200 else None, "its message arrives")) == 200
    assert len(here.received("acme")) > before

    # one connection: two messages, and a revocation between them
    slow = folder / "slow.json"
    slow.write_text((here.folder(NEWCOMER) / "message.json").read_text())
    words = [
        "openssl", "s_client", "-quiet", "-connect", f"{here.host(NEWCOMER)}:443", "-servername", here.host(NEWCOMER),
        "-CAfile", "ca.pem", "-cert", "cert.pem", "-key", "key.pem",
    ]  # fmt: skip
    body = slow.read_text()
    request = (
        f"POST /{here.url(NEWCOMER).split('/', 3)[3]} HTTP/1.1\r\nHost: {here.host(NEWCOMER)}\r\n"
        f"Content-Type: application/clear-envelope+json\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"
    )
    line = ["ip", "netns", "exec", layout.namespace(NEWCOMER), *words]
    with subprocess.Popen(line, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as live:
        assert live.stdin is not None
        assert live.stdout is not None
        live.stdin.write(request.encode())
        live.stdin.flush()
        assert b" 200 " in live.stdout.readline()
        mudroom("devices", "revoke", admitted)
        live.stdin.write(request.encode())
        live.stdin.flush()
        rest = live.stdout.read()
        live.stdin.close()
    assert b" 200 " not in rest
    eventually(lambda: revocations(here), "the refusal is counted")
    # and its key renews nothing any more
    assert renew(folder) == "403"


def revocations(here: Here) -> int:
    return sum(row["count"] for row in here.drops("newcomer") if row["reason"] == "certificate-revoked")


def renew(folder: Path, *more: str, number: int = NEWCOMER) -> str:
    """simplereenroll with the certificate at hand; the status."""
    words = ("--cacert", "ca.pem", "--cert", "cert.pem", "--key", "key.pem", "-H", "Content-Type: application/pkcs10")
    done = ask(
        *words, "--data-binary", "@request.b64", "-o", "renewed.b64", "-w", "%{http_code}", *more,
        f"{EST}/simplereenroll", cwd=folder, number=number,
    )  # fmt: skip
    return done.out


def test_a_known_key_renews_its_certificate_and_uses_it(here: Here, folder: Path, admitted: str) -> None:
    with pairing(admitted, CODE):
        assert paired(folder).code == 0
    first = (folder / "cert.pem").read_text()
    assert renew(folder) == "200"
    script = "openssl base64 -d -in renewed.b64 | openssl pkcs7 -inform DER -print_certs | sed -n '/BEGIN/,/END/p' > cert.pem"
    assert run_in(layout.namespace(NEWCOMER), "sh", "-c", script, cwd=folder).code == 0
    assert (folder / "cert.pem").read_text() != first
    assert (
        status_of(eventually(lambda: d if status_of(d := send(here, folder)) == 200 else None, "the renewed one serves")) == 200
    )
    # a new key is not renewed, and neither is another device's certificate
    run_in(layout.namespace(NEWCOMER), "sh", "-c", NEW_REQUEST, cwd=folder)
    assert renew(folder) == "400"
    for name in ("ca.pem", "cert.pem", "key.pem"):
        shutil.copy(here.folder(1) / name, folder / name)
    assert renew(folder) == "403"


NEW_REQUEST = (
    "openssl ecparam -name prime256v1 -genkey -noout -out new.pem; "
    "openssl req -new -key new.pem -subj / -outform DER | openssl base64 -out request.b64"
)


def test_a_wrong_code_stops_the_device_before_it_says_anything(here: Here, folder: Path, admitted: str) -> None:
    with pairing(admitted, OTHER) as owner:
        done = paired(folder)
        assert done.code == 3, "the gateway's proof does not fit, so the device sends no request"
        assert not (folder / "request.der").exists()
        assert owner.poll() is None, "and the gateway knows no better than to wait"
        listed = json.loads(mudroom("devices", "--json"))
        assert next(row for row in listed if row["device"] == admitted)["pairing"] == "waiting"


def test_guessing_the_code_gets_a_handful_of_tries(here: Here, folder: Path, admitted: str) -> None:
    run_in(layout.namespace(NEWCOMER), "sh", "-c", NEW_REQUEST, cwd=folder)
    with pairing(admitted, CODE) as owner:
        eventually(lambda: enrol(folder, OTHER).code == 3, "the code is with the signer")
        statuses = [guess(folder) for _ in range(15)]
        out, err = owner.communicate(timeout=15)
    assert set(statuses) <= {"403", "429", "202"}
    assert owner.returncode == 1
    assert "wrong proofs" in err
    assert not out
    # the right code comes too late: the owner has to enter it again
    assert enrol(folder).code == 2


def guess(folder: Path) -> str:
    words = ("-k", "-H", "Content-Type: application/pkcs10", "-H", f"Clear-Envelope-Proof: {os.urandom(32).hex()}")
    return eventually(
        lambda: (
            out
            if (out := ask(*words, "--data-binary", "@request.b64", *STATUS, f"{EST}/simpleenroll", cwd=folder).out)
            not in ("", "000", "429")
            else None
        ),
        "an answer",
    )


def test_a_neighbour_that_replays_the_request_gets_nothing(here: Here, folder: Path, admitted: str) -> None:
    with pairing(admitted, CODE):
        assert paired(folder).code == 0
    # every byte of the request (it travels inside TLS, but let the neighbour have it)
    head = (folder / "head.txt").read_text().lower()
    nonce = bytes.fromhex(head.partition("clear-envelope-nonce: ")[2][:64])
    ca = enrolment.fingerprint(ssl.PEM_cert_to_DER_cert((folder / "ca.pem").read_text()))
    proof = enrolment.device_proof(PLAIN, ca, nonce, (folder / "request.der").read_bytes()).hex()
    words = ("-k", "-H", "Content-Type: application/pkcs10", "-H", f"Clear-Envelope-Proof: {proof}", *STATUS)
    words += ("--data-binary", "@request.b64", f"{EST}/simpleenroll")
    assert ask(*words, cwd=folder, number=2).out == "202", "at another address nobody is being paired"
    assert ask(*words, cwd=folder).out == "200", "the device itself may ask again for an answer that it lost"
    run_in(layout.namespace(NEWCOMER), "sh", "-c", NEW_REQUEST, cwd=folder)
    assert ask(*words, cwd=folder).out == "202", "the code has served; no other request gets anything"
    run_in(layout.namespace(NEWCOMER), "openssl", "base64", "-in", "request.der", "-out", "request.b64", cwd=folder)
    # the newcomer's certificate is worth nothing without its key, nor at another address
    renewed = renew(folder, number=2)
    assert renewed == "403"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ((f"{EST}/cacerts",), "200"),
        ((f"{EST}/csrattrs",), "200"),
        ((f"{EST}/simpleenroll",), "405"),
        ((f"{EST}/serverkeygen",), "404"),
        ((f"{EST}/other/cacerts",), "404"),
        (("https://mudroom.home.arpa/",), "404"),
        (("https://mudroom.home.arpa/.well-known/clear-envelope/v1/messages/power-reading", "--data", "{}"), "404"),
        ((f"{EST}/simpleenroll", "--data", "x"), "415"),
        ((f"{EST}/cacerts", "-H", "Host: api.acme.example"), "421"),
        ((f"{EST}/cacerts", "-H", "Clear-Envelope-Nonce: short"), "400"),
        ((f"{EST}/simpleenroll", "-H", "Content-Type: application/pkcs10", "--data", "A" * 9000), "413"),
        ((f"{EST}/simpleenroll", "-H", "Content-Type: application/pkcs10", "--data", "AAAA"), "403"),
        ((f"{EST}/simplereenroll", "-H", "Content-Type: application/pkcs10", "--data", "AAAA"), "403"),
    ],
)
def test_a_stranger_reaches_these_paths_and_no_other(here: Here, words: tuple[str, ...], status: str) -> None:
    done = ask("-k", *STATUS, *words)
    assert done.out == status, done.err


@pytest.mark.parametrize("name", ["api.acme.example", "mudroom.home.arpa.evil.example", "example"])
def test_a_stranger_gets_no_other_server_name(here: Here, name: str) -> None:
    done = ask("-k", *STATUS, "--resolve", f"{name}:443:{layout.DMZ4}", f"https://{name}/.well-known/est/cacerts")
    assert done.out == "000", done.out
    assert "alert" in done.err or "SSL" in done.err, done.err
    # nor none
    assert ask("-k", *STATUS, f"https://{layout.DMZ4}/.well-known/est/cacerts").out == "000"


@pytest.mark.parametrize("address", [layout.DMZ4, layout.DMZ6])
def test_a_stranger_reaches_no_other_port(here: Here, address: str) -> None:
    six = ("-6",) if ":" in address else ()
    done = run_in(
        layout.namespace(NEWCOMER), "nmap", "-n", "-Pn", "-sS", *six, "-p", "22,53,80,443,853,8443", "--max-retries", "1", address
    )
    opened = [line.split("/")[0] for line in done.out.splitlines() if "/tcp" in line and " open " in f"{line} "]
    assert opened == ["443"], done.out


def test_a_stranger_gets_no_other_name(here: Here) -> None:
    def names(*words: str) -> str:
        return run_in(layout.namespace(NEWCOMER), "kdig", "+short", "+time=2", "+retry=0", *words).out.strip()

    assert names(f"@{layout.DMZ4}", "mudroom.home.arpa", "A") == layout.DMZ4
    assert names(f"@{layout.DMZ4}", "mudroom.home.arpa", "AAAA") == layout.DMZ6
    for name in (here.host(1), "www.mudroom.home.arpa", "home.arpa", "tracker.example"):
        assert names(f"@{layout.DMZ4}", name, "A") == ""
    assert names(f"@{layout.RESOLVER4}", "mudroom.home.arpa", "A").startswith(("", ";;"))
    done = run_in(layout.namespace(NEWCOMER), "kdig", "+tcp", "+time=1", "+retry=0", f"@{layout.DMZ4}", "mudroom.home.arpa")
    assert layout.DMZ4 not in done.out.split("ANSWER SECTION")[-1] or done.code


def test_strangers_that_hold_connections_do_not_hinder_a_device(here: Here) -> None:
    """They open what they can and say nothing; an admitted device still speaks to its vendor and to enrolment."""
    hold = (
        "import socket, sys, time\n"
        "held = []\n"
        "for _ in range(40):\n"
        "    s = socket.socket(); s.settimeout(2)\n"
        "    try: s.connect((sys.argv[1], 443)); held.append(s)\n"
        "    except OSError: pass\n"
        "print(len(held), flush=True)\n"
        "sys.stdin.read()\n"
    )
    line = ["ip", "netns", "exec", layout.namespace(NEWCOMER), "python3", "-c", hold, layout.DMZ4]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as stranger:
        assert stranger.stdout is not None
        assert int(stranger.stdout.readline()) > 0
        assert status_of(here.curl(1)) == 200
        assert ask("--cacert", "ca.pem", *STATUS, f"{EST}/cacerts", number=1, cwd=here.folder(1)).out == "200"
        assert stranger.stdin is not None
        stranger.stdin.close()
    eventually(lambda: here.reasons(NEWCOMER).get("connection-limit"), "the strangers' limit is counted")


def test_nothing_of_it_leaves_the_gateway(here: Here, folder: Path) -> None:
    with Capture(layout.INTERNET) as wan, Capture(layout.LAPTOP) as lan:
        enrol(folder)
    assert leaks_to_internet(wan.frames, here) == []
    assert leaks_from_devices(lan.frames) == []
