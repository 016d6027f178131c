"""The courier signs for pairs of device and vendor: across retries, restarts, forgotten devices and changes of vendor."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.courier.keys import Keys
from gateway.courier.main import Courier
from gateway.ipc.messages import Deferred
from gateway.reasons import Reason
from gateway.registry import Device, Kind
from tests.home.lab.proof import Unproven, proven
from tests.unit.courier.street import HOST, Request, Street, answer, manifest, on_the_street, street

HOSTS = (HOST, "two.acme.example")


def keyid(request: Request) -> str:
    method, target, _ = request.line.split(" ")
    return proven(method, target, request.headers, request.body)


async def signed(here: Street, id: str, device: str = "plug") -> Request:
    """One message to the vendor and back."""
    here.deliver(id, device=device)
    told = await here.outcome()
    assert (told.id, told.reason) == (id, -1), told
    return await here.vendors[0].requests.get()


async def until_only(here: Street, *devices: str) -> None:
    """Wait until no other key is on disk."""
    wanted = {f"{here.pseudonyms[device]}.pem" for device in devices}
    while {path.name for path in here.config.paths.pair_keys.iterdir()} != wanted:  # noqa: ASYNC110  # a sweep sends no event
        await asyncio.sleep(0.05)


def test_each_device_has_a_key_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            await here.vendor()
            plug = [keyid(await signed(here, f"m-{number}")) for number in range(3)]
            lamp = keyid(await signed(here, "m-9", device="lamp"))
            assert len(set(plug)) == 1
            assert lamp not in plug
        async with street(tmp_path, registry=here.registry) as here:  # the courier starts anew
            await here.vendor()
            assert keyid(await signed(here, "m-10")) == plug[0]

    on_the_street(work)


def test_a_message_that_is_sent_again_is_the_same_whatever_the_vendor_answered(tmp_path: Path) -> None:
    """Accept-Signature (RFC 9421 section 5) is a vendor's wish for another signature; nobody listens."""

    async def work() -> None:
        async with street(tmp_path) as here:
            wish = 'Accept-Signature: ce=("@method" "user-agent");created;nonce="c2VjcmV0"'
            answers = [
                answer(503, b"", "", wish),
                answer(429, b"", "", wish, "Retry-After: 1"),
                answer(401, b"", "", wish, 'WWW-Authenticate: Signature realm="x"'),
            ]
            vendor = await here.vendor(answers=list(answers))
            for _ in range(len(answers) + 1):
                here.deliver("m-1")
                await here.outcome()
            seen = [vendor.requests.get_nowait() for _ in range(len(answers) + 1)]
            assert all(request.headers == seen[0].headers and request.body == seen[0].body for request in seen)
            assert vendor.requests.empty(), "no answer makes the courier send anything else"

    on_the_street(work)


def test_another_vendor_gets_another_key_and_the_old_one_goes(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            first = await signed(here, "m-1")
            here.approve("plug", manifest(*HOSTS).replace(b"Reading", b"Meter reading"))
            assert keyid(await signed(here, "m-2")) == keyid(first), "the same vendor knows it as before"
            here.approve("plug", manifest(*HOSTS).replace(b'"Acme"', b'"Acre"'))
            here.deliver("m-3", body=here.envelope("m-3", vendor={"hosts": list(HOSTS), "name": "Acre"}))
            assert (await here.outcome()).reason == -1
            second = await vendor.requests.get()
            assert keyid(second) != keyid(first)
            assert second.connection != first.connection, "a kept connection would tell that it is the same device"
            await until_only(here, "plug")

    on_the_street(work)


def test_the_key_of_a_forgotten_device_goes_and_never_comes_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            await here.vendor()
            first = await signed(here, "m-1")
            await signed(here, "m-2", device="lamp")
            with here.registry.change() as change:
                change.forget("plug")
            await until_only(here, "lamp")
            with here.registry.change() as change:
                change.admit(Device("plug", "Plug", Kind.LOCAL, "02:00:00:00:00:00"))
            here.approve("plug", manifest(*HOSTS))
            again = await signed(here, "m-3")
            assert keyid(again) != keyid(first)
            assert again.connection != first.connection

    on_the_street(work)


def test_the_last_device_takes_its_key_along_too_but_a_registry_that_is_away_takes_none(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, start=False) as here:
            courier = Courier(here.config, lambda host: [])
            file = Keys(here.config.paths.pair_keys).of(here.pseudonyms["plug"]).pseudonym + ".pem"
            key, path = here.config.paths.pair_keys / file, here.config.paths.registry
            path.rename(path.with_suffix(".away"))
            for _ in range(4):
                courier.sweep_keys()
            assert key.exists()
            path.with_suffix(".away").rename(path)
            for _ in range(2):
                courier.sweep_keys()
            assert key.exists()
            with here.registry.change() as change:
                change.forget("plug")
                change.forget("lamp")
            for _ in range(2):
                courier.sweep_keys()
            assert not key.exists()
            await courier.close()

    on_the_street(work)


def test_what_waits_in_the_name_of_an_ended_pair_does_not_leave(tmp_path: Path) -> None:
    """Away and back again: the manifest is the same as before, and the pair a new one."""

    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            vendor, gate = await here.under_way()
            here.approve("plug", manifest(*HOSTS).replace(b'"Acme"', b'"Acre"'))
            here.approve("plug", manifest(*HOSTS))
            gate.set()
            assert await here.reasons(2) == {"m-1": -1, "m-2": Reason.WITHDRAWN.code}
            assert vendor.requests.empty()

    on_the_street(work)


def test_without_a_key_nothing_leaves_and_nothing_is_lost(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            folder = here.config.paths.pair_keys
            folder.mkdir(mode=0o755)
            here.deliver("m-1")
            told = await here.outcome()
            assert (type(told), told.reason) == (Deferred, Reason.PAIR_KEY.code)
            assert "0700" in told.detail
            assert vendor.handshakes == 0
            folder.chmod(0o700)
            assert keyid(await signed(here, "m-1"))

    on_the_street(work)


def test_a_signature_proves_what_is_withheld(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            await here.vendor()
            request = await signed(here, "m-1")
            assert b'"withheld":[]' in request.body
            forged = request.body.replace(b'"withheld":[]', b'"withheld":["/payload/on"]')
            fields = [(n, str(len(forged)) if n.lower() == "content-length" else v) for n, v in request.headers]
            try:
                proven("POST", request.line.split(" ")[1], fields, forged)
            except Unproven:
                return
            raise AssertionError("the change was not seen")

    on_the_street(work)
