"""The pictures of the pages: small, each shown somewhere with words for who does not see it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.home.screenshots import MOST

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "docs" / "pictures"


def test_every_picture_is_small_and_shown_with_words() -> None:
    shown: dict[Path, str] = {}
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for words, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", document.read_text()):
            shown[(document.parent / target).resolve()] = words
    assert {file.resolve() for file in PICTURES.iterdir()} == set(shown)
    assert all(len(words) > 20 for words in shown.values())
    for file in shown:
        content = file.read_bytes()
        assert content.startswith(b"\x89PNG\r\n") and len(content) <= MOST, file
