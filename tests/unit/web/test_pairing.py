"""Enrolment by the label's code over the pages, with the real signer: from the form to the certificate on the list."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.ipc.ask import ask
from gateway.ipc.messages import Enrol, Enrolled, Proof, Prove
from gateway.ipc.pairing import AskPairings, PairingRow, Pairings, StartPairing, StopPairing
from gateway.ipc.steward import Done
from gateway.ledger.reader import Reader
from gateway.pki.main import serve as signer
from gateway.registry import Certificate, Device, Home, Kind, Registry
from gateway.standard import enrolment
from gateway.steward import pairing as steward_pairing
from gateway.web.enrolling import codeless, pairings
from gateway.web.guard import HEADERS
from gateway.web.link import Refused
from tests.unit.web.house import Browser, Got, House, csrf, run

CODE = "MUDR-OOMS-AFEB-OOTS"
PLAIN = "MUDROOMSAFEBOOTS"
OTHER = "ABCDEFGHIJKLMNOP"
MAC = "02:00:00:00:00:09"
HERE = "192.168.77.10"


@contextlib.asynccontextmanager
async def signing(house: House) -> AsyncIterator[Path]:
    """The signer, with a home CA of its own; its socket."""
    for folder in (house.state / "pki", house.state / "signer", Path(house.config.paths.run) / "signer"):
        folder.mkdir(parents=True, exist_ok=True)
    (house.state / "signer").chmod(0o700)
    stop = asyncio.Event()
    working = asyncio.create_task(signer(house.config, stop))
    path = house.config.paths.socket("signer")
    try:
        while not path.exists():  # noqa: ASYNC110 # a file has no event
            await asyncio.sleep(0.005)
        yield path
    finally:
        stop.set()
        await working


class Newcomer:
    """A device's half, spoken to the signer as the enrolment process does."""

    def __init__(self, house: House, path: Path, code: str = PLAIN, mac: str = MAC) -> None:
        self.house, self.path, self.code, self.mac = house, path, code, mac
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        self.request = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    async def ask(self) -> Proof:
        self.nonce = os.urandom(32)
        found: Proof = await asyncio.to_thread(ask, self.path, Prove(1, self.mac, self.nonce), Proof)
        return found

    def believes(self, found: Proof) -> bool:
        return found.reason < 0 and found.proof == enrolment.gateway_proof(self.code, self.ca, self.nonce, found.nonce)

    @property
    def ca(self) -> bytes:
        certificate = x509.load_pem_x509_certificate(self.house.config.paths.ca_certificate.read_bytes())
        return enrolment.fingerprint(certificate.public_bytes(Encoding.DER))

    async def enrol(self, nonce: bytes) -> Enrolled:
        proof = enrolment.device_proof(self.code, self.ca, nonce, self.request)
        return await asyncio.to_thread(ask, self.path, Enrol(2, self.mac, self.request, proof), Enrolled)


async def pair(browser: Browser, **fields: str) -> Got:
    return await browser.post("/pair", {"csrf": csrf(await browser.get("/settings")), **fields})


async def shown(browser: Browser, words: str) -> str:
    """The page of newcomers, as soon as it says so."""
    async with asyncio.timeout(10):
        while words not in (text := (await browser.get("/newcomers")).text):  # noqa: ASYNC110 # a page has no event
            await asyncio.sleep(0.02)
    return text


