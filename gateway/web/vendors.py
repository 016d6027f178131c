"""The vendors' pages: everybody's score, one vendor whole, and the page of it that may be published.

The published page stands on its own: no script, no request, nothing of the home; ``gateway.scorecard.published`` says what it
may hold. It must never be shown as one of our own pages with a style of its own: it is previewed in ours, and downloaded.
"""

from __future__ import annotations

import re
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway import scorecard
from gateway.ipc.scores import AskScores, Scores
from gateway.web import charts
from gateway.web.render import render
from gateway.web.visit import Visit


async def scored(seen: Visit) -> dict[str, Any]:
    """All vendors' cards."""
    found = await seen.house.link.ask(AskScores(0, seen.token), Scores)
    return scorecard.cards(seen.house.config, seen.home, found)


async def vendors(seen: Visit) -> Response:
    """Every vendor as a card."""
    return _html("vendors.html", seen, **await scored(seen))


async def vendor(seen: Visit) -> Response:
    """One vendor whole."""
    found, card = await _one(seen)
    drawn = charts.by_day(charts.sums(card["bits"]["days"], "bits"), 30, charts.today())
    sent = charts.by_day(charts.sums(card["bits"]["days"], "messages"), 30, charts.today())
    tried = charts.shares(card["tried"])
    return _html("vendor.html", seen, **found, vendor=card, bits=drawn, messages=sent, tried=tried)


async def preview(seen: Visit) -> Response:
    """What would be published."""
    found, card = await _one(seen)
    return _html("vendor_preview.html", seen, key=card["key"], page=scorecard.published(card, found["since"], found["until"]))


async def download(seen: Visit) -> Response:
    """The page to publish, as a file."""
    found, card = await _one(seen)
    headers = {"content-disposition": f'attachment; filename="{file_name(card["name"])}"'}
    return Response(document(card, found["since"], found["until"]), media_type="text/html", headers=headers)


def document(card: dict[str, Any], since: str, until: str) -> str:
    """The page to publish: one HTML document for itself."""
    return render("vendor_published.html", page=scorecard.published(card, since, until))


def file_name(vendor: str) -> str:
    """A name for the file, whatever the vendor is called."""
    short = "-".join(re.findall(r"[a-z0-9]+", vendor.lower()))[:40].strip("-")
    return f"mudroom-{short or 'vendor'}.html"


async def _one(seen: Visit) -> tuple[dict[str, Any], dict[str, Any]]:
    found = await scored(seen)
    for card in found["vendors"]:
        if card["key"] == seen.request.path_params["key"]:
            return found, card
    raise HTTPException(404, "There is no such vendor in the record of these days, nor among what you approved.")


def _html(name: str, seen: Visit, **values: Any) -> Response:
    return Response(render(name, **seen.shown(here="vendors", **values)), media_type="text/html")


PAGES = {
    "/vendors": vendors,
    "/vendors/{key}": vendor,
    "/vendors/{key}/preview": preview,
    "/vendors/{key}/page": download,
}
