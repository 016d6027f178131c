"""A house for tests of the pages: the real ledger, the real steward and the real application in one loop, and a browser's side.

The browser speaks HTTP to the real server over the loopback, without TLS unless a test brings a context.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from gateway.box import firststart
from gateway.config import Config
from gateway.ipc.messages import Attempt, Submit
from gateway.reasons import Reason
from gateway.registry import Device, Kind, RegistryFile
from gateway.standard.enrolment import HOST
from gateway.steward.main import serve as steward
from gateway.web.app import build
from gateway.web.link import Link
from gateway.web.server import Server
from tests.unit.ledger.peers import connect, running, settings

SAMPLES = Path(__file__).parents[2] / "samples"
PASSWORD = "the boots stand by the door"
HOUSEHOLD = "what the children may see"


@dataclass
class Got:
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def where(self) -> str:
        return self.headers.get("location", "")

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Browser:
    """One visitor with a cookie jar of one. ``address``: the loopback address that it comes from."""

    port: int
    address: str = "127.0.0.1"
    cookie: str = ""
    host: str = HOST
    same_origin: dict[str, str] = field(default_factory=lambda: {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"})

    async def get(self, path: str, **headers: str) -> Got:
        return await asyncio.to_thread(self._ask, "GET", path, "", _named(headers))

    async def post(self, path: str, fields: dict[str, str] | str, **headers: str) -> Got:
        body = fields if isinstance(fields, str) else urlencode(fields)
        sent = {"Content-Type": "application/x-www-form-urlencoded", **self.same_origin, **_named(headers)}
        return await asyncio.to_thread(self._ask, "POST", path, body, {k: v for k, v in sent.items() if v})

    async def ask(self, method: str, path: str, **headers: str) -> Got:
        return await asyncio.to_thread(self._ask, method, path, "", _named(headers))

    async def decide(self, what: str, **fields: str) -> Got:
        page = await self.get("/settings")
        return await self.post("/decide", {"csrf": csrf(page), "what": what, **fields})

    def _ask(self, method: str, path: str, body: str, headers: dict[str, str]) -> Got:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20, source_address=(self.address, 0))
        with contextlib.closing(link):
            sent = {"Host": self.host, **headers}
            if self.cookie:
                sent["Cookie"] = self.cookie
            link.request(method, path, body.encode() if body else None, sent)
            answer = link.getresponse()
            got = Got(answer.status, answer.headers, answer.read().decode())
        if given := got.headers.get("set-cookie"):
            value = given.partition(";")[0]
            self.cookie = "" if value.endswith(('=""', "=")) else value
        return got


def csrf(page: Got) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found[1]


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class House:
    """What a test works with."""

    config: Config
    port: int
    registry: RegistryFile
    told: list[tuple[str, ...]]  # what DHCP was told
    link: Link  # the pages' own, to the steward

    def browser(self, address: str = "127.0.0.1") -> Browser:
        return Browser(self.port, address)

    @property
    def state(self) -> Path:
        return Path(self.config.paths.state)

    async def begin(self, address: str = "127.0.0.1") -> Browser:
        """First start: the owner's browser, logged in."""
        firststart.make(self.state)
        code = firststart.code(self.state)
        browser = self.browser(address)
        done = await browser.post("/start", {"code": code or "", "password": PASSWORD, "again": PASSWORD})
        assert (done.status, done.where) == (303, "/"), done.text
        return browser

    async def household(self, owner: Browser) -> Browser:
        """The household's browser, logged in."""
        await owner.decide("household", value=HOUSEHOLD, again=HOUSEHOLD)
        browser = self.browser()
        assert (await browser.post("/login", {"password": HOUSEHOLD})).status == 303
        return browser

    async def say(
        self,
        payload: dict[str, Any],
        id: str = "m-1",
        device: str = "plug",
        left: dict[str, Any] | None = None,
        *,
        vendor: str = "Acme",
    ) -> None:
        """A device's message on record, with no vendor in sight."""
        original = {
            "ce": 1,
            "type": "power-reading",
            "vendor": {"name": "Acme", "hosts": ["api.acme.example"]},
            "payload": payload,
        }
        outgoing = original | {"id": id, "withheld": [], **(left or {})}
        door = await connect(self.config.paths.socket("ledger"), "door")
        door.send(
            Submit(1, id, device, vendor, "api.acme.example", "power-reading", time.time_ns(), json.dumps(original).encode(),
                   json.dumps(outgoing).encode(), 0, 10, 10**9, 1000)
        )  # fmt: skip
        await door.get()
        await door.close()

    async def attempt(self, device: str, reason: Reason, destination: str = "203.0.113.9", count: int = 41) -> None:
        """Something that was dropped."""
        door = await connect(self.config.paths.socket("ledger"), "door")
        now = time.time_ns()
        door.send(Attempt(device, reason.code, "udp", destination, 443, count, now, now, "door"))
        await door.close()


@contextlib.asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    """All of it, with one admitted device, `plug`, whose manifest is Acme's."""
    config = settings(folder)
    run = Path(config.paths.run)
    (run / "steward").mkdir(parents=True, exist_ok=True)
    Path(config.paths.state).mkdir(exist_ok=True)
    registry = RegistryFile(config.paths.registry)
    with registry.change() as change:
        change.admit(Device(id="plug", name="Plug", kind=Kind.LOCAL, mac="02:00:00:00:00:01"))
        document = (SAMPLES / "acme.mud.json").read_bytes()
        change.approve("plug", document, config.dmz.pool_ipv4, config.dmz.pool_ipv6, now=int(time.time()))
    told: list[tuple[str, ...]] = []

    def tell(_config: Config, macs: Iterable[str]) -> None:
        told.append(tuple(macs))

    stop = asyncio.Event()
    async with running(config):
        working = asyncio.create_task(steward(config, tell, stop, lambda: ()))
        link = Link(config.paths.socket("steward"))
        sock = socket.create_server(("127.0.0.1", 0))
        pages = Server(build(config, link), None)
        serving = asyncio.create_task(pages.serve([sock]))
        try:
            while not config.paths.socket("steward").exists():  # noqa: ASYNC110 # a file has no event
                await asyncio.sleep(0.005)
            yield House(config, sock.getsockname()[1], registry, told, link)
        finally:
            pages.should_exit = True
            stop.set()
            link.close()
            await asyncio.gather(working, serving)
            sock.close()


def run(folder: Path, work: Callable[[House], Awaitable[None]], seconds: float = 60.0) -> None:
    """A test's conversation, with an end."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds), house(folder) as found:
            await work(found)

    asyncio.run(bounded())
