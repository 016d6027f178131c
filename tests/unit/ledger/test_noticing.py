"""Notices from the record: what a vendor writes into its refusals makes no notices."""

from __future__ import annotations

import json
import time

from gateway.ledger import noticing
from gateway.ledger.batch import Answer, Batch
from gateway.ledger.reader import Reader
from gateway.ledger.store import Store
from gateway.reasons import Reason
from gateway.registry import Home, Registry
from gateway.standard.problem import TYPE_PREFIX
from tests.unit.ledger.grown import message, said


def refused(store: Store, number: int, type_: str, title: str) -> None:
    sent = message(number, {"n": number})
    (seq,) = said(store, sent, answer=False)
    body = json.dumps({"type": type_, "title": title, "status": 403}).encode()
    code = Reason.VENDOR_REFUSED.code
    store.commit(
        Batch(answers=[Answer(seq, sent.id, sent.device, sent.vendor, sent.host, sent.type, 403, code, "", body, body, 3)])
    )


def test_a_vendor_that_numbers_its_refusals_has_one_notice_of_each_sort(store: Store) -> None:
    for number in range(20):
        refused(store, number, "about:blank", f"refusal {number}")
    for number in range(20, 30):
        refused(store, number, TYPE_PREFIX + "required-withheld", f"{number} needs the power")
    with Reader(store.path) as reader:
        found = noticing.look(reader, Home(Registry()), now=time.time(), seconds=86_400)
    assert sorted(notice.words for notice in found) == [
        "Acme refuses service to plug: 29 needs the power (10 times).",
        "Acme refuses service to plug: refusal 19 (20 times).",
    ]
    refused(store, 30, "about:blank", "yet another")
    with Reader(store.path) as reader:
        later = noticing.look(reader, Home(Registry()), now=time.time(), seconds=86_400)
    assert {notice.key for notice in later} == {notice.key for notice in found}, "nobody is told of it a second time"