def test_a_stranger_is_admitted_and_enrols_by_its_code(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def work(house: House) -> None:
        browser = await house.begin()
        async with signing(house) as path:
            got = await pair(browser, mac=MAC, device="lamp", name="Lamp", code=f" {CODE.lower()} ")
            assert (got.status, got.where) == (303, "/newcomers#pairings"), got.text
            text = await shown(browser, "Waits for the device")
            assert "Lamp</bdi>: enter its code" not in text, "one code at a time"
            newcomer = Newcomer(house, path)
            found = await newcomer.ask()
            assert newcomer.believes(found)
            enrolled = await newcomer.enrol(found.nonce)
            assert enrolled.reason == -1, enrolled.detail
            certificate = x509.load_pem_x509_certificates(enrolled.chain)[0]
            listed = house.registry.current().by_id["lamp"].certificates
            assert [each.serial for each in listed] == [f"{certificate.serial_number:x}"]
            text = await shown(browser, "has proved its code")
            assert (await browser.get("/api/pairings")).json["pairings"][0]["state"] == "enrolled"
        pages = text + (await browser.get("/settings")).text
        with Reader(house.config.paths.ledger) as reader:
            deeds = reader.deeds(10)
        assert [deed.type for deed in deeds] == ["certify", "pair", "admit", "first-start"]
        for held in (pages, repr(deeds), caplog.text, house.config.paths.ledger.read_bytes().decode("latin-1")):
            assert not [word for word in (CODE, PLAIN, PLAIN.lower(), CODE.lower()) if word in held]

    run(tmp_path, work)


def test_a_code_that_the_device_does_not_hold_is_told_while_it_waits(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        async with signing(house) as path:
            await pair(browser, mac=MAC, device="lamp", code=OTHER)
            await shown(browser, "Waits for the device")
            newcomer = Newcomer(house, path)
            assert not newcomer.believes(await newcomer.ask())
            assert "is not the one in it" not in (await browser.get("/newcomers")).text, "once may be the device's first look"
            before = (await browser.get("/newcomers")).text
            await newcomer.ask()
            text = await shown(browser, "the code is not the one in it")
            assert "asked twice" in text and text != before
            fields = {"csrf": csrf(await browser.get("/settings")), "device": "lamp"}
            assert (await browser.post("/pair/stop", fields)).where == "/newcomers#codes"
            assert "You stopped waiting" in (await browser.get("/newcomers")).text
            assert (await newcomer.ask()).reason >= 0, "the signer has forgotten the code"
            assert "not waited for any more" in (await browser.post("/pair/stop", fields)).text

    run(tmp_path, work)


def test_guesses_at_the_code_end_it_and_the_page_says_so(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        async with signing(house) as path:
            await pair(browser, mac=MAC, device="lamp", code=PLAIN)
            await shown(browser, "Waits for the device")
            guesser = Newcomer(house, path, OTHER)
            found = await guesser.ask()
            async with asyncio.timeout(20):  # the signer takes two proofs a second
                while "was not enrolled" not in (await browser.get("/newcomers")).text:
                    await guesser.enrol(found.nonce)
            text = await shown(browser, "was not enrolled")
            assert "10 wrong proofs came" in text and "Read the label" in text
            assert house.registry.current().by_id["lamp"].certificates == ()

    run(tmp_path, work)


def test_a_device_that_does_not_come_is_told_apart_from_a_wrong_code(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        async with signing(house):
            token = browser.cookie.partition("=")[2]
            assert (await house.link.ask(StartPairing(0, token, HERE, "plug", CODE, 1), Done)).error == ""
            text = await shown(browser, "was not enrolled")
            assert "it is off, not connected, or knows no enrolment" in text and "it did not ask" in text

    run(tmp_path, work)


def test_without_the_signer_it_ends_at_once_with_words(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        await pair(browser, device="plug", code=CODE)
        assert "was not enrolled" in await shown(browser, "was not enrolled")

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"mac": MAC, "device": "lamp", "code": "0000-1111-8888-9999"}, 422, "Nothing was changed"),
        ({"mac": MAC, "device": "lamp", "code": "ÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ"}, 422, "Nothing was changed"),
        ({"mac": MAC, "device": "lamp", "code": "A" * 65}, 422, "Nothing was changed"),
        ({"mac": MAC, "device": "lamp", "code": "A" * 200}, 400, "cannot be read"),
        ({"mac": MAC, "device": "Lamp!", "code": CODE}, 409, ""),
        ({"mac": "02:00:00:00:00:01", "device": "lamp", "code": CODE}, 409, ""),
        ({"device": "plug", "code": ""}, 422, "Nothing was changed"),
        ({"device": "kettle", "code": CODE}, 409, "no device kettle"),
    ],
)
def test_what_makes_no_sense_changes_nothing(tmp_path: Path, fields: dict[str, str], status: int, words: str) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        before = house.config.paths.registry.read_bytes()
        got = await pair(browser, **fields)
        assert got.status == status, got.text
        assert words in got.text
        assert CODE not in got.text and "1111" not in got.text, "what was typed is not repeated"
        assert house.config.paths.registry.read_bytes() == before

    run(tmp_path, work)


def test_without_a_code_a_stranger_is_only_admitted(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        assert (await pair(browser, mac=MAC, device="lamp", name="Lamp", code=" ")).where == "/devices/lamp"
        assert "Lamp</bdi>: enter its code" in (await browser.get("/newcomers")).text

    run(tmp_path, work)


def test_quarantined_ones_and_those_waited_for_are_refused(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        async with signing(house):
            await pair(browser, device="plug", code=CODE)
            await shown(browser, "Waits for the device")
            assert "waited for already" in (await pair(browser, device="plug", code=CODE)).text
            await browser.post("/pair/stop", {"csrf": csrf(await browser.get("/settings")), "device": "plug"})
        await browser.decide("kind", device="plug", value="quarantined")
        assert "make it local first" in (await pair(browser, device="plug", code=CODE)).text

    run(tmp_path, work)


def test_who_is_forgotten_is_not_waited_for_any_more(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        async with signing(house) as path:
            await pair(browser, mac=MAC, device="lamp", code=CODE)
            await shown(browser, "Waits for the device")
            assert (await Newcomer(house, path).ask()).reason == -1
            await browser.decide("forget", device="lamp")
            assert (await browser.get("/newcomers")).status == 200
            async with asyncio.timeout(10):
                while (await Newcomer(house, path).ask()).reason == -1:
                    pass
            await pair(browser, mac=MAC, device="lamp", code=CODE)
            await shown(browser, "Waits for the device")

    run(tmp_path, work)


def test_nobody_but_the_owner_with_a_form_of_his(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        guest = await house.household(owner)
        stranger = house.browser()
        fields = {"device": "plug", "code": CODE}
        for path in ("/pair", "/pair/stop"):
            assert (await stranger.post(path, {"csrf": "0" * 64, **fields})).where == "/login"
            assert (await owner.post(path, fields)).status == 403
            assert (await owner.post(path, {"csrf": "0" * 64, **fields})).status == 403
            assert (await guest.post(path, {"csrf": csrf(await guest.get("/settings")), **fields})).status == 403
            assert (await owner.post(path, fields, Origin="https://evil.example")).status == 403
            assert (await owner.get(path)).status == 405
        token = guest.cookie.partition("=")[2]
        for question in (StartPairing(0, token, HERE, "plug", CODE, 60), StopPairing(0, token, "plug")):
            with pytest.raises(Refused, match="role"):
                await house.link.ask(question, Done)
            with pytest.raises(Refused, match="session"):
                await house.link.ask(msgspec.structs.replace(question, token="x"), Done)
        assert (await house.link.ask(AskPairings(0, token), Pairings)).rows == ()
        assert "Wait for it" not in (await guest.get("/newcomers")).text

    run(tmp_path, work)


def test_what_cannot_be_recorded_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()

        def refused(*_: object) -> int:
            raise steward_pairing.NoAnswer("not done, for it could not be recorded: the disk is full")

        monkeypatch.setattr(steward_pairing, "on_record", refused)
        got = await pair(browser, device="plug", code=CODE)
        assert got.status == 409 and "the disk is full" in got.text
        assert (await browser.get("/api/pairings")).json["pairings"] == []

    run(tmp_path, work)


def test_the_camera_is_for_the_page_of_newcomers_alone(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        browser = await house.begin()
        for path in ("/", "/notices", "/devices/plug", "/newcomers/x", "/api/newcomers"):
            assert (await browser.get(path)).headers["permissions-policy"] == HEADERS["permissions-policy"]
            assert "camera=()" in HEADERS["permissions-policy"]
        found = (await browser.get("/newcomers?device=plug")).headers["permissions-policy"]
        assert found == HEADERS["permissions-policy"].replace("camera=()", "camera=(self)")

    run(tmp_path, work)


# --- words ----------------------------------------------------------------------------------------------------------


def home(*devices: Device) -> Home:
    return Home(Registry(devices=devices))


def test_whose_code_may_be_typed() -> None:
    good, revoked = Certificate("a", int(time.time()) + 1000), Certificate("b", int(time.time()) + 1000, revoked=True)
    past = Certificate("c", 5)
    found = home(
        Device("fresh", "Fresh", Kind.LOCAL, "02:00:00:00:00:01"),
        Device("shut", "Shut", Kind.QUARANTINED, "02:00:00:00:00:02"),
        Device("good", "Good", Kind.STANDARD, "02:00:00:00:00:03", certificates=(good, revoked)),
        Device("gone", "Gone", Kind.STANDARD, "02:00:00:00:00:04", certificates=(revoked, past)),
        Device("asked", "Asked", Kind.LOCAL, "02:00:00:00:00:05"),
    )
    rows = (PairingRow("asked", "waiting", 0, 0, ""), PairingRow("fresh", "failed", 0, 0, ""))
    assert [row["id"] for row in codeless(found, rows)] == ["fresh", "gone"]
    assert [row["id"] for row in codeless(found, rows, "good")] == ["fresh", "good", "gone"], "it may have lost its certificate"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (PairingRow("a", "failed", 0, 0, "the device did not prove the code in time; it did not ask: is it on"), "silent"),
        (PairingRow("a", "failed", 0, 7, "the device did not prove the code in time; it asked 7 times"), "wrong-code"),
        (PairingRow("a", "failed", 0, 0, "10 wrong proofs came"), "wrong-code"),
        (PairingRow("a", "failed", 0, 0, "a is being paired already; end that command first"), "other"),
        (PairingRow("a", "stopped", 0, 7, ""), ""),
        (PairingRow("a", "enrolled", 0, 1, ""), ""),
    ],
)
def test_who_was_wrong(row: PairingRow, fault: str) -> None:
    (found,) = pairings(home(Device("a", "A", Kind.LOCAL, "02:00:00:00:00:01")), (row,))
    assert found["fault"] == fault
    assert pairings(home(), (row,)) == [], "who was forgotten meanwhile is nobody"
