"""Helpers for the tests of the grown ledger: readable messages, a store that is tended to its end, what the files hold."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from gateway.ipc.messages import Submit
from gateway.ledger import erasing
from gateway.ledger.batch import Answer, Batch, Note
from gateway.ledger.store import Store
from gateway.ledger.tending import Tender
from tests.unit.ledger.peers import submit


def message(
    number: int, payload: object, *, device: str = "plug", vendor: str = "Acme", type_: str = "reading", **more: object
) -> Submit:
    """A message whose envelope has this payload; what the device sent differs by a space."""
    body = json.dumps({"ce": 1, "payload": payload}, ensure_ascii=False).encode()
    found = submit(number, device=device, type_=type_)
    return msgspec.structs.replace(found, vendor=vendor, original=b" " + body, outgoing=body, **more)  # type: ignore[arg-type]


def end(seq: int, sent: Submit, body: bytes = b"{}") -> Answer:
    """The vendor took it."""
    return Answer(seq, sent.id, sent.device, sent.vendor, sent.host, sent.type, 200, -1, "", body, body, 3)


def said(store: Store, *messages: Submit, answer: bool = True) -> list[int]:
    """Record messages, and that their vendor took them."""
    seqs = [seq for seq in store.commit(Batch(submits=list(messages))) if isinstance(seq, int)]
    assert len(seqs) == len(messages)
    if answer:
        store.commit(Batch(answers=[end(seq, sent) for seq, sent in zip(seqs, messages, strict=True)]))
    return seqs


def wish(device: str, before: int = 0, id: str = "wish") -> Note:
    return Note(erasing.KIND, id, device, "", "", outgoing=msgspec.json.encode(erasing.Wish(device, before)))


def tend(tender: Tender) -> list[erasing.Step]:
    """Take steps until nothing is to be done; the erasures that were passed."""
    passed = []
    for _ in range(100_000):
        done = tender.step(idle=True)
        if done.erasure is not None and done.erasure.passed:
            passed.append(done.erasure)
        if not done.again:
            return passed
    raise AssertionError("it never ends")


def bytes_on_disk(path: Path) -> bytes:
    """The file and its write-ahead log as whoever takes the disk finds them."""
    return b"".join(found.read_bytes() for found in sorted(path.parent.iterdir()) if found.is_file())
