"""The lines of a head, and what about them is refused (RFC 9110 section 5, RFC 9112 sections 2 to 6).

llhttp parses; this gate decides beforehand, line by line, what it gets to see: only heads that every parser reads in the
same way. It must never accept a line that it had to repair.
"""

from __future__ import annotations

import re

from gateway.http1.violation import Violation
from gateway.reasons import Reason

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 section 5.6.2
# RFC 3986 section 3.3 and 3.4 in origin-form (RFC 9112 section 3.2.1)
TARGET = rb"/[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*"
FIELD = TOKEN + rb":[\t\x20-\x7e]*"  # no obs-text, no obs-fold, no space before the colon
REQUEST_LINE = rb"(?:POST|GET) " + TARGET + rb" HTTP/1\.1"
STATUS_LINE = rb"HTTP/1\.1 [2-5][0-9][0-9] [\t\x20-\x7e]*"

_FIELD = re.compile(FIELD)
_REQUEST_LINE = re.compile(REQUEST_LINE)
_STATUS_LINE = re.compile(STATUS_LINE)
REQUEST_HEAD = re.compile(REQUEST_LINE + rb"\r\n(?:" + FIELD + rb"\r\n)*\r\n")
RESPONSE_HEAD = re.compile(STATUS_LINE + rb"\r\n(?:" + FIELD + rb"\r\n)*\r\n")

_METHOD = re.compile(rb"(" + TOKEN + rb") ")
_SHAPE = re.compile(rb"[^ ]+ [^ ]+ HTTP/([0-9])\.([0-9])")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?")
_LENGTH = re.compile(r"[0-9]{1,10}")

# Fields that mean something only once (RFC 9110 section 5.3); a second one could be read either way.
SINGLETONS = frozenset(
    {
        "connection", "content-length", "content-location", "content-type", "date", "etag", "expires", "host",
        "last-modified", "location", "retry-after", "server", "transfer-encoding",
    }
)  # fmt: skip
# Fields that would change what follows in the connection, or the meaning of the content.
_FORBIDDEN = {
    "upgrade": "no other protocol is spoken here",
    "expect": "no interim responses are sent",
    "te": "no transfer codings are negotiated",
    "trailer": "trailers are not taken",
    "content-encoding": "content is sent as it is, not compressed",
    "http2-settings": "no other protocol is spoken here",
    "proxy-connection": "it has no meaning",
    "keep-alive": "the gateway decides how long a connection lives",
}
_FORBIDDEN_ANSWER = {name: why for name, why in _FORBIDDEN.items() if name != "keep-alive"}  # common, and of no effect


def check_request_line(line: bytes) -> None:
    """A request's first line without its CRLF. Raises Violation."""
    if _REQUEST_LINE.fullmatch(line):
        return
    method = _METHOD.match(line)
    if method and method.group(1) not in {b"POST", b"GET"}:
        raise Violation(Reason.HTTP_METHOD, 405, "messages are sent with POST and fetched with GET; use one of them")
    shape = _SHAPE.fullmatch(line)
    if shape and shape.groups() != (b"1", b"1"):
        raise Violation(Reason.HTTP_SYNTAX, 505, "the gateway speaks HTTP/1.1; use that")
    if shape and method:
        raise Violation(Reason.HTTP_TARGET, 400, "a target is a path from / on, in the characters of RFC 3986; send that")
    raise Violation(Reason.HTTP_SYNTAX, 400, "a request starts with one line: method, path, HTTP/1.1, one space between them")


def check_status_line(line: bytes) -> None:
    """A response's first line without its CRLF. Raises Violation."""
    if _STATUS_LINE.fullmatch(line):
        return
    if re.match(rb"HTTP/1\.1 1[0-9][0-9] ", line):
        raise Violation(Reason.HTTP_FRAMING, 502, "interim responses (1xx) are not taken; send the final one")
    if re.match(rb"HTTP/(?!1\.1 )[0-9]", line):
        raise Violation(Reason.HTTP_SYNTAX, 502, "the gateway speaks HTTP/1.1; use that")
    raise Violation(Reason.HTTP_SYNTAX, 502, "a response starts with one line: HTTP/1.1, status from 200 to 599, reason phrase")


def check_field_line(line: bytes, status: int) -> None:
    """A field line without its CRLF. ``status``: that of the violation. Raises Violation."""
    if _FIELD.fullmatch(line):
        return
    if line[:1] in {b" ", b"\t"}:
        raise Violation(Reason.HTTP_HEADER, status, "folded field lines are not taken (RFC 9112 section 5.2); send one line")
    raise Violation(
        Reason.HTTP_HEADER,
        status,
        "a field line is a token, a colon and printable ASCII, with nothing before the colon; send that",
    )


def split_fields(head: bytes) -> list[tuple[str, str]]:
    """The fields of a whole head that was found correct: names in lower case, values without the space around them."""
    fields = []
    for line in head[:-4].decode("ascii").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        fields.append((name.lower(), value.strip(" \t")))
    return fields


def check_fields(fields: list[tuple[str, str]], count: int, *, answer: bool) -> dict[str, str]:
    """Rules that span fields (names in lower case); returns them by name. ``count``: the most there may be. Raises Violation."""
    status = 502 if answer else 400
    if len(fields) > count:
        raise Violation(Reason.HTTP_HEADER, 502 if answer else 431, f"at most {count} header fields; send fewer")
    by_name = dict(fields)
    if len(by_name) != len(fields):
        names = [name for name, _ in fields]
        for name in names:
            # a request has no need of repeated fields at all
            if names.count(name) > 1 and (not answer or name in SINGLETONS):
                reason = Reason.HTTP_HOST if name == "host" else _framing(name)
                raise Violation(reason, status, f"the field {name[:40]} may occur once; send it once")
    forbidden = _FORBIDDEN_ANSWER if answer else _FORBIDDEN
    if not forbidden.keys().isdisjoint(by_name):
        name = next(name for name, _ in fields if name in forbidden)
        raise Violation(Reason.HTTP_HEADER, status, f"the field {name} is not used here: {forbidden[name]}; leave it out")
    connection = by_name.get("connection")
    if connection is not None and connection.lower() not in {"close", "keep-alive"}:
        raise Violation(Reason.HTTP_HEADER, status, "Connection says close or keep-alive, and nothing else")
    return by_name


def check_host(value: str | None) -> None:
    """A request's Host (RFC 9112 section 3.2). Raises Violation."""
    if value is None or not _HOST.fullmatch(value):
        raise Violation(Reason.HTTP_HOST, 400, "a request has one Host field with a name, and a port if need be; send that")


def length(value: str, most: int, *, answer: bool) -> int:
    """The number in a Content-Length. Raises Violation."""
    if not _LENGTH.fullmatch(value):
        raise Violation(Reason.HTTP_FRAMING, 502 if answer else 400, "Content-Length is one decimal number; send that")
    number = int(value)
    if number > most:
        raise too_large(most, answer=answer)
    return number


def too_large(most: int, *, answer: bool) -> Violation:
    """The violation of content over the limit."""
    return Violation(Reason.HTTP_TOO_LARGE, 502 if answer else 413, f"content has at most {most} bytes; send less")


def _framing(name: str) -> Reason:
    return Reason.HTTP_FRAMING if name in {"content-length", "transfer-encoding"} else Reason.HTTP_HEADER
