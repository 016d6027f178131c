"""A vendor's answer, judged: the first byte chooses the manifest, the second status and Content-Type."""

from __future__ import annotations

from gateway.reasons import Reason
from gateway.standard.envelope import MEDIA_TYPE
from gateway.standard.problem import PROBLEM_MEDIA_TYPE
from gateway.standard.refusal import Refusal
from tests.fuzz.manifests import CHOICES
from tests.fuzz.oracles import JSON_WORDS, canonical, sound_refusal

WORDS = (
    *JSON_WORDS, '"ce":1', '"type":"back"', '"payload":{"b":true}', '"title":', '"detail":', '"status":422',
    '"pointers":["/payload/x"]',
    '"type":"urn:mudroom:refusal:required-withheld"',
)  # fmt: skip
KINDS = [
    (200, MEDIA_TYPE), (422, PROBLEM_MEDIA_TYPE), (204, None), (403, PROBLEM_MEDIA_TYPE + "; charset=utf-8"),
    (200, "text/html"), (302, MEDIA_TYPE), (500, PROBLEM_MEDIA_TYPE),
]  # fmt: skip


def check(data: bytes) -> None:
    """A refusal as an answer that does not conform, or canonical JSON that is judged again as the same."""
    judge, _, _ = CHOICES[data[0] % len(CHOICES) if data else 0]
    status, media_type = KINDS[data[1] % len(KINDS) if len(data) > 1 else 0]
    try:
        answer = judge.from_vendor(status, media_type, data[2:])
    except Refusal as refusal:
        sound_refusal(refusal, {Reason.VENDOR_ANSWER})
        return
    if not answer.body:
        assert answer.status == 204
        assert not answer.media_type
        return
    canonical(answer.body)
    assert answer.status == (200 if status < 300 else status)
    assert judge.from_vendor(status, answer.media_type, answer.body) == answer, "judged again, another answer passes"
