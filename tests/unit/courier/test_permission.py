"""The courier's second look: what the doors make passes, whatever the manifest declares."""

from __future__ import annotations

import json
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from gateway.courier.permission import Permissions, Permit, conforms
from gateway.ipc.messages import Deliver
from gateway.policy.plan import RuledOut
from gateway.reasons import Reason
from gateway.registry import Device, Kind, RegistryFile
from gateway.rules import RulesFolder
from gateway.rulewriting import add
from gateway.standard.envelope import Message, outgoing, sent_at
from gateway.standard.judge import Judge
from gateway.standard.manifest import parse_manifest

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.mark.parametrize("vendor", ["acme", "borealis"])
def test_what_a_door_makes_passes(vendor: str) -> None:
    judge = Judge(parse_manifest((SAMPLES / f"{vendor}.mud.json").read_bytes()))
    body = (SAMPLES / f"{vendor}.message.json").read_bytes()
    type_ = json.loads(body)["type"]
    host = judge.manifest.messages[type_].host
    message = judge.from_device(host, type_, body)
    for moment in (0, 1_770_000_000_123_456_789, 2**61):
        envelope = outgoing(message, judge.manifest, id="m-1", sent=sent_at(moment), device="d-1")
        assert conforms(judge, Deliver("m-1", "plug", vendor, host, type_, envelope), "d-1")
        assert not conforms(judge, Deliver("m-1", "plug", vendor, host, type_, envelope), "d-2")


def test_what_the_owner_withholds_may_be_absent_and_nothing_else() -> None:
    judge = Judge(parse_manifest((SAMPLES / "acme.mud.json").read_bytes()))
    body = (SAMPLES / "acme.message.json").read_bytes()
    whole = judge.from_device("api.acme.example", "power-reading", body)

    def passes(payload: dict[str, object], *withheld: str) -> bool:
        message = Message(whole.type, whole.host, payload)
        envelope = outgoing(message, judge.manifest, id="m-1", sent=sent_at(0), device="d-1", withheld=withheld)
        return conforms(judge, Deliver("m-1", "plug", "Acme", whole.host, whole.type, envelope), "d-1")

    less = {name: value for name, value in whole.payload.items() if name != "power"}
    assert passes(less, "/payload/power")
    assert passes(less, "/payload/on", "/payload/power"), "withheld sometimes"
    assert not passes(less)
    assert not passes(less, "/payload/on")
    assert not passes(less, "/payload/power", "/payload/on"), "not in order"
    assert not passes(less, "/payload/power", "/payload/power")
    assert not passes(less, "/payload/power", "/payload/secret"), "a pointer to what is not declared could say anything"
    assert not passes(less, "/payload", "/payload/power")
    assert not passes(less | {"power": 61.44}, "/payload/power")
    assert not passes(less | {"power": "x"}, "/payload/power")


@pytest.mark.parametrize(
    "withheld", [b'"/payload/power"', b'{"/payload/power":1}', b"[1]", b'[["/payload/power"]]', b"null", b"[null]"]
)
def test_withheld_is_a_list_of_pointers(withheld: bytes) -> None:
    judge = Judge(parse_manifest((SAMPLES / "acme.mud.json").read_bytes()))
    whole = judge.from_device("api.acme.example", "power-reading", (SAMPLES / "acme.message.json").read_bytes())
    envelope = outgoing(whole, judge.manifest, id="m-1", sent=sent_at(0), device="d-1").replace(
        b'"withheld":[]', b'"withheld":' + withheld
    )
    assert b"/payload/power" in envelope or b"1" in withheld or b"null" in withheld
    assert not conforms(judge, Deliver("m-1", "plug", "Acme", whole.host, whole.type, envelope), "d-1")


