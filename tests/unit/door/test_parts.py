"""The door's parts by themselves: leaves, rates, attempts, and what the process loads."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from gateway.door.attempts import MAX_KINDS_PER_DEVICE, Attempts
from gateway.door.leaves import Leaves, NoLeaf
from gateway.door.rates import Rates
from gateway.door.request import message_type
from gateway.http1 import Request
from gateway.ipc.messages import Attempt
from gateway.pki import issue
from gateway.pki.ca import new_authority
from gateway.reasons import Reason

from cryptography.hazmat.primitives.serialization import Encoding  # isort: skip

HOST = "api.acme.example"


class Clock:
    """A time that the test moves."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC).timestamp()

    def __call__(self) -> float:
        return self.time


def test_what_a_worker_loads() -> None:
    program = "import sys, gateway.door.main; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "mitmproxy.proxy.layers.tls" in loaded
    for module in ("mitmproxy.master", "mitmproxy.proxy.server", "mitmproxy.proxy.layers.http", "mitmproxy.addons"):
        assert module not in loaded, module
    for package in ("flask", "tornado", "urwid", "aioquic", "h2", "wsproto", "bcc", "pyroute2", "sqlite3"):
        assert package not in loaded, package


def test_leaves_are_kept_and_renewed_at_half_their_life() -> None:
    clock, authority, asked = Clock(), new_authority(datetime.now(UTC)), []

    async def sign(host: str, csr: bytes) -> bytes:
        asked.append(host)
        await asyncio.sleep(0)
        now = datetime.fromtimestamp(clock.time, UTC)
        return issue.leaf(authority, host, csr, now).public_bytes(Encoding.PEM)

    async def scenario() -> None:
        leaves = Leaves(sign, clock)
        first, second = await asyncio.gather(leaves.get(HOST), leaves.get(HOST))
        assert first is second
        assert asked == [HOST], "who waits for the same leaf shares it"
        clock.time += timedelta(hours=23).total_seconds()
        assert await leaves.get(HOST) is first
        clock.time += timedelta(hours=2).total_seconds()
        assert leaves.at_hand(HOST) is first, "the old one serves while the new one is made"
        while leaves.at_hand(HOST) is first:  # noqa: ASYNC110  # made in the background, without an event
            await asyncio.sleep(0)
        fresh = await leaves.get(HOST)
        assert fresh.key.public_key() != first.key.public_key()
        assert len(asked) == 2
        await leaves.close()

    asyncio.run(scenario())


def test_no_leaf_after_its_end_and_no_hammering() -> None:
    clock, authority, asked = Clock(), new_authority(datetime.now(UTC)), []
    away = False

    async def sign(host: str, csr: bytes) -> bytes:
        asked.append(host)
        if away:
            raise NoLeaf("the signer is not there")
        return issue.leaf(authority, host, csr, datetime.fromtimestamp(clock.time, UTC)).public_bytes(Encoding.PEM)

    async def scenario() -> None:
        nonlocal away
        leaves = Leaves(sign, clock)
        await leaves.get(HOST)
        away = True
        clock.time += timedelta(hours=49).total_seconds()
        for _ in range(5):
            with pytest.raises(NoLeaf):
                await leaves.get(HOST)
        assert len(asked) == 2
        away = False
        clock.time += 2
        assert (await leaves.get(HOST)).host == HOST
        await leaves.close()

    asyncio.run(scenario())


def test_a_certificate_for_another_key_is_no_leaf() -> None:
    authority = new_authority(datetime.now(UTC))

    async def scenario() -> None:
        caught: list[bytes] = []

        async def sign(host: str, csr: bytes) -> bytes:
            caught.append(csr)
            return issue.leaf(authority, host, caught[0], datetime.now(UTC)).public_bytes(Encoding.PEM)

        leaves = Leaves(sign)
        await leaves.get(HOST)
        with pytest.raises(NoLeaf, match="another key"):
            await leaves.get("other.acme.example")

    asyncio.run(scenario())


def test_rates_allow_an_hours_worth_and_then_the_pace() -> None:
    now = 0.0
    rates = Rates(lambda: now)
    assert [rates.take("plug-1", "reading", 60) for _ in range(61)] == [True] * 60 + [False]
    assert rates.take("plug-1", "alarm", 60), "types have buckets of their own"
    assert rates.take("plug-2", "reading", 60), "and devices"
    now = 59.0
    assert not rates.take("plug-1", "reading", 60)
    now = 61.0
    assert rates.take("plug-1", "reading", 60)
    assert not rates.take("plug-1", "reading", 60)


def test_attempts_are_gathered_and_bounded() -> None:
    sent: list[Attempt] = []

    async def scenario() -> None:
        attempts = Attempts(sent.append)
        for number in range(1000):
            attempts.note("plug-1", Reason.SNI_NOT_APPROVED, "tls", f"n{number}.example", 443)
        for _ in range(5):
            attempts.note("sensor-2", Reason.NOT_TLS, "tcp", "127.0.0.1", 443)
        attempts.flush()
        attempts.flush()

    asyncio.run(scenario())
    mine = [attempt for attempt in sent if attempt.device == "plug-1"]
    assert sum(attempt.count for attempt in mine) == 1000
    assert len(mine) <= MAX_KINDS_PER_DEVICE + 1
    assert [attempt.count for attempt in sent if attempt.device == "sensor-2"] == [5]


@pytest.mark.parametrize("media", ["application/clear-envelope+json", "Application/Clear-Envelope+JSON; charset=UTF-8"])
def test_the_media_type_may_name_its_only_character_set(media: str) -> None:
    fields = (("host", HOST), ("content-type", media), ("content-length", "2"))
    request = Request("POST", "/.well-known/clear-envelope/v1/messages/power-reading", fields, b"{}", close=False)
    assert message_type(request, HOST) == "power-reading"
