"""A rule is tried on the pages before it holds, over the real steward and ledger: what would have been, and nothing done."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import pytest

from gateway.ledger.reader import Reader
from gateway.rules import read
from tests.unit.web.house import House, csrf, run
from tests.unit.web.test_ruling import READING, WISH

TRY = {"type": "power-reading", "pointer": "/payload/power", "do": "withhold", "how": "", "for": "device", "days": "7"}


def where(**changed: str) -> str:
    return f"/devices/plug/fields/try?{urlencode(TRY | changed)}"


def test_a_try_says_what_would_have_changed_and_changes_nothing(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        for number, power in enumerate((61.4, 61.4, 12.0)):
            await house.say({**READING, "power": power}, f"m-{number}")
        with Reader(house.config.paths.ledger) as reader:
            before = reader.head()
        page = await owner.get(where())
        assert page.status == 200 and "Looked at 3 messages" in page.text
        assert "61.4" in page.text and "12" in page.text and "not there" in page.text
        assert "may refuse its service" in page.text
        coarser = await owner.get(where(do="coarsen", how="100", **{"for": "vendor"}))
        assert "<bdi>61.4</bdi></td><td><bdi>100</bdi>" in coarser.text and "<bdi>12</bdi></td><td><bdi>0</bdi>" in coarser.text
        assert "Nothing would have changed" in (await owner.get(where(do="allow"))).text
        with Reader(house.config.paths.ledger) as reader:
            assert reader.head() == before, "a try is no decision, and leaves no record"
        assert read(house.config.paths.rules).rules == ()

    run(tmp_path, work)


def test_a_rule_that_is_there_is_tried_off_and_on(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        await house.say(READING)
        form = {"csrf": csrf(await owner.get("/settings"))}
        await owner.post("/rules/decide", {**form, **WISH})
        name = "plug-power-reading-power"
        off = await owner.get(f"/rules/try?act=off&name={name}&days=1")
        assert off.status == 200 and "<bdi>not there</bdi></td><td><bdi>61.4</bdi>" in off.text
        assert f"act=off&amp;name={name}" in (await owner.get("/rules")).text
        assert "there is no such rule" in (await owner.get(f"/rules/try?act=on&name={name}&days=1")).text
        await owner.post("/rules/decide", {**form, "act": "off", "name": name})
        on = await owner.get(f"/rules/try?act=on&name={name}&days=1")
        assert on.status == 200 and "<bdi>61.4</bdi></td><td><bdi>not there</bdi>" in on.text

    run(tmp_path, work)


def test_the_household_may_try_and_gets_no_button(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        await house.say(READING)
        assert "/rules/decide" in (await owner.get(where())).text
        household = await house.household(owner)
        page = await household.get(where())
        assert page.status == 200 and "61.4" in page.text and "/rules/decide" not in page.text
        assert (await house.browser().get(where())).where == "/login"

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"pointer": "/payload/none"}, 404, ""), ({"type": "x" * 99}, 404, ""), ({"do": "deny"}, 400, ""),
        ({"days": "9999"}, 400, ""), ({"how": "[" * 511, "do": "coarsen"}, 200, "role=\"alert\""),
        ({"how": "x" * 600}, 400, ""), ({"how": "<script>x", "do": "replace"}, 200, "role=\"alert\""),
        ({"how": "0.25", "do": "coarsen"}, 200, "role=\"alert\""),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said(tmp_path: Path, changed: dict[str, str], status: int, words: str) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        page = await owner.get(where(**changed))
        assert page.status == status and words in page.text and "<script>x" not in page.text

    run(tmp_path, work)
