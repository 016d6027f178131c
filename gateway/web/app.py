"""The application: which path leads where, and what a fault looks like. Nothing here listens."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.config import Config
from gateway.registry import RegistryError, RegistryFile
from gateway.web import lanaccess, looking, noticing, openapi, pages, pairing, record, ruling
from gateway.web.calls import CALLS
from gateway.web.deciding import decide
from gateway.web.entrance import entrance
from gateway.web.guard import Guard
from gateway.web.link import Asks, NoSteward, Refused
from gateway.web.live import events
from gateway.web.problems import answer
from gateway.web.tokens import tokens
from gateway.web.trying import PAGES as TRIALS
from gateway.web.vendors import PAGES as VENDORS
from gateway.web.visit import House

log = logging.getLogger(__name__)

PAGES = {
    "/": pages.home,
    "/devices/{device}": pages.device,
    "/devices/{device}/forget": pages.forget,
    "/messages/{id}": pages.message,
    "/attempts": pages.attempts,
    "/leaks": pages.leaks,
    "/newcomers": pages.newcomers,
    "/notices": noticing.page,
    "/settings": pages.settings,
    "/rules": ruling.rules,
    "/devices/{device}/fields": ruling.field,
    "/api": openapi.page,
    **TRIALS,
    **VENDORS,
}


def build(config: Config, link: Asks) -> ASGIApp:
    """The pages of this house, behind their guard."""
    house = House(config, link, RegistryFile(config.paths.registry))
    routes = [Route(path, pages.for_people(house, page)) for path, page in PAGES.items()]
    routes += [Route(call.path, call.handler(house), methods=[call.method]) for call in CALLS]
    routes += [Route(path, handler, methods=["GET", "POST"]) for path, handler in entrance(house).items()]
    routes += record.routes(house)
    routes += [
        Route("/rules/decide", ruling.decide(house), methods=["POST"]),
        Route("/decide", decide(house), methods=["POST"]),
        Route("/devices/{device}/lan", pages.for_people(house, lanaccess.decide), methods=["POST"]),
        Route("/devices/{device}/look", pages.for_people(house, looking.start), methods=["POST"]),
        Route("/tokens", tokens(house), methods=["POST"]),
        Route(openapi.PATH, openapi.told),
        Route("/pair", pairing.pair(house), methods=["POST"]),
        Route("/pair/stop", pairing.stop(house), methods=["POST"]),
        Route("/notices/seen", noticing.mark(house), methods=["POST"]),
        Route("/events", events(house)),
        Route("/static/{name}", pages.static),
    ]
    made = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _http,
            NoSteward: _no_steward,
            Refused: _refused,
            RegistryError: _registry,
            Exception: _fault,
        },
    )
    made.router.redirect_slashes = False
    return Guard(made, _addresses(config), config.web.port)


def _addresses(config: Config) -> Sequence[str]:
    return str(config.lan.ipv4.ip), str(config.lan.ipv6.ip)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 # it is registered for this alone
    words = {404: "There is nothing here.", 405: "This cannot be asked so."}
    own = error.detail if error.detail.endswith(".") else words.get(error.status_code, error.detail)
    headers = dict(error.headers) if error.headers else None
    return answer(request.scope, error.status_code, own, headers)


def _no_steward(request: Request, error: Exception) -> Response:
    log.error("the steward does not answer: %s", error)
    words = "The part that knows you and the record does not answer now. Try again in a moment; `mudroom doctor` tells more."
    return answer(request.scope, 503, words, {"retry-after": "5"})


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 # it is registered for this alone
    if error.why == "role":
        return answer(request.scope, 403, "Only the owner decides. This is the household's view.")
    if error.why == "token":
        return answer(request.scope, 403, "No program's token decides this; the owner does, on the pages.")
    log.error("the steward could not answer: %s", error.why)
    return answer(request.scope, 503, "The record cannot be read now; `mudroom doctor` tells why.")


def _registry(request: Request, error: Exception) -> Response:
    log.error("%s", error)
    return answer(request.scope, 503, "The list of devices cannot be read; `mudroom doctor` tells why.")


def _fault(request: Request, error: Exception) -> Response:
    return answer(request.scope, 500, "This page has a fault. The log of mudroom-web says where.")
