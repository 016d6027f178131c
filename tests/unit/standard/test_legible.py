"""A manifest's own words: those that real devices have are taken, tokens are refused by name."""

# ruff: noqa: RUF001  # letters that look alike are part of what this is about

from __future__ import annotations

import base64
import random
import string
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from gateway.standard.legible import CODES, illegible, too_many_codes
from gateway.standard.manifest import ManifestError, parse_manifest
from tests.unit.standard.declarations import encoded, manifest

LISTS = {
    "modes": "AUTO,eco_plus,heat-pump,off,,antiFrost,DRY,FAN_ONLY,boost 2",
    "radio": "2.4GHz,5GHz,802.11ax,BLE,WPA2-PSK,WPA3-SAE,LTE-M,NB-IoT",
    "refrigerants": "R22,R32,R134a,R290,R404A,R407C,R410A,R417A,R422D,R448A,R449A,R452A,R454B,R507A,R513A,R600a,R717,R744",
    "lamp bases": "E14,E27,E26,E12,B22,B22d,B15,GU10,GU5.3,G9,G4,GX53,MR16,GU24,R7s,T5,T8,G13,2G11,A19,A60,PAR30,BR30",
    "errors": ",".join([f"E{n:02}" for n in range(1, 100)] + [f"F{n}" for n in range(100, 160)]),
    "countries": "DE,FR,GB,US,IT,ES,PT,NL,BE,AT,CH,PL,CZ,SK,HU,RO,BG,GR,TR,UA,RU,SE,NO,FI,DK,IS,IE,LT,LV,EE,JP,CN,KR,IN,BR",
    "languages": "de-DE,en-GB,pt-BR,zh-Hans,sr-Latn,fr,tr",
    "currencies": "EUR,USD,GBP,JPY,CHF,SEK,NOK,DKK,PLN,CZK,HUF,RON,BGN,TRY,UAH,AUD,CAD,NZD,CNY,KRW,INR,BRL,ZAR",
    "zones": "Europe/Berlin,America/Argentina/Buenos_Aires,UTC,Etc/GMT+3",
    "models": "BMX055,SHT31-D,LRF2-OKLB-P,MSS310R,HQWT-U-P2W,dtmi sensor v2",
    "numbers": ",".join(str(n) for n in range(256)),
    "German": "Küche,Schlafzimmer oben,Heizungsvorlauf",
    "Russian": "открыто,закрыто,НЕТ",
    "Chinese": "关机,启动,模式,程序",
    "Japanese": "オン,オフ,自動運転",
}


@pytest.mark.parametrize("name", LISTS)
def test_what_real_devices_say_can_be_read(name: str) -> None:
    texts = LISTS[name].split(",")
    assert [text for text in texts if illegible(text)] == []
    assert too_many_codes(texts) is None


Make = Callable[[random.Random], str]
TOKENS: dict[str, Make] = {
    "hex, 2 bytes": lambda dice: dice.randbytes(2).hex(),
    "hex, 4 bytes": lambda dice: dice.randbytes(4).hex(),
    "hex, 16 bytes": lambda dice: dice.randbytes(16).hex(),
    "letters and digits": lambda dice: "".join(dice.choices(string.ascii_lowercase + string.digits, k=5)),
    "base64": lambda dice: base64.b64encode(dice.randbytes(6)).decode(),
    "base32": lambda dice: base64.b32encode(dice.randbytes(10)).decode(),
    "uuid": lambda dice: str(uuid.UUID(bytes=dice.randbytes(16), version=4)),
    "letters": lambda dice: "".join(dice.choices(string.ascii_lowercase, k=6)),
    "short letters": lambda dice: "".join(dice.choices(string.ascii_uppercase, k=3)),
    "digits": lambda dice: "".join(dice.choices(string.digits, k=9)),
    "digits in groups": lambda dice: ".".join(f"{dice.randrange(10_000):04}" for _ in range(3)),
    "a letter and digits": lambda dice: "E" + "".join(dice.choices(string.digits, k=7)),
}


def tokens(kind: str, number: int) -> list[str]:
    dice = random.Random(11)
    return list(dict.fromkeys(TOKENS[kind](dice) for _ in range(number)))


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("number", [80, 256])
def test_a_list_of_tokens_is_no_list_of_choices(kind: str, number: int) -> None:
    found = tokens(kind, number)
    assert too_many_codes(found) or any(map(illegible, found))
    for place, values in (("string", found), ("names", found)):
        field: dict[str, Any] = {"type": "string", "title": "Code", "enum": values}
        if place == "names":
            field = {"type": "object", "title": "Codes", "properties": {v: {"type": "boolean", "title": "On"} for v in values}}
        with pytest.raises(ManifestError) as caught:
            parse_manifest(encoded(manifest({"type": "object", "properties": {"code": field}})))
        assert "/payload/properties/code/" in caught.value.pointer
        assert caught.value.rule
        assert caught.value.remedy


