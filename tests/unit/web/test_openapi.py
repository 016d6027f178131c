"""The API's description: whole, valid, held by every answer of the real server, and by schemathesis, which is not ours."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.ipc.messages import Delivered
from gateway.reasons import Reason
from gateway.registry import Device, Kind
from gateway.web.app import build
from gateway.web.calls import CALLS
from gateway.web.openapi import PATH, document
from tests.unit.ledger.peers import connect
from tests.unit.web.house import SAMPLES, Browser, House, run
from tests.unit.web.test_tokens import made

SECONDS = 150
READING = {"measured": "2026-11-22T13:37:42Z", "on": True, "power": 61.4, "label": "kitchen"}


async def lived_in(house: House) -> None:
    """Something of each kind that the API tells."""
    courier = await connect(house.config.paths.socket("ledger"), "courier")
    await house.say(READING, "m-1", left={"payload": {"power": 61}, "withheld": ["/label"]})
    courier.send(Delivered("m-1", 200, -1, "", b"", b"{}", "application/json"))
    await house.say(READING, "m-2", device="other")
    await house.attempt("plug", Reason.QUIC)
    await house.attempt("02:00:00:00:00:99", Reason.UNKNOWN_DEVICE, "fe80::1")
    with house.registry.change() as change:
        change.admit(Device(id="lamp", name="<b>Lamp</b>", kind=Kind.LOCAL, mac="02:00:00:00:00:02"))
        dmz, waits = house.config.dmz, (SAMPLES / "acme.mud.json").read_bytes()
        change.offer("lamp", waits, dmz.pool_ipv4, dmz.pool_ipv6, signer=None, now=1)
    await courier.close()


def exactly(answer: Any, schema: dict[str, Any]) -> None:
    """Valid by another's validator. ``schema``: of the description, with its references."""
    jsonschema.Draft202012Validator(schema | {"components": document()["components"]}).validate(answer)


def test_every_call_is_described_and_what_is_described_is_there(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        guarded: Any = build(house.config, house.link)
        routes = [route for route in guarded._app.routes if route.path.startswith("/api/") or route.path == "/metrics"]
        there = {(route.path, method) for route in routes for method in route.methods - {"HEAD"} if route.path != PATH}
        described = {(path, method.upper()) for path, each in document()["paths"].items() for method in each}
        assert there == described == {(call.path, call.method) for call in CALLS}

    run(tmp_path, work)


def test_the_description_is_the_same_without_a_login_and_holds_nothing_of_the_home(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await lived_in(house)
        told = await house.browser().get(PATH)
        assert told.status == 200 and told.json == document()
        assert "Lamp" not in told.text and "02:00" not in told.text

    run(tmp_path, work)


def test_every_answer_is_as_described(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await lived_in(house)
        owner = await house.begin()
        token = await made(owner)
        program = house.browser()
        made_of = document()["paths"]
        for call in CALLS:
            if call.method != "GET":
                continue
            path = call.path.replace("{id}", "m-1")
            alone = await program.get(path)
            assert alone.status == 401, path
            exactly(alone.json, {"$ref": "#/components/schemas/Problem"})
            got = await program.get(path, Authorization=f"Bearer {token}")
            assert got.status == 200, got.text
            ((kind, wanted),) = made_of[call.path]["get"]["responses"]["200"]["content"].items()
            assert got.headers["content-type"].replace("; charset=utf-8", "") == kind
            if kind == "application/json":
                exactly(got.json, wanted["schema"])
        devices = (await program.get("/api/devices", Authorization=f"Bearer {token}")).json["devices"]
        assert {each["name"] for each in devices} == {"Plug", "<b>Lamp</b>"}
        with pytest.raises(jsonschema.ValidationError):
            exactly({"devices": [devices[0] | {"more": 1}]}, {"$ref": "#/components/schemas/Devices"})

    run(tmp_path, work)


@pytest.mark.parametrize("path", ["/api/nothing", "/api/", "/api/devices/", "/api/messages/m-9", "/api/decisions"])
def test_whatever_goes_wrong_has_one_shape(tmp_path: Path, path: str) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        token = await made(owner)
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            got = await house.browser().ask(method, path, Authorization=f"Bearer {token}")
            if method == "GET" and path == "/api/decisions":
                assert got.status == 405
            assert 400 <= got.status < 500, (method, path)
            assert got.headers["content-type"] == "application/problem+json"
            exactly(got.json, {"$ref": "#/components/schemas/Problem"})
            assert got.json["status"] == got.status

    run(tmp_path, work)


def test_the_page_tells_every_call_without_a_script(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        page = await owner.get("/api")
        assert page.status == 200
        for call in CALLS:
            assert f"{call.method} {call.path}" in page.text
        for name in document()["components"]["schemas"]:
            assert f'id="type-{name}"' in page.text
        assert "``" not in page.text and 'href="/api"' in (await owner.get("/settings")).text
        assert (await house.browser().get("/api")).status == 303

    run(tmp_path, work)


async def schemathesis(house: House, folder: Path, *words: str) -> str:
    """Its report. Raises AssertionError with the report where it finds a fault."""
    program = shutil.which("schemathesis") or str(Path(sys.executable).with_name("schemathesis"))
    process = await asyncio.create_subprocess_exec(
        program, "run", f"http://127.0.0.1:{house.port}{PATH}", "-H", "Host: mudroom.home.arpa",
        # five wrong tokens and the address waits, as it should; what opens a call is test_tokens.py's
        "--checks", "all", "--exclude-checks", "ignored_auth", "--max-examples", "12", "--workers", "1",
        "--generation-deterministic",
        "--phases", "examples,coverage,fuzzing", "--request-timeout", "20", "--no-color", *words,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    text = out.decode(errors="replace")
    assert process.returncode == 0, text[-6000:]
    return text


def test_schemathesis_finds_no_fault(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await lived_in(house)
        owner: Browser = await house.begin()
        token = await made(owner, "fuzz", "decide")
        begun = time.monotonic()
        report = await schemathesis(house, tmp_path, "-H", f"Authorization: Bearer {token}")
        print(f"\nschemathesis: {time.monotonic() - begun:.0f} s; {report[-800:]}")

    run(tmp_path, work, SECONDS)
