"""Field sections of HTTP/2 by the rules of gateway.http1 (RFC 9113 section 8): pure. It must never repair a name or a value.

A message that came by HTTP/2 is told in the same terms as one by HTTP/1.1: ``:authority`` is its Host, and the rest is held
against the same grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.http1 import grammar
from gateway.http1.violation import Limits, Violation
from gateway.reasons import Reason

Fields = list[tuple[str, str]]
OVERHEAD = 32  # what a field counts beside its bytes, RFC 9113 section 6.5.2

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")  # a token in lower case, RFC 9113 section 8.2
_VALUE = re.compile(rb"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")  # no space around it, section 8.2.1
_TARGET = re.compile(grammar.TARGET)
_STATUS = re.compile(rb"[2-5][0-9][0-9]")
# Connection-specific fields (section 8.2.2) that HTTP/1.1 knows how to read and HTTP/2 does not have.
_CONNECTION = frozenset({"connection", "transfer-encoding", "keep-alive", "proxy-connection", "upgrade"})


def request_head(headers: Iterable[tuple[bytes, bytes]], limits: Limits) -> tuple[str, str, Fields, int]:
    """Method, target, fields (``host`` the first, as over HTTP/1.1) and bytes of content to come. Raises Violation."""
    pseudo, fields = _split(headers, limits, answer=False)
    if pseudo.keys() != {b":method", b":scheme", b":authority", b":path"}:
        raise Violation(
            Reason.HTTP_HOST if b":authority" not in pseudo else Reason.HTTP_HEADER,
            400,
            "a request has :method, :scheme, :authority and :path, each once, and no other such field; send that",
        )
    method, target = pseudo[b":method"], pseudo[b":path"]
    if method not in {b"POST", b"GET"}:
        raise Violation(Reason.HTTP_METHOD, 405, "messages are sent with POST and fetched with GET; use one of them")
    if pseudo[b":scheme"] != b"https":
        raise Violation(Reason.HTTP_HEADER, 400, "the scheme is https; send that")
    if not _TARGET.fullmatch(target):
        raise Violation(Reason.HTTP_TARGET, 400, "a target is a path from / on, in the characters of RFC 3986; send that")
    if not _VALUE.fullmatch(pseudo[b":authority"]):
        raise Violation(Reason.HTTP_HOST, 400, ":authority is a name, and a port if need be; send that")
    if any(name == "host" for name, _ in fields):
        raise Violation(Reason.HTTP_HOST, 400, "over HTTP/2 the host stands in :authority; leave the field host out")
    fields.insert(0, ("host", pseudo[b":authority"].decode("ascii")))
    by_name = grammar.check_fields(fields, limits.header_count, answer=False)
    grammar.check_host(by_name["host"])
    value = by_name.get("content-length")
    if method == b"GET":
        if value not in {None, "0"}:
            raise Violation(Reason.HTTP_FRAMING, 400, "a GET has no content; leave it out")
    elif value is None:
        raise Violation(Reason.HTTP_FRAMING, 411, "a POST has a Content-Length; send it")
    length = grammar.length("0" if value is None else value, limits.body_bytes, answer=False)
    return method.decode("ascii"), target.decode("ascii"), fields, length


def response_head(headers: Iterable[tuple[bytes, bytes]], limits: Limits) -> tuple[int, Fields, int | None]:
    """Status, fields and bytes of content to come (None where the answer does not say). Raises Violation."""
    pseudo, fields = _split(headers, limits, answer=True)
    status = pseudo.get(b":status", b"")
    if pseudo.keys() != {b":status"} or not _STATUS.fullmatch(status):
        raise Violation(Reason.HTTP_SYNTAX, 502, "a response has :status from 200 to 599 and no other such field; send that")
    by_name = grammar.check_fields(fields, limits.header_count, answer=True)
    value = by_name.get("content-length")
    if status in {b"204", b"304"}:
        if value not in {None, "0"}:
            raise Violation(Reason.HTTP_FRAMING, 502, "204 and 304 have no content (RFC 9110 section 6.4.1); leave it out")
        return int(status), fields, 0
    return int(status), fields, None if value is None else grammar.length(value, limits.body_bytes, answer=True)


def _split(headers: Iterable[tuple[bytes, bytes]], limits: Limits, *, answer: bool) -> tuple[dict[bytes, bytes], Fields]:
    status = 502 if answer else 400
    pseudo: dict[bytes, bytes] = {}
    fields: Fields = []
    size = 0
    for name, value in headers:
        size += len(name) + len(value) + OVERHEAD
        if size > limits.head_bytes:
            large = 502 if answer else 431
            detail = f"fields have at most {limits.head_bytes} bytes (RFC 9113 section 6.5.2); send fewer"
            raise Violation(Reason.HTTP_TOO_LARGE, large, detail)
        if name[:1] == b":":
            if fields or name in pseudo:
                raise Violation(Reason.HTTP_HEADER, status, "fields with a colon come first, and each once; send them so")
            pseudo[name] = value
        elif not _NAME.fullmatch(name):
            raise Violation(Reason.HTTP_HEADER, status, "a field's name is a token in lower case; send that")
        elif not _VALUE.fullmatch(value):
            raise Violation(Reason.HTTP_HEADER, status, "a field's value is printable ASCII with no space around it; send that")
        elif (text := name.decode("ascii")) in _CONNECTION:
            raise Violation(
                Reason.HTTP_FRAMING if text == "transfer-encoding" else Reason.HTTP_HEADER,
                501 if text == "transfer-encoding" and not answer else status,
                f"the field {text} has no meaning in HTTP/2 (RFC 9113 section 8.2.2); leave it out",
            )
        else:
            fields.append((text, value.decode("ascii")))
    return pseudo, fields
