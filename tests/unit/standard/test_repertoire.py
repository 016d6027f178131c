"""What characters a text may have: what a household reads, and nothing that it cannot see."""

# ruff: noqa: RUF001  # letters that look alike are what this is about

from __future__ import annotations

import sys

import pytest

from gateway.standard.lookalikes import unified
from gateway.standard.reading import unreadable
from gateway.standard.repertoire import allowed, flaw, script


@pytest.mark.parametrize(
    "text",
    [
        "Kitchen 2: 21.5 °C, 40 % (ok)",
        "Tür öffnen – „sofort“",
        "Détecteur de présence",
        "Żarówka włączona",
        "Температура на кухне",
        "Θερμοκρασία κουζίνας",
        "キッチンの温度",
        "设备状态",
        "거실 온도",
        "10 kΩ, 5 µg/m³, NO₂",
        "Kitchen кухня",
        "Heizungsvorlauf: Ventil 3 öffnet größer als 40 %",
        "L’œuf est prêt, ça brûle déjà à l’étage",
        "Zażółć gęślą jaźń",
        "Příliš teplý vzduch, větrák běží, dveře zavřené, okno vpředu ďobá",
        "Ľahký vánok pri ďatelinovej stráni",
        "Işık açık, İç sıcaklık düşük, ağ yok",
        "Ușa și fereastra sunt închise; căldură în țevi",
        "Nhiệt độ phòng khách đang tăng, cửa sổ mở",
        "Árvíztűrő tükörfúrógép",
        "Η πόρτα είναι ανοιχτή και το φως σβηστό",
        "Дверь открыта, съёмный датчик у окна",
        "Датчик у LED",
        "Температура в кухне, Wi-Fi и LED",
        "Двері відчинені, датчик у їдальні, ґанок",
        "Вратата е отворена, ѝ температурата",
        "Врата су отворена, ђеврек, џеп, њива, љубав, ћуприја",
        "Есік ашық, бөлме температурасы, ұйқы, әуе",
        "リビングのエアコンがオンです。フィルターを掃除してください",
        "キッチンへ移動中、バッテリー残り40％",
        "门已打开，请检查滤网（第2次）！",
        "현관문이 열렸습니다. LED등이 켜짐, WiFi에 연결됨",
        "Qapı açıqdır, işıq yanır, tərtəmiz",
        "Il-bieb huwa miftuħ, żomm il-ġewwieni",
        "Hurðin er opin, það er þægilegt",
        "НЕТ",
    ],
)
def test_what_a_household_reads(text: str) -> None:
    assert flaw(unified(text)) is None
    assert unreadable(unified(text)) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Ku\u0308che", "NFC"),
        ("e\u0301", "NFC"),
        ("Kitchen\u200b", "U+200B"),
        ("Kitchen\u00a0", "U+00A0"),
        ("a\u202eb", "U+202E"),
        ("x\ufe0f", "U+FE0F"),
        ("q\u0301\u0301\u0301", "U+0301"),
        ("\ue000", "U+E000"),
        ("\U000f36c7", "U+F36C7"),
        ("\u2836\u282d", "U+2836"),
        ("\u6953\u7ab6\u7e10", "U+"),
        ("\ud800", "U+D800"),
        ("Kit\tchen", "U+0009"),
        ("\uff21\uff22", "U+FF21"),
        ("K\u0456tchen", "Cyrillic and Latin"),
        ("Gener\u0456\u0441", "Cyrillic and Latin"),
        ("L\u03bfck", "Greek and Latin"),
        ("\u0430 door", "Cyrillic"),
        ("LED \u0440\u0430\u0441\u0435", "Cyrillic"),
        ("\u65e5W\u0435", "Cyrillic and Latin"),
        ("\u65e5\u0435 door", "Cyrillic"),
        ("\u03bf \u043a\u0443\u0445\u043d\u044f", "Greek"),
        ("\u01c0", "U+01C0"),
        ("\u01c3", "U+01C3"),
        ("\u017ft", "U+017F"),
        ("\u01ce", "U+01CE"),
        ("\u04cf", "U+04CF"),
        ("\u0391 door", "Greek"),
    ],
)
def test_what_it_cannot_see_is_named(text: str, word: str) -> None:
    found = flaw(text)
    assert found is not None
    assert word in found


def test_no_mark_no_control_no_other_space_is_in_the_repertoire() -> None:
    admitted = [chr(point) for point in range(sys.maxunicode + 1) if allowed(chr(point))]
    assert all(character.isprintable() for character in admitted)
    assert [character for character in admitted if character.isspace()] == [" "]
    assert 5_000 < len(admitted) < 12_000
    assert sum(1 for character in admitted if script(character) in {"Latin", "Greek", "Cyrillic"}) < 550


def test_a_long_text_is_not_looked_at_for_ever() -> None:
    found = flaw("ä" * 5000)
    assert found is not None
    assert "4096" in found
