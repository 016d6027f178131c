"""What we send, held against our own strict reading of it."""

from __future__ import annotations

import pytest

from gateway.http1 import Limits, RequestParser, ResponseParser, render_request, render_response

TARGET = "/.well-known/clear-envelope/v1/messages/alarm"


def test_a_request_reads_back() -> None:
    data = render_request("POST", TARGET, "api.acme.example", [("Content-Type", "application/clear-envelope+json")], b"{}")
    request = RequestParser(Limits()).feed(data)
    assert request is not None
    assert (request.method, request.target, request.body) == ("POST", TARGET, b"{}")
    assert request.headers == (
        ("host", "api.acme.example"),
        ("content-type", "application/clear-envelope+json"),
        ("content-length", "2"),
    )
    assert RequestParser(Limits()).feed(render_request("GET", TARGET, "api.acme.example:8443", [], b""))


@pytest.mark.parametrize("status", [200, 202, 204, 304, 400, 422, 431, 501, 599])
def test_a_response_reads_back(status: int) -> None:
    body = b"" if status in {204, 304} else b"{}"
    parser = ResponseParser(Limits())
    parser.expect("POST")
    response = parser.feed(render_response(status, [("Retry-After", "3")], body, close=True))
    assert response is not None
    assert (response.status, response.body, response.close) == (status, body, True)
    assert response.header("retry-after") == "3"


@pytest.mark.parametrize("evil", ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "é", "a\x7f", "\ud800"])
def test_nothing_ends_a_line_early(evil: str) -> None:
    for make in (
        lambda: render_request("POST", TARGET, "api.acme.example", [("X-A", evil)], b""),
        lambda: render_request("POST", TARGET, "api.acme.example", [(evil, "a")], b""),
        lambda: render_request("POST", TARGET, evil, [], b""),
        lambda: render_request("POST", "/" + evil, "api.acme.example", [], b""),
        lambda: render_request(evil, TARGET, "api.acme.example", [], b""),
        lambda: render_response(200, [("X-A", evil)], b""),
        lambda: render_response(200, [(evil, "a")], b""),
    ):
        with pytest.raises(ValueError, match=r"."):
            make()


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "", "a b", "a:"])
def test_the_caller_does_not_frame(name: str) -> None:
    with pytest.raises(ValueError, match="field name"):
        render_response(200, [(name, "1")], b"")


def test_content_where_none_may_be() -> None:
    with pytest.raises(ValueError, match="204"):
        render_response(204, [], b"{}")
    with pytest.raises(ValueError, match="GET"):
        render_request("GET", TARGET, "api.acme.example", [], b"{}")
    for status in (100, 199, 600):
        with pytest.raises(ValueError, match="status"):
            render_response(status, [], b"")