class Street:
    """A home with a plug, the owner's rules and messages of a door, which need not be ours."""

    def __init__(self, folder: Path) -> None:
        self.rules = folder / "policy.d"
        self.file = RegistryFile(folder / "registry.json")
        with self.file.change() as change:
            change.admit(Device("plug", "Plug", Kind.STANDARD, "02:00:00:00:00:01"))
            document = (SAMPLES / "acme.mud.json").read_bytes()
            change.approve("plug", document, IPv4Network("127.77.0.0/24"), IPv6Network("fd00::/64"))
        self.device = self.file.current().by_id["plug"]
        manifest = self.file.current().manifest_of(self.device)
        assert manifest is not None
        self.judge = Judge(manifest)
        self.whole = self.judge.from_device(
            "api.acme.example", "power-reading", (SAMPLES / "acme.message.json").read_bytes()
        ).payload
        self.permissions = Permissions(65_536, RulesFolder(self.rules))

    def permit(self, payload: dict[str, object], *withheld: str, before: Permit | None = None) -> Permit | None:
        message = Message("power-reading", "api.acme.example", payload)
        made = outgoing(message, self.judge.manifest, id="m-1", sent=sent_at(0), device=self.device.pseudonym, withheld=withheld)
        deliver = Deliver("m-1", "plug", "Acme", message.host, message.type, made)
        return self.permissions.permit(self.file.current(), deliver, before)

    def rule(self, name: str, **words: object) -> None:
        add(self.rules, {"name": name, "do": "withhold", **words})


@pytest.fixture
def street(tmp_path: Path) -> Street:
    return Street(tmp_path)


def test_an_envelope_is_held_against_the_owner_s_rules_of_this_moment(street: Street) -> None:
    """A door that was taken over gets nothing out that the owner keeps; nor does what was recorded before he said so."""
    less = {name: value for name, value in street.whole.items() if name != "power"}
    before = street.permit(street.whole)
    assert before is not None
    street.rule("no-power", field="/payload/power")
    assert street.permit(street.whole) is None
    assert street.permit(street.whole, before=before) is None, "looked at again, for the rules are others"
    assert street.permit(street.whole, "/payload/power") is None
    assert street.permit(less, "/payload/power") is not None
    assert street.permit(less, "/payload/on", "/payload/power") is not None, "the owner kept more when it was recorded"
    street.rule("rough", field="/payload/voltage", do="coarsen", step=10)
    assert street.permit(less, "/payload/power") is None
    less["voltage"] = 230
    assert street.permit(less, "/payload/power") is not None
    street.rule("app", field="/payload/source", do="replace", **{"with": "app"})
    assert street.permit(less, "/payload/power") is None
    assert street.permit(less, "/payload/power", "/payload/source") is None
    less["source"] = "app"
    assert street.permit(less, "/payload/power", "/payload/source") is not None
    street.rule("none", do="deny")
    assert street.permit(less, "/payload/power", "/payload/source") is None


def test_what_depends_on_value_or_hour_is_the_door_s_to_say(street: Street) -> None:
    street.rule("b", field="/payload/power")
    street.rule("a", field="/payload/power", value_of="/payload/on", value=True, do="allow")
    assert street.permit(street.whole, "/payload/power") is not None
    less = {name: value for name, value in street.whole.items() if name != "power"}
    assert street.permit(less, "/payload/power") is not None
    street.rule("night", do="deny", between=["00:00", "23:59"])
    assert street.permit(less, "/payload/power") is not None


def test_where_nobody_knows_what_the_owner_wants_the_message_waits(street: Street) -> None:
    street.rules.mkdir()
    (street.rules / "a.toml").write_text("[[rule]\n")
    with pytest.raises(RuledOut) as caught:
        street.permit(street.whole)
    assert caught.value.reason is Reason.RULES_UNREADABLE
    (street.rules / "a.toml").write_text('[[rule]]\nname = "q"\nfield = "/payload/power"\ndo = "coarsen"\nstep = 0.25\n')
    with pytest.raises(RuledOut) as caught:
        street.permit(street.whole)
    assert caught.value.reason is Reason.RULE_UNFIT
    (street.rules / "a.toml").unlink()
    assert street.permit(street.whole) is not None
