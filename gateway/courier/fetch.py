"""One look at a vendor's manifest or its signature: a GET of a plain https URL, by the same rules as a message's way out.

It must never follow a redirect, send anything but the URL, nor reach an address that ``destination`` refuses. Who asks is the
ledger alone, once it has the owner's wish on disk.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from gateway.courier.job import USER_AGENT
from gateway.courier.resolver import ForbiddenAddress, NoAddress, Resolver
from gateway.courier.trust import ALPN, Authorities
from gateway.http1.response import Response, ResponseParser
from gateway.http1.violation import Limits, Violation
from gateway.http1.writing import render_request
from gateway.ipc.messages import Fetch, Fetched
from gateway.policy.plan import RuledOut
from gateway.reasons import Reason
from gateway.registry import Device, Home, RegistryFile
from gateway.rules import Quarantine
from gateway.standard.manifest import MAX_DOCUMENT, MAX_URL
from gateway.standard.mud import is_plain_url

log = logging.getLogger(__name__)
KINDS = {  # what is fetched: Accept (RFC 8520 section 1.6, RFC 8769), and the most bytes that are read
    "manifest": ("application/mud+json, application/json", MAX_DOCUMENT),
    "signature": ("application/cms, application/pkcs7-signature, application/octet-stream", 64 * 1024),
}
READ_BYTES = 65_536
MOST_DETAIL = 300
Found = tuple[int, str, bytes]  # the vendor's status, words for the owner, what goes to him
type Read[T] = Callable[[asyncio.StreamReader], Awaitable[tuple[int, T]]]  # the vendor's status, and what came with it


class Refused(Exception):  # a verdict, not an error
    """Nothing was fetched. ``status``: the vendor's, 0 where it did not come to that."""

    def __init__(self, reason: Reason, detail: str, status: int = 0) -> None:
        self.reason, self.detail, self.status = reason, detail[:MOST_DETAIL], status
        super().__init__(self.detail)


def not_shut_out(quarantine: Quarantine, home: Home, device: Device) -> None:
    """For what is asked or fetched in a device's name, though it sent nothing. Raises Refused."""
    try:
        quarantine.check(home, device, time.time_ns())
    except RuledOut as out:
        raise Refused(out.reason, out.record) from None


@dataclass(frozen=True, slots=True)
class Fetcher:
    """``limits``: of a vendor's head; ``seconds``: for one whole look at a manifest, and for a connection to anything."""

    registry: RegistryFile
    resolver: Resolver
    authorities: Authorities
    limits: Limits
    seconds: float

    async def fetch(self, asked: Fetch) -> Fetched:
        """The answer for the ledger, whatever happens."""
        return await self.answered(asked, self._fetch)

    async def answered(self, asked: Fetch, work: Callable[[Fetch], Awaitable[Found]]) -> Fetched:
        """What ``work`` finds, or why it finds nothing, as the ledger hears it."""
        try:
            status, detail, body = await work(asked)
        except Refused as refused:
            return Fetched(asked.id, refused.status, refused.reason.code, refused.detail, b"")
        except Exception as error:
            log.exception("a look at %s failed in an unforeseen way", asked.url[:MAX_URL])
            return Fetched(asked.id, 0, Reason.JUDGE_ERROR.code, f"{type(error).__name__} while fetching; report this", b"")
        return Fetched(asked.id, status, -1, detail, body)

    async def _fetch(self, asked: Fetch) -> Found:
        if asked.kind not in KINDS or len(asked.url) > MAX_URL or not is_plain_url(asked.url):
            raise Refused(
                Reason.MANIFEST_URL, "an https URL with a host name, without port, user, query and fragment; give such a one"
            )
        if asked.device not in self.registry.current().by_id:  # RegistryError: unforeseen, and nothing leaves
            raise Refused(Reason.MANIFEST_URL, f"there is no device {asked.device}; admit it first")
        accept, most = KINDS[asked.kind]

        async def read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
            response = await _answer(reader, replace(self.limits, body_bytes=most))
            return response.status, response.body

        return 200, "", await self.get(asked.url, accept, self.seconds, read)

    async def get[T](self, url: str, accept: str, seconds: float, read: Read[T]) -> T:
        """What ``read`` makes of the answer to one plain GET, which must be 200. ``seconds``: for all of it. Raises Refused."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        try:
            request = render_request("GET", parts.path or "/", host, (("Accept", accept), ("User-Agent", USER_AGENT)), b"")
        except ValueError as error:
            raise Refused(Reason.MANIFEST_URL, str(error)) from None
        status, found = await self._over_one(host, request, seconds, read)
        if status != 200:
            elsewhere = "; redirects are not followed: ask the vendor for the true place" if status // 100 == 3 else ""
            raise Refused(Reason.VENDOR_ANSWER, f"{host} answered {status}{elsewhere}", status)
        return found

    async def exchange(self, host: str, request: bytes, most: int) -> Response:
        """The answer to one GET, whatever its status. ``most``: bytes of content. Raises Refused."""

        async def read(reader: asyncio.StreamReader) -> tuple[int, Response]:
            response = await _answer(reader, replace(self.limits, body_bytes=most))
            return response.status, response

        return (await self._over_one(host, request, self.seconds, read))[1]

    async def _over_one[T](self, host: str, request: bytes, seconds: float, read: Read[T]) -> tuple[int, T]:
        """One request on a connection of its own. Raises Refused."""
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(host, request, read)
        except ForbiddenAddress as error:
            raise Refused(Reason.VENDOR_ADDRESS, str(error)) from None
        except ssl.SSLError as error:
            raise Refused(Reason.VENDOR_TLS, str(error) or "the TLS handshake failed") from None
        except Violation as violation:
            raise Refused(Reason.VENDOR_ANSWER, violation.detail) from None
        except TimeoutError:
            raise Refused(Reason.VENDOR_UNREACHABLE, f"{host}: no whole answer within {seconds:g} s") from None
        except OSError as error:
            raise Refused(Reason.VENDOR_UNREACHABLE, str(error) or type(error).__name__) from None

    async def _exchange[T](self, host: str, request: bytes, read: Read[T]) -> tuple[int, T]:
        """Send to the first address that answers. Raises OSError, Violation."""
        failure: OSError = NoAddress(f"{host} has no address")
        addresses = await self.resolver.addresses(host)
        context = self.authorities.context()
        for address in addresses:
            try:
                async with asyncio.timeout(max(self.seconds / (len(addresses) + 1), 1.0)):
                    reader, writer = await asyncio.open_connection(str(address), 443, ssl=context, server_hostname=host)
            except OSError as error:  # TimeoutError and SSLError are two of them
                failure = failure if isinstance(failure, ssl.SSLError) else error
                continue
            try:
                if writer.get_extra_info("ssl_object").selected_alpn_protocol() not in (None, ALPN):
                    raise ssl.SSLError("the vendor chose another protocol than HTTP/1.1")
                writer.write(request)
                return await read(reader)
            finally:
                writer.transport.abort()
        self.resolver.forget(host)
        raise failure


async def _answer(reader: asyncio.StreamReader, limits: Limits) -> Response:
    """One whole response. Raises OSError, Violation."""
    parser = ResponseParser(limits)
    parser.expect("GET")
    while data := await reader.read(READ_BYTES):
        response = parser.feed(data)
        if response is not None:
            return response
    raise ConnectionError("the vendor closed the connection before its answer was whole")
