"""The API as one table: each call with what it asks, answers and needs. The routes and the description are both made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.web import api, enrolling, looking, matters, shapes, vendors
from gateway.web.api import for_programs
from gateway.web.decisions import Decision, decisions
from gateway.web.metrics import MEDIA_TYPE, metrics
from gateway.web.pages import Handler
from gateway.web.visit import House

JSON = "application/json"
READING = (400, 401, 403, 405, 421, 429, 503)  # what any call may meet
DECIDING = (*READING, 409, 413, 415)


@dataclass(frozen=True)
class Parameter:
    """``where``: "path" or "query". ``schema``: JSON Schema."""

    name: str
    where: str
    schema: dict[str, Any]
    words: str


@dataclass(frozen=True)
class Call:
    """``answers``: the type of the body by status, None where there is none. ``faults``: statuses with a problem (RFC 9457)."""

    path: str
    handler: Callable[[House], Handler]
    words: str
    answers: dict[int, Any]
    method: str = "GET"
    parameters: tuple[Parameter, ...] = ()
    takes: Any = None
    faults: tuple[int, ...] = READING
    media_type: str = JSON
    token_only: bool = False


def _read(told: api.Told) -> Callable[[House], Handler]:
    return lambda house: for_programs(house, told)


_ID = Parameter("id", "path", {"type": "string", "minLength": 1, "maxLength": 64}, "The message's id, as the list has it.")
_DEVICE = Parameter("device", "query", {"type": "string", "maxLength": 64}, "Of this device alone: an id, or a hardware address.")

CALLS = (
    Call("/api/devices", _read(api.devices), "The devices, each with its last message.", {200: shapes.Devices}),
    Call(
        "/api/messages", _read(api.messages), "The newest hundred messages.", {200: shapes.Messages}, parameters=(_DEVICE,),
    ),
    Call(
        "/api/refusals", _read(api.refusals), "The newest hundred messages that were refused.", {200: shapes.Refusals},
        parameters=(_DEVICE,),
    ),
    Call(
        "/api/messages/{id}", _read(api.message), "One message whole, before and after.", {200: shapes.Sheet},
        parameters=(_ID,), faults=(*READING, 404),
    ),
    Call("/api/attempts", _read(api.attempts), "What was tried and dropped.", {200: shapes.Attempts}),
    Call("/api/leaks", _read(api.leaks), "What messages could have hidden, by day.", {200: shapes.Leaks}),
    Call("/api/newcomers", _read(api.newcomers), "Manifests and devices that wait for the owner.", {200: shapes.Newcomers}),
    Call("/api/notices", _read(matters.told), "The few things that matter.", {200: shapes.Notices}),
    Call("/api/pairings", _read(enrolling.told), "Who is waited for by its label's code.", {200: shapes.Pairings}),
    Call("/api/looks", _read(looking.told), "Where manifests can be looked for, and what came of it.", {200: shapes.Looks}),
    Call("/api/vendors", _read(vendors.scored), "Each vendor's score.", {200: shapes.Vendors}),
    Call(
        "/api/decisions", decisions,
        "Decide about a device. 204: on record, and done (a look for a manifest: begun); 200: done, and not on record.",
        {204: None, 200: shapes.Unrecorded}, method="POST", takes=Decision, faults=DECIDING,
    ),
    Call(
        "/metrics", metrics, "Figures for a monitor (Prometheus' text format).", {200: str},
        media_type=MEDIA_TYPE, token_only=True,
    ),
)  # fmt: skip
