"""Our HTTP/2 reader on the vectors that other implementations use too (tests/vectors/request2.json)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.door.request import message_type
from gateway.http1 import Limits, Violation
from gateway.http2.account import Account
from gateway.http2.server import ServerSide
from tests.unit.http2.wire import START, pieces, told
from tests.unit.standard.test_vectors import SERVER_NAME, vectors


@pytest.mark.parametrize("piece", [1, 7, 100_000])
@pytest.mark.parametrize(("vector", "file"), vectors("request2"))
def test_requests(vector: dict[str, Any], file: dict[str, Any], piece: int) -> None:
    del file
    stream = vector["stream"].encode() if "stream" in vector else START + b"".join(map(told, vector["frames"]))
    side, taken = ServerSide(Limits(), Account()), None
    try:
        for part in pieces(stream, piece):
            for _, request in side.feed(part):
                taken = message_type(request, SERVER_NAME)
    except Violation as violation:
        assert (violation.reason.label, violation.status) == (vector["verdict"], vector.get("status"))
    else:
        assert (vector["verdict"], vector.get("type")) == ("accepted", taken)
