"""How another HTTP/1.1 parser reads the same bytes: h11, which shares no code with llhttp or with ours.

What our parsers take, h11 must take and read as the same; what we refuse it may take.
"""

from __future__ import annotations

from collections.abc import Iterable

import h11

Fields = list[tuple[str, str]]


def h11_request(stream: bytes) -> tuple[str, str, Fields, bytes]:
    """Method, target, fields and content of the one request in ``stream``. Raises AssertionError where h11 finds no such."""
    head, body = _whole(h11.Connection(h11.SERVER), stream, h11.Request)
    assert isinstance(head, h11.Request)
    return head.method.decode(), head.target.decode(), _fields(head), body


def h11_response(stream: bytes) -> tuple[int, Fields, bytes]:
    """Status, fields and content of the one response in ``stream``, to a POST. Raises AssertionError where h11 finds no such."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "a.example"), ("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    head, body = _whole(connection, stream, h11.Response)
    assert isinstance(head, h11.Response)
    return head.status_code, _fields(head), body


def spelled(fields: Iterable[tuple[str, str]]) -> Fields:
    """Our fields as h11 spells them: a transfer coding in small letters, for its case means nothing (RFC 9112 section 7)."""
    return [(name, value.lower() if name == "transfer-encoding" else value) for name, value in fields]


def _whole(connection: h11.Connection, stream: bytes, kind: type[h11.Event]) -> tuple[h11.Event, bytes]:
    connection.receive_data(stream)
    try:
        head = connection.next_event()
        assert isinstance(head, kind), f"h11 reads no whole head: {head!r}"
        body = b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            assert isinstance(event, h11.Data), f"h11 reads no whole message: {event!r}"
            body += event.data
    except h11.RemoteProtocolError as error:
        raise AssertionError(f"h11 refuses what we took: {error}") from None
    assert not list(event.headers), "h11 reads trailers"
    assert connection.trailing_data == (b"", False), "h11 reads less"
    return head, body


def _fields(head: h11.Request | h11.Response) -> Fields:
    return [(name.decode(), value.decode()) for name, value in head.headers]
