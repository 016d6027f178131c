"""What a vendor has for a device, through the whole home: asked for by schedule, judged, on record, kept for the device."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.ledger.reader import PollDay, Reader
from gateway.standard.inbox import PATH
from tests.home.client import Done, Here, eventually, mudroom, order, run_in, status_of
from tests.home.lab import layout

FIELD = "Clear-Envelope-Received"
OFF, ON = "inbox_seconds = 0\n", "inbox_seconds = 1\n"
LEDGER = layout.STATE / "state" / "ledger" / "ledger.db"
OFFERS = layout.RUN / "vendors" / "acme" / "inbox.json"


def restart_ledger(here: Here) -> None:
    order("kill", "ledger")
    order("ready", "ledger", timeout=30)
    eventually(lambda: status_of(get(here, 1)) in (200, 204), "the doors have found it")


@pytest.fixture(scope="module")
def asked(here: Here) -> Iterator[Here]:
    """The home, whose vendors are asked each second for what they have."""
    settings = layout.SETTINGS_FILE.read_text()
    assert OFF in settings
    layout.SETTINGS_FILE.write_text(settings.replace(OFF, ON))
    restart_ledger(here)
    yield here
    OFFERS.unlink(missing_ok=True)
    layout.SETTINGS_FILE.write_text(settings)
    restart_ledger(here)


@pytest.fixture(autouse=True)
def _empty(asked: Here) -> Iterator[None]:
    """Nothing waits before a test."""
    OFFERS.unlink(missing_ok=True)
    yield
    OFFERS.unlink(missing_ok=True)


class Numbers:
    """The vendor's own numbers, which only grow."""

    last = 1000

    @classmethod
    def offer(cls, *payloads: Any, type: str = "switch") -> list[int]:
        """The vendor has these for its devices."""
        numbers = list(range(cls.last + 7, cls.last + 7 * len(payloads) + 1, 7))
        cls.last = numbers[-1]
        entries = [{"seq": n, "type": type, "payload": payload} for n, payload in zip(numbers, payloads, strict=True)]
        OFFERS.write_text(json.dumps(entries))
        return numbers


def get(here: Here, number: int, received: int = 0, *more: str) -> Done:
    """The device asks; the HTTP status is the last line of ``out``."""
    words = ["curl", "-sS", "-m", "15", "--cacert", "ca.pem", "--cert", "cert.pem", "--key", "key.pem", "-w", "\n%{http_code}"]
    words += ["-H", f"{FIELD}: {received}"] if received else []
    url = f"https://{here.host(1)}{PATH}"
    return run_in(layout.namespace(number), *words, *more, url, timeout=17, cwd=here.folder(number))


def entries_of(done: Done) -> list[dict[str, Any]]:
    body = done.out.rsplit("\n", 1)[0]
    found: list[dict[str, Any]] = json.loads(body)["inbox"] if body else []
    return found


def states(device: str = "device-1", limit: int = 10) -> list[str]:
    rows = json.loads(mudroom("inbox", "--device", device, "--limit", str(limit), "--json"))
    return [row["state"] for row in rows]


def drained(here: Here) -> int:
    """The device takes whatever waits; the last number that it was given."""
    last = 0
    while entries := entries_of(get(here, 1, last)):
        last = entries[-1]["seq"]
    return last


def questions(here: Here) -> list[dict[str, Any]]:
    """What the vendor saw of the schedule."""
    return [line for line in here.received("acme") if line["path"] == PATH]


def received_by(line: dict[str, Any]) -> str:
    return next((value for name, value in line["headers"] if name == FIELD), "")


def test_from_the_vendor_to_the_device_and_never_twice(asked: Here) -> None:
    drained(asked)
    numbers = Numbers.offer({"on": True}, {"on": "c2VjcmV0IHNlY3JldA"}, {"on": False})
    eventually(lambda: states(limit=3) == ["waiting", "not-in-schema", "waiting"], "it is on record")
    done = get(asked, 1)
    first, second = entries_of(done)
    assert status_of(done) == 200
    assert (first["payload"], second["payload"], first["type"]) == ({"on": True}, {"on": False}, "switch")
    assert second["seq"] == first["seq"] + 1 and first["seq"] not in numbers, "numbers of the gateway's own, without a gap"
    assert "c2VjcmV0" not in done.out
    # the vendor is told the highest number, the refused one's too
    eventually(lambda: received_by(questions(asked)[-1]) == str(numbers[-1]), "acknowledged")
    restart_ledger(asked)
    assert entries_of(get(asked, 1)) == [first, second], "nothing is lost by a restart"
    assert entries_of(get(asked, 1, first["seq"])) == [second]
    assert status_of(get(asked, 1, second["seq"])) == 204
    seen = len(questions(asked))
    eventually(lambda: len(questions(asked)) >= seen + 2, "it is asked on")
    assert status_of(get(asked, 1)) == 204, "and nothing comes twice"
    assert states(limit=3) == ["taken", "not-in-schema", "taken"]
    (chain,) = json.loads(mudroom("ledger", "verify", "--json"))
    assert chain["broken"] is None
    with Reader(LEDGER) as reader:
        kept = b"".join(record.original for record in reader.records(limit=100_000) if record.kind == "inbox-answer")
    assert b"c2VjcmV0" in kept, "the owner has what the vendor sent"


