"""The pages' certificate: from the real signer, by a child process, and renewed in place."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from gateway.config import Config, Paths
from gateway.pki.main import serve
from gateway.standard.enrolment import HOST
from gateway.web import tls
from gateway.web.tls import Leaf, LeafError


def house(folder: Path) -> Config:
    for name in ("state/pki", "state/signer", "run/signer"):
        (folder / name).mkdir(parents=True)
    (folder / "state" / "signer").chmod(0o700)
    return Config(paths=Paths(state=str(folder / "state"), run=str(folder / "run")))


async def seen(context: ssl.SSLContext, ca: Path) -> str:
    """The serial of the certificate that a browser which trusts the home CA is shown."""
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    trusting = ssl.create_default_context(cafile=str(ca))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.sockets[0].getsockname()[1], ssl=trusting, server_hostname=HOST
    )
    tunnel = writer.get_extra_info("ssl_object")
    assert tunnel.version() == "TLSv1.3" and tunnel.selected_alpn_protocol() in (None, "http/1.1")
    serial = str(tunnel.getpeercert()["serialNumber"])
    await reader.read()
    writer.close()
    server.close()
    return serial


def test_a_browser_that_trusts_the_home_ca_takes_it_and_a_renewed_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = house(tmp_path)
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.05)

    async def work() -> None:
        stop = asyncio.Event()
        leaf = Leaf(made.paths.socket("signer"), made.paths.ca_certificate)
        first = asyncio.create_task(leaf.first())
        await asyncio.sleep(0.1)
        assert not first.done(), "the signer is not there yet: it waits"
        signing = asyncio.create_task(serve(made, stop))
        async with asyncio.timeout(60):
            await first
            old = await seen(leaf.context, made.paths.ca_certificate)
            assert await seen(leaf.context, made.paths.ca_certificate) == old
            leaf._renew_at = 0.0  # half of its life is over
            keeping = asyncio.create_task(leaf.keep())
            while await seen(leaf.context, made.paths.ca_certificate) == old:  # noqa: ASYNC110 # as a browser sees it
                await asyncio.sleep(0.05)
            keeping.cancel()
        assert leaf._renew_at > 0
        stop.set()
        await signing
        await asyncio.gather(keeping, return_exceptions=True)
        with pytest.raises(OSError, match=r"no answer|No such file"):
            await leaf._renew()
        assert await seen(leaf.context, made.paths.ca_certificate) != old, "the old one serves as long as it lasts"

    asyncio.run(work())


def test_no_key_touches_the_disk(tmp_path: Path) -> None:
    made = house(tmp_path)

    async def work() -> None:
        stop = asyncio.Event()
        signing = asyncio.create_task(serve(made, stop))
        leaf = Leaf(made.paths.socket("signer"), made.paths.ca_certificate)
        async with asyncio.timeout(60):
            await leaf.first()
        stop.set()
        await signing

    asyncio.run(work())
    keys = [path.name for path in tmp_path.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert keys == ["ca.key"]


def test_what_is_no_leaf_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("x")
    for program in ("print('x')", "import sys; sys.exit('no')", "print('1\\nx-----BEGIN PRIVATE KEY-----')"):
        fake = tmp_path / "python"
        fake.write_text(f"#!/usr/bin/python3\n{program}\n")
        fake.chmod(0o755)
        monkeypatch.setattr(tls.sys, "executable", str(fake))
        with pytest.raises((LeafError, ssl.SSLError)):
            asyncio.run(Leaf(tmp_path / "socket", ca)._renew())
