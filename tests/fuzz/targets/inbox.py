"""What a vendor host has for a device: the first byte chooses the manifest, the second the highest number received before."""

from __future__ import annotations

from gateway.reasons import Reason
from gateway.standard import inbox
from gateway.standard.refusal import Refusal
from tests.fuzz.manifests import CHOICES
from tests.fuzz.oracles import JSON_WORDS, canonical, sound_refusal

WORDS = (
    *JSON_WORDS, '"ce":1', '"inbox":[', '"seq":1', '"seq":2', '"type":"back"', '"type":"switch"', '"payload":{"b":true}',
    '"payload":{"on":true}', '{"ce":1,"inbox":[{"seq":1,"type":"back","payload":{"b":true}}]}',
)  # fmt: skip
JUDGED = {reason for reason in Reason if 120 <= reason.code < 140 or reason is Reason.HTTP_TOO_LARGE}


def check(data: bytes) -> None:
    """A refusal, or entries that each have one or go on, under numbers of ours, in canonical form."""
    judge, host, _ = CHOICES[data[0] % len(CHOICES) if data else 0]
    after = data[1] % 4 if len(data) > 1 else 0
    try:
        entries = inbox.read(judge.manifest, host, data[2:], after, max_body=65_536)
    except Refusal as refusal:
        sound_refusal(refusal, JUDGED)
        return
    assert 1 <= len(entries) <= inbox.MOST_ENTRIES
    assert [entry.seq for entry in entries] == sorted({entry.seq for entry in entries}) and entries[0].seq > after
    good = []
    for number, entry in enumerate(entries, 1):
        assert 0 <= entry.bits < 2**31
        if entry.refusal is not None:
            assert not entry.body
            sound_refusal(entry.refusal, JUDGED)
        else:
            canonical(entry.body)
            good.append(inbox.pass_on(judge.manifest, host, number, entry.body))
    if good:
        document = inbox.compose(good)
        canonical(document)
        again = inbox.read(judge.manifest, host, document, 0, max_body=2**20)
        assert [entry.body for entry in again] == [entry.body for entry in entries if entry.refusal is None]
