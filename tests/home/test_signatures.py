"""The vendor's side of the outer leg: it knows whose a request is, by a library that is not ours, and hears the owner's claim."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ledger.reader import MessageRecord, Reader
from gateway.standard.claim import PATH
from tests.home.client import GATEWAY_ENVIRONMENT, Done, Here, eventually, mudroom, order, run_in, status_of
from tests.home.lab import layout
from tests.home.lab.home import MUDROOM
from tests.home.lab.proof import Unproven, proven


def sent(here: Here, number: int, vendor: str) -> dict[str, object]:
    """What the vendor wrote down of one message."""
    before = len(here.received(vendor))
    assert 200 <= status_of(here.curl(number)) < 300
    return here.received(vendor)[before]


def claim(*words: str) -> Done:
    """The owner's command."""
    line = ["ip", "netns", "exec", layout.GATEWAY, MUDROOM, "claim", *words]
    done = subprocess.run(line, text=True, capture_output=True, env=GATEWAY_ENVIRONMENT, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def recorded(id: str) -> MessageRecord:
    with Reader(layout.STATE / "state" / "ledger" / "ledger.db") as reader:
        found = reader.message(id)
    assert found is not None
    return found


@contextlib.contextmanager
def behaving(vendor: str, **ways: object) -> Iterator[None]:
    file = layout.RUN / "vendors" / vendor / "behaviour.json"
    file.write_text(json.dumps(ways))
    try:
        yield
    finally:
        file.unlink()


def test_each_pair_signs_with_a_key_of_its_own_which_outlives_the_courier(here: Here) -> None:
    first, other = sent(here, 1, "acme"), sent(here, 2, "borealis")
    assert "unproven" not in first and "unproven" not in other, (first, other)
    assert first["signed_by"] != other["signed_by"]
    order("kill", "courier")
    order("ready", "courier", timeout=30)
    eventually(lambda: 200 <= status_of(here.curl(1)) < 300, "the courier is back")
    assert here.received("acme")[-1]["signed_by"] == first["signed_by"]


def test_every_request_that_ever_came_was_signed(here: Here) -> None:
    sent(here, 1, "acme")
    for vendor in ("acme", "borealis"):
        for request in here.received(vendor):
            forged = "forged" in json.dumps(request)  # by the next test
            asked = request["method"] == "GET"  # a look at a manifest (test_manifests.py) is in no device's name
            assert forged or asked or ("signed_by" in request and "unproven" not in request), request


def test_a_vendor_sees_what_was_forged_or_changed(here: Here) -> None:
    request = sent(here, 1, "acme")
    body, fields = str(request["body"]), [tuple(field) for field in request["headers"]]  # type: ignore[attr-defined]
    assert proven("POST", str(request["path"]), fields, body.encode()) == request["signed_by"]
    with pytest.raises(Unproven):
        proven("POST", str(request["path"]), fields, body.replace('"withheld":[]', '"withheld":["/"]').encode())
    host = here.host(1)
    address = here.facts["vendors"]["acme"]["hosts"][host]["v4"]
    words = ["curl", "-sS", "-m", "5", "--cacert", here.facts["internet"]["ca"], "--resolve", f"{host}:443:{address}"]
    words += [f"-H{name}: {value}" for name, value in fields if name.lower() not in {"host", "content-length"}]
    before = len(here.received("acme"))
    run_in(layout.INTERNET, *words, "--data", body.replace('"ce":1', '"ce":"forged"'), here.url(1))
    (forged,) = here.received("acme")[before:]
    assert "unproven" in forged and "signed_by" not in forged


def test_a_claim_reaches_the_vendor_recorded_and_signed_by_the_device_s_pair(here: Here) -> None:
    message = sent(here, 1, "acme")
    before = len(here.received("acme"))
    done = claim("device-1", "ACME-7F3K-22QX", "--json")
    assert done.code == 0, done
    row = json.loads(done.out)
    assert row["state"] == "taken"
    (request,) = here.received("acme")[before:]
    assert (request["method"], request["path"], request["signed_by"]) == ("POST", PATH, message["signed_by"])
    told = json.loads(request["body"])
    assert told["claim"] == "ACME-7F3K-22QX"
    assert told["device"] == json.loads(str(message["body"]))["device"]
    record = recorded(row["id"])
    assert record.message.outgoing == request["body"].encode()
    assert record.message.original == b"ACME-7F3K-22QX"
    assert record.message.at / 1e9 <= request["time"], "recorded after the vendor had it"
    assert record.state == "delivered"
    shown = mudroom("messages", row["id"])
    assert "copied_by_owner: ACME-7F3K-22QX" in shown and "(claim)" in shown and "sent_by_device" not in shown
    assert "took it" in claim("device-1", "again").out


def test_what_a_vendor_says_against_a_claim_is_shown_and_recorded(here: Here) -> None:
    problem = {
        "type": "urn:mudroom:refusal:claim-unknown", "title": "No such claim", "detail": "Codes last an hour; make a new one",
    }  # fmt: skip
    with behaving("acme", status=403, body=json.dumps(problem), media_type="application/problem+json"):
        done = claim("device-1", "OLD-CODE")
        row = json.loads(claim("device-1", "OLD-CODE", "--json").out)
    assert done.code == 1
    assert "No such claim: Codes last an hour; make a new one" in done.err
    assert (row["state"], row["status"], row["type"]) == ("refused", 403, problem["type"])
    assert recorded(row["id"]).state == "vendor-refused"


def test_required_fields_that_a_vendor_names_are_recorded(here: Here) -> None:
    problem = {"type": "urn:mudroom:refusal:required-withheld", "title": "We need these", "pointers": ["/payload/power"]}
    with behaving("acme", status=422, body=json.dumps(problem), media_type="application/problem+json"):
        done = here.curl(1)
    assert status_of(done) == 422
    told = json.loads(done.out.rsplit("\n", 1)[0])
    assert told == problem | {"status": 422}
    (newest,) = json.loads(mudroom("messages", "--device", "device-1", "--limit", "1", "--json"))
    assert newest["state"] == "vendor-refused"
    record = recorded(newest["id"])
    assert record.answer is not None
    assert json.loads(record.answer.outgoing)["pointers"] == ["/payload/power"]


def test_a_claim_waits_where_the_vendor_cannot_be_reached(here: Here) -> None:
    with behaving("borealis", status=503):
        done = claim("device-2", "blue kettle 42", "--json")
        row = json.loads(done.out)
        assert (done.code, row["state"]) == (0, "waiting")
    eventually(lambda: recorded(row["id"]).state == "delivered", "taken once the vendor is well", timeout=30)
    claims = [request for request in here.received("borealis") if request.get("path") == PATH]
    assert len({request["body"] for request in claims}) == 1, "the same at each try"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("device-3", "CODE"), "no standard device with an approved manifest"),
        (("nobody", "CODE"), "no standard device with an approved manifest"),
        (("device-1", ""), "1 to 64 characters"),
        (("device-1", "x" * 65), "1 to 64 characters"),
        (("device-1", "a\x1b[2Jb"), "printable"),
    ],
)
def test_what_is_no_claim_is_not_recorded(here: Here, words: tuple[str, str], said: str) -> None:
    before = len(json.loads(mudroom("messages", "--limit", "1000", "--json")))
    done = claim(*words)
    assert done.code in (1, 2)
    assert said in " ".join(done.err.split()), done.err
    assert len(json.loads(mudroom("messages", "--limit", "1000", "--json"))) == before