def test_questions_are_signed_by_the_pair_and_say_nothing_else(asked: Here) -> None:
    seen = len(questions(asked))
    eventually(lambda: len(questions(asked)) > seen, "asked")
    asked.curl(1)
    message = next(line for line in reversed(asked.received("acme")) if line["method"] == "POST")
    for line in questions(asked):
        assert "unproven" not in line and line["signed_by"] == message["signed_by"], line
        assert {name.lower() for name, _ in line["headers"]} <= {
            "host", "accept", "user-agent", "clear-envelope-device", "clear-envelope-received", "signature-input", "signature",
        }  # fmt: skip
        assert line["body"] == ""
    others = {line["signed_by"] for line in asked.received("borealis") if line["path"] == PATH}
    assert len(others) == 1 and message["signed_by"] not in others, "each pair has a key of its own"


def test_times_are_the_schedule_s_whatever_the_device_does(asked: Here) -> None:
    """The plan of the day was on disk before; messages, the device's own questions and what it leaves lying move nothing."""
    drained(asked)
    seen = len(questions(asked))
    Numbers.offer(*({"on": bool(n % 2)} for n in range(40)))
    while len(questions(asked)) < seen + 6:
        asked.curl(1)
        get(asked, 1)
    with Reader(LEDGER) as reader:
        days: list[PollDay] = [day for day in reader.polls("device-1") if day.asked]
        plans = [record for record in reader.records(limit=100_000) if record.kind == "inbox-plan"]
    assert {plan.device for plan in plans} == {"device-1", "device-2"}, "what is neither standard nor known is nobody's"
    for line in questions(asked)[seen:]:
        assert min(plan.at for plan in plans) / 1e9 < line["time"]
    # what it acknowledged is what came, not what the device took: it took nothing
    numbers = [int(received_by(line) or 0) for line in questions(asked)[seen:]]
    assert numbers == sorted(numbers) and numbers[-1] == Numbers.last
    assert all(day.asked <= (day.last - day.first) // day.period + 1 for day in days), "no time beside the schedule's"
    drained(asked)


def test_another_device_and_a_forged_one_see_nothing(asked: Here) -> None:
    drained(asked)
    Numbers.offer({"on": True})
    eventually(lambda: states(limit=1) == ["waiting"], "it waits")
    for number, papers in ((2, ()), (3, ()), (4, ()), (1, ("--cert", "forged.pem", "--key", "forged.key"))):
        done = get(asked, number, 0, *papers)
        assert status_of(done) == 0, (number, done)
    assert entries_of(get(asked, 1))[0]["payload"] == {"on": True}
    drained(asked)


def test_what_no_inbox_is_is_recorded_and_asked_for_less_often(asked: Here) -> None:
    OFFERS.write_text(json.dumps("<html>"))
    seen = len(questions(asked))

    def answers() -> list[Any]:
        with Reader(LEDGER) as reader:
            return [r for r in reader.records(limit=100_000) if r.kind == "inbox-answer" and r.reason is not None]

    eventually(lambda: len(questions(asked)) > seen and answers(), "on record")
    assert answers()[-1].original == b"<html>"
    assert answers()[-1].reason.label == "vendor-answer"
    rows = json.loads(mudroom("inbox", "--asked", "--json"))
    assert rows[0]["device"] == "device-1" and rows[0]["every_seconds"] == 1
    OFFERS.unlink()


def test_a_quarantined_device_is_asked_for_no_more_and_its_inbox_is_emptied(asked: Here) -> None:
    restart_ledger(asked)  # no rest after the last test
    drained(asked)
    Numbers.offer({"on": True})
    eventually(lambda: states(limit=1) == ["waiting"], "it waits")
    mudroom("devices", "kind", "device-1", "quarantined")
    try:
        eventually(lambda: states(limit=1) == ["inbox-withdrawn"], "taken away")
        assert status_of(get(asked, 1)) == 0
    finally:
        mudroom("devices", "kind", "device-1", "standard")
    eventually(lambda: status_of(get(asked, 1)) == 204, "welcome again, and nothing waits")


def test_downlink_bits_are_shown(asked: Here) -> None:
    document = json.loads(mudroom("leaks", "device-1", "--json"))
    if isinstance(document, list):
        (document,) = document
    types = {row["type"]: row for row in document["days"]}
    assert types["switch"]["answers"] > 0 and types["switch"]["answer_bits"] >= types["switch"]["answers"]
    assert types[f"(inbox at {asked.host(1)})"]["answer_bits"] > 0
