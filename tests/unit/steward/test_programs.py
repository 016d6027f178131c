"""What a program's token opens at the steward's socket: what is listed, and of all other questions none, tried one by one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from msgspec import inspect

from gateway.ipc.lan import AskLan, DecideLan, ToLan
from gateway.ipc.looking import StartLook, ToLooking
from gateway.ipc.programs import AskTokens, Bearer, MakeToken, RevokeToken
from gateway.ipc.recording import AskChain, AskFound, AskPiece, Erase, ToRecord
from gateway.ipc.rulebook import AskRules, AskRulings, DecideRule, ToRulebook
from gateway.ipc.steward import AskDeeds, Begin, Decide, Done, Enter, Leave, Standing, Stands, ToSteward
from gateway.ipc.trying import AskTrial
from gateway.steward.programs import open_to_programs
from gateway.steward.tokens import Tokens
from gateway.web.link import Link, Refused
from tests.unit.web.house import House, run

WAY_IN = (Begin, Enter, Standing, Bearer)
# Whatever is opened to programs later: these are the owner's, at a page or at the console.
NEVER = (
    MakeToken, RevokeToken, AskTokens, AskPiece, AskFound, AskChain, Erase, DecideRule, AskRules, AskRulings, AskDeeds, Leave,
    AskLan, DecideLan, AskTrial,
)  # fmt: skip
SECRETS = ("password", "household")


def questions(token: str) -> list[Any]:
    """One question of each type that the steward takes, with ``token``; each kind of decision is one of its own."""
    found: list[Any] = []
    for type_ in get_args(ToSteward | ToRecord | ToRulebook | ToLan | AskTrial | ToLooking):
        if type_ in WAY_IN:
            continue
        one = _sample(inspect.type_info(type_))
        values = msgspec.structs.replace(one, token=token)
        found += _decisions(values) if isinstance(values, Decide) else [values]
    return found


def _decisions(one: Decide) -> list[Decide]:
    kinds = get_args(get_type_hints(Decide)["what"])
    return [msgspec.structs.replace(one, what=what, device="plug") for what in kinds]


def _sample(info: inspect.Type) -> Any:
    match info:
        case inspect.StructType():
            return info.cls(**{field.name: _sample(field.type) for field in info.fields if field.required})
        case inspect.LiteralType():
            return info.values[0]
        case inspect.StrType():
            texts = ("x" * (info.min_length or 1), "anyone", *("0" * length for length in range(1, 65)))
            return next(text for text in texts if re.search(info.pattern or "", text))
        case inspect.IntType():
            return info.ge or 0
        case inspect.BoolType():
            return True
        case inspect.VarTupleType() | inspect.ListType():
            return tuple(_sample(info.item_type) for _ in range(info.min_length or 0))
    raise AssertionError(f"teach this test what a {info} is")


async def refused(link: Link, token: str) -> dict[str, str]:
    """Why, by question, each is refused that is not open to programs."""
    why: dict[str, str] = {}
    for question in questions(token):
        if not open_to_programs(question):
            name = type(question).__name__ + (f" {question.what}" if isinstance(question, Decide) else "")
            try:
                why[name] = f"answered: {await link.ask(question, msgspec.Struct)}"
            except Refused as error:
                why[name] = error.why
    return why


@pytest.mark.parametrize("may", ["read", "decide"])
def test_no_question_but_the_listed_ones_is_answered_to_a_token(tmp_path: Path, may: str) -> None:
    async def work(house: House) -> None:
        await house.begin()
        token = Tokens(house.state).make("script", may, 1)
        link = Link(house.config.paths.socket("steward"), seconds=10)
        before = house.registry.current().registry
        why = await refused(link, token)
        assert set(why) >= {type_.__name__ for type_ in NEVER} | {f"Decide {what}" for what in SECRETS}
        assert set(why.values()) == {"token"}, why
        assert house.registry.current().registry == before
        assert (await link.ask(Standing(0, token), Stands)).role == "", "it is no session"
        link.close()

    run(tmp_path, work)


def test_a_token_that_may_read_decides_nothing_of_what_another_may(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await house.begin()
        token = Tokens(house.state).make("script", "read", 1)
        link = Link(house.config.paths.socket("steward"), seconds=10)
        for question in questions(token):
            if isinstance(question, Decide | StartLook) and open_to_programs(question):
                with pytest.raises(Refused, match="role"):
                    await link.ask(question, Done)
        link.close()

    run(tmp_path, work)


def test_the_household_neither_sees_who_is_at_home_nor_lets_anybody_in(tmp_path: Path) -> None:
    """Asked at the steward's socket itself, as web's process could if it were taken over while the household looks."""

    async def work(house: House) -> None:
        token = (await house.household(await house.begin())).cookie.partition("=")[2]
        before = house.registry.current().registry
        for question in (AskLan(0, token, "plug"), DecideLan(0, token, "192.168.77.9", "plug", "anyone", True)):
            with pytest.raises(Refused, match="role"):
                await house.link.ask(question, msgspec.Struct)
        assert house.registry.current().registry == before

    run(tmp_path, work)
