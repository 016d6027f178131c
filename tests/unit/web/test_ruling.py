"""Rules on the pages, over the real steward and ledger: made by a form, on record, shown, switched, removed; and who cannot."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.ledger.reader import Reader
from gateway.rules import read
from tests.unit.web.house import SAMPLES, Browser, Got, House, csrf, run

FIELD = "/devices/plug/fields?type=power-reading&pointer=/payload/power"
READING = {"measured": "2026-11-22T13:37:42Z", "on": True, "power": 61.4}
WISH = {
    "act": "add",
    "do": "withhold",
    "device": "plug",
    "type": "power-reading",
    "pointer": "/payload/power",
    "how": "",
    "for": "device",
}


async def rule(owner: Browser, **fields: str) -> Got:
    return await owner.post("/rules/decide", {"csrf": csrf(await owner.get("/settings")), **fields})


def held(house: House) -> list[tuple[str, str]]:
    return [(rule.name, str(rule.do)) for rule in read(house.config.paths.rules).rules]


def test_a_field_is_withheld_coarsened_switched_off_and_on_and_let_go(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        page = await owner.get(FIELD)
        assert page.status == 200 and "may refuse its service" in page.text and "steps of 100 W" in page.text
        assert (await rule(owner, **WISH)).where == "/rules"
        assert held(house) == [("plug-power-reading-power", "withhold")]
        assert "/payload/power is withheld" in (await owner.get("/rules")).text
        assert (await rule(owner, **WISH | {"do": "coarsen", "how": "100"})).status == 303
        assert held(house) == [("plug-power-reading-power", "coarsen")], "the last word about the same field takes its place"
        assert (await rule(owner, **WISH | {"for": "vendor"})).status == 303
        assert read(house.config.paths.rules).rules[0].vendor == ("Acme",)
        assert (await rule(owner, act="off", name="plug-power-reading-power")).status == 303
        assert len(held(house)) == 1 and "switched off" in (await owner.get("/rules")).text
        assert (await rule(owner, act="on", name="plug-power-reading-power")).status == 303
        assert (await rule(owner, act="remove", name="plug-power-reading-power")).status == 303
        assert [name for name, _ in held(house)] == ["acme-power-reading-power"]
        with Reader(house.config.paths.ledger) as reader:
            deeds = [(row.type, row.device) for row in reader.deeds(10) if row.type != "first-start"]
        assert deeds == [("rule remove", ""), ("rule on", ""), ("rule off", ""), ("rule", ""), ("rule", "plug"), ("rule", "plug")]

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"pointer": "/payload/none"}, 409), ({"device": "lamp"}, 409), ({"type": "switch"}, 409), ({"do": "deny"}, 400),
        ({"do": "coarsen", "how": "0.25"}, 409), ({"do": "coarsen", "how": ""}, 409), ({"do": "coarsen", "how": "[" * 500}, 409),
        ({"do": "replace", "how": '{"a":1}'}, 409), ({"pointer": "/" * 600}, 400), ({"how": "\ud800"}, 400),
        ({"act": "drop"}, 400), ({"act": "remove", "name": "nothing"}, 409),
        ({"act": "off", "name": "../x"}, 409), ({"csrf": "0" * 64}, 403),
    ],
)  # fmt: skip
def test_what_makes_no_sense_changes_nothing(tmp_path: Path, changed: dict[str, str], status: int) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        fields = {"csrf": csrf(await owner.get("/settings")), **WISH, **changed}
        body = "&".join(f"{name}={quote(value.encode(errors='surrogatepass'))}" for name, value in fields.items())
        assert (await owner.post("/rules/decide", body)).status == status
        assert held(house) == []
        with Reader(house.config.paths.ledger) as reader:
            assert [row.type for row in reader.deeds(10)] == ["first-start"], "what is not done is not on record as done"

    run(tmp_path, work)


def test_the_household_sees_and_decides_nothing(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        await rule(owner, **WISH)
        household = await house.household(owner)
        for path in ("/rules", FIELD):
            page = await household.get(path)
            assert page.status == 200 and "/rules/decide" not in page.text
        assert (await rule(household, act="remove", name="plug-power-reading-power")).status == 403
        assert len(held(house)) == 1

    run(tmp_path, work)


def test_a_file_that_is_wrong_is_loud_and_stops_decisions(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        folder = house.config.paths.rules
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "90-mine.toml").write_text('[[rule]]\nname = "<b>x"\ndo = "drop"\n')
        page = await owner.get("/rules")
        assert page.status == 200 and "90-mine.toml, line 1" in page.text and "stay in force" in page.text
        assert (await rule(owner, **WISH)).status == 409
        assert not (folder / "50-owner.toml").exists()

    run(tmp_path, work)


def test_hostile_titles_and_pointers_come_out_as_text(tmp_path: Path) -> None:
    document = json.loads((SAMPLES / "acme.mud.json").read_bytes())
    messages = document["ietf-mud:mud"]["clear-envelope"]["messages"]
    power = messages["power-reading"]["payload"]["properties"]["power"]
    power["title"] = "<script>x</script>"

    async def work(house: House) -> None:
        with house.registry.change() as change:
            dmz = house.config.dmz
            change.approve("plug", json.dumps(document).encode(), dmz.pool_ipv4, dmz.pool_ipv6)
        owner = await house.begin()
        for path in (FIELD, "/devices/plug"):
            page = await owner.get(path)
            assert page.status == 200 and "<script>x" not in page.text and "&lt;script&gt;" in page.text
        for pointer in ("", "/payload", '/payload/"><script>x', "/payload/%00", "x" * 5000):
            got = await owner.get(f"/devices/plug/fields?type=power-reading&pointer={quote(pointer)}")
            assert got.status == 404 and "<script>x" not in got.text

    run(tmp_path, work)


def test_a_message_s_sheet_says_which_rule_decided_and_leads_to_its_fields(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        await house.say(READING)
        page = await owner.get("/messages/m-1")
        assert "/devices/plug/fields?type=power-reading&amp;pointer=/payload/power" in page.text
        assert (await owner.get(FIELD.replace("/payload/power", "%2Fpayload%2Fpower"))).status == 200

    run(tmp_path, work)


def test_without_the_record_a_rule_that_keeps_something_holds_loudly_and_one_that_gives_does_not(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        owner = await house.begin()
        assert (await rule(owner, **WISH)).status == 303
        ledger = house.config.paths.socket("ledger")
        away = ledger.rename(ledger.with_name("away"))
        for fields in (
            WISH | {"do": "allow"},
            WISH | {"do": "coarsen", "how": "100"},
            {"act": "off", "name": "plug-power-reading-power"},
            {"act": "remove", "name": "plug-power-reading-power"},
        ):
            refused = await rule(owner, **fields)
            assert refused.status == 409 and "could not be recorded" in refused.text, fields
        assert held(house) == [("plug-power-reading-power", "withhold")]
        done = await rule(owner, **WISH | {"pointer": "/payload/on"})
        assert done.status == 200 and "Done, but not on record" in done.text
        assert ("plug-power-reading-on", "withhold") in held(house)
        away.rename(ledger)

    run(tmp_path, work)
