"""One request's visitor: whose session it is, by the steward's word, and what every page of it needs.

It must never take a role from the browser: the cookie's token is asked anew for each request.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from gateway.config import Config
from gateway.ipc.programs import Bearer, Borne
from gateway.ipc.steward import Standing, Stands
from gateway.registry import Home, RegistryFile
from gateway.web.link import Asks
from gateway.web.problems import is_api

COOKIE = "__Host-mudroom"  # RFC 6265bis: Secure, Path=/ and no Domain, or the browser does not take it
COOKIE_SECONDS = 7 * 86_400
MOST_TOKEN = 64
CHALLENGE = 'Bearer realm="Mudroom"'  # RFC 6750 section 3
MOST_BODY = 8_192
MOST_FIELDS = 16


@dataclass(frozen=True)
class House:
    """What the application is made of."""

    config: Config
    link: Asks
    registry: RegistryFile


@dataclass(frozen=True)
class Visit:
    """``role``: "owner", "household" or empty; ``begun``: whether the box has an owner's password."""

    house: House
    request: Request
    token: str
    role: str
    begun: bool
    unseen: int = 0  # notices, for the navigation

    @property
    def address(self) -> str:
        """Where the visitor is."""
        return self.request.client.host if self.request.client else "?"

    @property
    def csrf(self) -> str:
        """What a form of this session carries: it follows from the token, which no script can read."""
        return csrf_of(self.token)

    @property
    def home(self) -> Home:
        """The registry as it is now. Raises RegistryError."""
        return self.house.registry.current()

    def shown(self, **values: Any) -> dict[str, Any]:
        """A page's values, with what every page needs."""
        waits = sum(device.waiting is not None for device in self.home.registry.devices)
        return {"role": self.role, "csrf": self.csrf, "waiting": waits, "unseen": self.unseen, **values}


def csrf_of(token: str) -> str:
    """The form's token of a session."""
    return hashlib.sha256(b"mudroom form\0" + token.encode(errors="replace")).hexdigest()


async def visit(house: House, request: Request) -> Visit:
    """Who comes: by a program's token where one is sent, else by the session's cookie. Raises NoSteward and HTTPException."""
    if "authorization" in request.headers:
        return await _program(house, request)
    token = request.cookies.get(COOKIE, "")
    if len(token) > MOST_TOKEN or not token.isascii():
        token = ""
    found = await house.link.ask(Standing(0, token), Stands)
    return Visit(house, request, token if found.role else "", found.role, found.begun, found.unseen)


async def _program(house: House, request: Request) -> Visit:
    """A token opens what is made for programs and no page, and a cookie that comes along counts for nothing."""
    if not is_api(request.scope):
        return Visit(house, request, "", "", True)
    sent = request.headers.getlist("authorization")
    scheme, _, token = sent[0].partition(" ")
    token = token.strip(" ")
    if len(sent) != 1 or scheme.lower() != "bearer" or not token.isascii() or not 0 < len(token) <= MOST_TOKEN:
        raise HTTPException(401, "Send one token, as: Authorization: Bearer TOKEN.", {"www-authenticate": CHALLENGE})
    seen = Visit(house, request, token, "", True)
    found = await house.link.ask(Bearer(0, token, seen.address), Borne)
    if found.wait:
        wait = str(found.wait)
        raise HTTPException(429, f"Too many wrong tokens came from here. Wait {wait} seconds.", {"retry-after": wait})
    if not found.role:
        words = "This token is nobody's: mistyped, ended or revoked. The owner makes tokens under Settings."
        raise HTTPException(401, words, {"www-authenticate": CHALLENGE + ', error="invalid_token"'})
    return Visit(house, request, token, found.role, True)


async def form(request: Request) -> dict[str, str]:
    """A form's fields; each once. Raises HTTPException."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "Forms come as application/x-www-form-urlencoded.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            raise HTTPException(413, "This form is too long.")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise HTTPException(400, "This form cannot be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise HTTPException(400, "Each field of a form occurs once.")
    return fields


def check_form(seen: Visit, fields: dict[str, str]) -> None:
    """Whether the form is one that this session was shown. Raises HTTPException."""
    if not hmac.compare_digest(fields.get("csrf", "").encode(errors="replace"), seen.csrf.encode()):
        raise HTTPException(403, "This form is of another session. Open the page anew and try again.")
