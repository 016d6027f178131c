"""Templates and the files that go with them, read once. Every value is escaped; it must never mark a foreign text as safe."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateway.plain import plain
from gateway.web import words

HERE = Path(__file__).parent
FILES = {
    "style.css": "text/css",
    "live.js": "text/javascript",
    "scan.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


@cache
def files() -> dict[str, tuple[bytes, str]]:
    """What pages load, by name: content, media type."""
    return {name: ((HERE / "static" / name).read_bytes(), kind) for name, kind in FILES.items()}


@cache
def _version() -> str:
    """Changes with any of the files, so that browsers may keep them for ever."""
    return hashlib.sha256(b"".join(content for content, _ in files().values())).hexdigest()[:12]


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, auto_reload=False,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "plain": plain, "ago": words.ago, "moment": words.moment, "stamp": words.stamp, "times": words.times,
        "thousands": lambda number: f"{number:,}",
    }  # fmt: skip
    made.globals |= {"version": _version()}
    return made


def render(name: str, **values: Any) -> str:
    """A page. ``role`` is empty where nobody is logged in; pages of a session have its ``csrf``."""
    defaults: dict[str, Any] = {"role": "", "csrf": "", "here": "", "waiting": 0, "unseen": 0}
    return _templates().get_template(name).render(defaults | values)