def test_words_pay_for_half_as_many_codes() -> None:
    words = ["open", "closed", "tilted", "locked", "broken", "kitchen"]
    codes = [f"{one}7{two}x" for one in "bcdfgh" for two in "jklmnpq"][: CODES + 3]
    assert too_many_codes([*codes, *words]) is None
    assert too_many_codes([*codes, *words[:4]])


@pytest.mark.parametrize(
    "text",
    [
        "Guaranteed for 24 months (EU 2019/771), RoHS 2011/65/EU",
        "Acme GmbH, Hauptstraße 12, 10115 Berlin, HRB 123456 B",
        "Tel. (555) 123-4567, Mon-Fri 9-17, or privacy@acme.example",
        "Replaced or refunded when support ends early; see https://acme.example/terms/2026-01-01/v2.1",
        "株式会社アクメ",
        "D-Link DCS-8000LH",
    ],
)
def test_what_vendors_say_of_themselves_can_be_read(text: str) -> None:
    assert illegible(text) is None


TOKEN = "sZuTwgzBpBN2TMQI"


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("vendor", "name"), TOKEN),
        (("vendor", "terms"), f"See {TOKEN}"),
        (("messages", "reading", "title"), TOKEN),
        (("messages", "reading", "purpose"), f"Shows it ({TOKEN})"),
        (("messages", "reading", "payload", "properties", "on", "title"), TOKEN),
        (("messages", "reading", "payload", "properties", "on", "description"), TOKEN),
        (("messages", "reading", "payload", "properties", "mode", "enum", 1), TOKEN),
        (("messages", "reading", "payload", "properties", "mode", "enum", 1), "two  spaces"),
        (("messages", "reading", "payload", "properties", "mode", "enum", 1), "5 \u00b5g"),
    ],
)
def test_one_text_that_nobody_reads_is_refused_where_it_stands(way: tuple[str | int, ...], value: str) -> None:
    properties = {"on": {"type": "boolean", "title": "On"}, "mode": {"type": "string", "title": "Mode", "enum": ["on", "off"]}}
    document = manifest({"type": "object", "properties": properties})
    parse_manifest(encoded(document))
    place: Any = document["ietf-mud:mud"]["clear-envelope"]
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = value
    with pytest.raises(ManifestError) as caught:
        parse_manifest(encoded(document))
    assert caught.value.pointer == "/ietf-mud:mud/clear-envelope/" + "/".join(map(str, way))


@pytest.mark.parametrize("name", ["x7f3a9c2e41b8d05", "5f8ef594362f31000833d959"])
def test_a_name_that_nobody_reads_is_refused_where_it_stands(name: str) -> None:
    document = manifest({"type": "object", "properties": {name: {"type": "boolean", "title": "On"}}})
    with pytest.raises(ManifestError) as caught:
        parse_manifest(encoded(document))
    assert caught.value.pointer.endswith(f"/payload/properties/{name}")
    document = manifest({"type": "object", "properties": {}})
    messages = document["ietf-mud:mud"]["clear-envelope"]["messages"]
    messages[name] = messages.pop("reading")
    with pytest.raises(ManifestError) as caught:
        parse_manifest(encoded(document))
    assert caught.value.pointer.endswith(f"/messages/{name}")


def test_message_types_are_no_list_of_codes_either() -> None:
    document = manifest({"type": "object", "properties": {}})
    messages = document["ietf-mud:mud"]["clear-envelope"]["messages"]
    for code in [f"{one}7{two}x" for one in "bcdfgh" for two in "jklmnp"]:
        messages[code] = messages["reading"]
    with pytest.raises(ManifestError) as caught:
        parse_manifest(encoded(document))
    assert caught.value.pointer.endswith("/messages")


def test_integers_that_nobody_reads_are_no_choices_either() -> None:
    dice = random.Random(3)
    field = {"type": "integer", "title": "Code", "enum": [dice.randrange(10**9, 10**12) for _ in range(64)]}
    with pytest.raises(ManifestError) as caught:
        parse_manifest(encoded(manifest({"type": "object", "properties": {"code": field}})))
    assert caught.value.pointer.endswith("/code/enum")
    field["enum"] = list(range(-500, 3000, 100))
    parse_manifest(encoded(manifest({"type": "object", "properties": {"code": field}})))
