"""With which letters languages are written today. It must never hold a letter that only old or learned texts have.

After the exemplar sets of Unicode's CLDR, with the accents that loan words keep. Two uses: these are the letters that a text may
have at all (``repertoire``), and a text whose letters are those of one language is read as one (``reading``): a mixture that no
language has is no spelling, but a place to hide in.
"""

from __future__ import annotations

import unicodedata

# Beyond a to z, in lower case. Languages that are written with the letters of another one are left out.
LATIN = {
    "Azerbaijani": "çəğıöşü",
    "Catalan": "àçèéíïòóúü",
    "Croatian, Slovenian": "čćđšžé",
    "Czech": "áčďéěíňóřšťúůýž",
    "Danish, Norwegian": "æøåéèóòâôü",
    "Dutch": "áâäèéêëíïóôöúûü",
    "Esperanto": "ĉĝĥĵŝŭ",
    "Estonian": "äõöüšžé",
    "Faroese, Icelandic": "áðéíóúýþæöø",
    "French": "àâæçèéêëîïôœùûüÿ",
    "German": "äöüßàâçèéêôœ",
    "Hungarian": "áéíóöőúüű",
    "Irish, Gaelic": "áàéèíìóòúù",
    "Italian": "àèéìíîòóùú",
    "Latvian": "āčēģīķļņšūžō",
    "Lithuanian": "ąčęėįšųūž",
    "Maltese": "ċġħżàèìòù",
    "Maori": "āēīōū",
    "Polish": "ąćęłńóśźżéüö",
    "Portuguese": "àáâãçéêíóôõúü",
    "Romanian": "ăâîșțşéö",
    "Sami": "áčđŋšŧžâåäõöøæ",
    "Slovak": "áäčďéíĺľňóôŕšťúýžöüěř",
    "Spanish": "áéíñóúüçà",
    "Swedish, Finnish": "åäöéàüšž",
    "Turkish": "çğıöşüâîû",
    "Vietnamese": "àáâãèéêìíòóôõùúýăđĩũơư" + "".join(map(chr, range(0x1EA1, 0x1EFA, 2))),
    "Welsh": "àáâäèéêëìíîïòóôöùúûüŵŷẁẃẅỳýÿ",
}
CYRILLIC = (
    "абвгдежзийклмнопрстуфхцчшщъыьэюяё"  # Russian, Bulgarian
    "ґєіїў"  # Ukrainian, Belarusian
    "ђѓѕјљњћќџѐѝ"  # Serbian, Macedonian
    "әғқңөұүһҗҳҷӣӯ"  # Kazakh, Tatar, Kyrgyz, Mongolian, Uzbek, Tajik
)
GREEK = "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ"

_SETS = tuple(map(frozenset, LATIN.values()))
_ALL = frozenset[str]().union(*_SETS)
_BARE = dict(zip("ıəħŧŋđðþøłæœ", "iehtnddtoleo", strict=True))  # letters that have no accent to take away
_TONES = frozenset("\u0300\u0301\u0303\u0309\u0323")
_SYLLABLE = 7  # letters of the longest in Vietnamese, which writes each by itself, with one tone at most


def of_one_language(text: str) -> bool:
    """Whether the accented Latin letters of ``text`` are all in one language's alphabet."""
    if text.isascii():
        return True
    letters = _ALL & set(text.replace("İ", "i").lower())
    return not letters or any(letters <= alphabet for alphabet in _SETS)


def bare(word: str) -> str | None:
    """A word in lower case without its accents, letter by letter; None where no word of a language could have them so."""
    if any(c >= "\u1ea0" for c in word) and (len(word) > _SYLLABLE or sum(map(_toned, word)) > 1):
        return None
    return "".join(_BARE.get(c) or unicodedata.normalize("NFD", c)[0] for c in word)


def _toned(letter: str) -> bool:
    return not _TONES.isdisjoint(unicodedata.normalize("NFD", letter))