def test_a_device_cannot_make_a_claim(here: Here) -> None:
    before = len(here.received("acme"))
    url = here.url(1).split("/.well-known")[0] + PATH
    body = json.dumps({"ce": 1, "claim": "c2VjcmV0IHNlY3JldA", "vendor": {"name": "Acme", "hosts": [here.host(1)]}})
    done = here.curl(1, url=url, data=body)
    assert status_of(done) == 404
    assert "http-target" in done.out
    assert len(here.received("acme")) == before


def test_the_keys_are_the_courier_s_alone_and_end_with_their_pair(here: Here) -> None:
    folder = layout.STATE / "state" / "courier"
    sent(here, 1, "acme")
    registry = json.loads((layout.STATE / "state" / "registry.json").read_text())
    pseudonyms = {device["id"]: device["pseudonym"] for device in registry["devices"] if device["pseudonym"]}
    (key,) = [path for path in folder.iterdir() if path.stem == pseudonyms["device-1"]]
    assert (key.owner(), key.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == ("mudroom-courier", 0o600, 0o700)
    assert {path.stem for path in folder.iterdir()} <= set(pseudonyms.values())
    mudroom("devices", "add", "passing", "--mac", "02:00:00:00:77:01")
    mudroom("devices", "approve", "passing", str(Path(here.facts["vendors"]["acme"]["manifest"])), "--unsigned")
    done = claim("passing", "CODE")
    assert done.code == 0, done
    stem = json.loads(here.received("acme")[-1]["body"])["device"]
    assert (folder / f"{stem}.pem").exists()
    mudroom("devices", "forget", "passing")
    eventually(lambda: not (folder / f"{stem}.pem").exists(), "the key went with the device")
