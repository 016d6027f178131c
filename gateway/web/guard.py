"""What every request must pass before a page sees it, and what every answer carries. Pure ASGI; it knows no page.

The host must be the gateway's own (a name that an attacker points at us has another), a request that changes something must
come from our own pages, and a method must be one that we know. It must never let an answer out without its headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.standard.enrolment import HOST
from gateway.web.problems import answer, is_api

# No address of ours has these; decoded, they would divide a path, climb in it, or end it for whoever reads it later.
ESCAPED = re.compile(rb"%(?:2[ef5]|5c|7f|[01][0-9a-f])|\\", re.IGNORECASE)
READING = ("GET", "HEAD")
CHANGING = ("POST",)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with "no-referrer" browsers say "Origin: null" of our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), interest-cohort=()",
    "strict-transport-security": "max-age=31536000",
}
# Where a label's code may be scanned: the camera is for our own page there, and stays shut everywhere else.
CAMERA = {"/newcomers": HEADERS["permissions-policy"].replace("camera=()", "camera=(self)")}


class Guard:
    """Around the whole application. ``addresses``: the LAN's own, by which the pages may be called too; ``port``: theirs."""

    def __init__(self, app: ASGIApp, addresses: Iterable[str], port: int = 443) -> None:
        self._app = app
        names = [HOST, *(f"[{a}]" if ip_address(a).version == 6 else a for a in addresses)]
        ending = "" if port == 443 else f":{port}"
        self._hosts = {f"{name}{ending}" for name in names} | ({f"{name}:443" for name in names} if port == 443 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if scope["path"] in CAMERA:
                    headers["permissions-policy"] = CAMERA[scope["path"]]
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._wrong(scope["method"], Headers(scope=scope), is_api(scope))
        if refusal is None and ESCAPED.search(scope.get("raw_path", b"")):
            refusal = 404, "There is nothing here."
        if refusal is None:
            await self._app(scope, receive, sealed)
        else:
            allow = {"allow": ", ".join((*READING, *CHANGING))} if refusal[0] == 405 else None  # RFC 9110 section 15.5.6
            await answer(scope, *refusal, allow)(scope, receive, sealed)

    def _wrong(self, method: str, headers: Headers, program: bool) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 421, f"These pages are at https://{HOST}/, and under no other name."
        if method not in (*READING, *CHANGING) and not program:  # each call of the API says which of them it takes
            return 405, "Pages are read (GET) or changed (POST)."
        site = headers.get("sec-fetch-site")
        # no other site's page can send a token without asking first (Fetch: CORS-preflight), which is refused here as a method
        if method in CHANGING and not (program and "authorization" in headers) and not self._ours(headers, hosts[0], site):
            return 403, "This did not come from the gateway's own pages. Open them and try again."
        # what other sites could load of ours without a person's click: nothing
        if method in READING and site in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate":
            return 403, "Other sites cannot use the gateway's pages."
        return None

    def _ours(self, headers: Headers, host: str, site: str | None) -> bool:
        """A browser says where a form comes from; who says nothing is none of ours, for every browser of today does."""
        origins = headers.getlist("origin")
        if origins and (len(origins) != 1 or origins[0].lower() not in {f"https://{host.lower()}"}):
            return False
        if site is not None and site != "same-origin":
            return False
        return bool(origins) or site is not None
