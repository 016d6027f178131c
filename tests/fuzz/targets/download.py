"""A vendor host's answer to a fetch of software: the first two bytes choose where the rest is cut."""

from __future__ import annotations

from gateway.http1 import Limits, Violation
from gateway.http1.download import Download
from gateway.reasons import Reason
from tests.fuzz.oracles import same_however_cut
from tests.fuzz.targets.http_response import WORDS as RESPONSES

LIMITS = Limits(head_bytes=512, header_count=8)
SIZE = 24
WORDS = (*RESPONSES, f"Content-Length: {SIZE}\r\n", "HTTP/1.1 404 x\r\n", "x" * SIZE)
Result = tuple[int, bytes, bool, tuple[Reason, int] | None]


def check(data: bytes) -> None:
    """The same content and the same violation however it is cut, and never more than was asked for."""
    status, content, whole, violation = same_however_cut(data[2:], int.from_bytes(data[:2]), read)
    assert len(content) <= SIZE
    assert whole == (status == 200 and len(content) == SIZE and violation is None)
    assert not content or (status == 200 and data.endswith(content) and violation is None)
    if violation:
        assert violation[1] == 502, "the fault is the vendor's"


def read(pieces: list[bytes]) -> Result:
    """Status, content, whether all of it came, and the violation; one takes the content along, as nothing of it is kept."""
    download, content = Download(LIMITS, SIZE), b""
    try:
        for piece in pieces:
            if download.status not in {0, 200}:
                break  # the courier reads no further
            content += download.feed(piece)
    except Violation as violation:
        assert violation.detail
        return 0, b"", False, (violation.reason, violation.status)
    return download.status, content, download.whole, None
