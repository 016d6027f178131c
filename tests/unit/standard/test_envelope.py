"""Paths, media types, refusals and problem details."""

from __future__ import annotations

import json

import pytest

from gateway.reasons import Reason
from gateway.standard.envelope import MEDIA_TYPE, PATH_PREFIX, Message, essence, outgoing, type_of_target
from gateway.standard.manifest import Manifest
from gateway.standard.problem import problem, status_for
from gateway.standard.refusal import Refusal


@pytest.mark.parametrize("name", ["a", "0", "power-reading", "a" * 64, "a--b"])
def test_types_in_paths(name: str) -> None:
    assert type_of_target(PATH_PREFIX + name) == name


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/",
        "/.well-known/clear-envelope/v1/messages",
        PATH_PREFIX,
        PATH_PREFIX[1:] + "alarm",
        PATH_PREFIX.replace("v1", "v2") + "alarm",
        PATH_PREFIX.upper() + "alarm",
        "/" + PATH_PREFIX + "alarm",
        *(
            PATH_PREFIX + name
            for name in (
                "Alarm",
                "alarm/",
                "alarm?",
                "alarm?x=1",
                "al%61rm",
                "../alarm",
                "-a",
                "a-",
                "a_b",
                "a.b",
                "é",
                "a" * 65,
                "a b",
            )
        ),
    ],
)
def test_targets_that_the_standard_does_not_define(target: str) -> None:
    with pytest.raises(Refusal) as caught:
        type_of_target(target)
    assert caught.value.reason is Reason.HTTP_TARGET


@pytest.mark.parametrize("sent", ["2026-11-22T13:37:42Z", "2026-11-22T13:37Z", "", "2026-11-22T13:37:00+00:00"])
def test_only_whole_minutes_leave(acme: Manifest, sent: str) -> None:
    with pytest.raises(ValueError, match="minutes"):
        outgoing(Message("alarm", "api.acme.example", {}), acme, id="m", sent=sent, device="d")


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (None, ""),
        ("", ""),
        (MEDIA_TYPE, MEDIA_TYPE),
        (f" {MEDIA_TYPE};charset=utf-8 ", MEDIA_TYPE),
        (f'{MEDIA_TYPE}; Charset="UTF-8"', MEDIA_TYPE),
        (f"{MEDIA_TYPE}; charset=latin-1", ""),
        (f"{MEDIA_TYPE}; charset=utf-8; x=y", ""),
    ],
)
def test_media_types(field: str | None, name: str) -> None:
    assert essence(field) == name


def test_every_reason_has_a_status_and_a_problem() -> None:
    for reason in Reason:
        status = status_for(reason)
        assert 400 <= status <= 599
        document = json.loads(problem(reason, status, "words", ("/payload/a",)))
        assert document == {
            "type": f"urn:mudroom:refusal:{reason.label}",
            "title": reason.words,
            "status": status,
            "detail": "words",
            "pointers": ["/payload/a"],
        }
    assert status_for(Reason.NOT_IN_SCHEMA) == 422
    assert status_for(Reason.CERTIFICATE_REVOKED) == 403


def test_a_problem_without_places_has_no_pointers() -> None:
    assert "pointers" not in json.loads(problem(Reason.ENVELOPE, 422, "words"))


def test_a_refusal_can_always_be_written_down() -> None:
    refusal = Refusal(Reason.NOT_DECLARED, "x" * 10_000 + "\ud800", tuple("/" + "\ud800" * 1000 for _ in range(100)))
    assert len(refusal.detail) <= 512
    assert len(refusal.pointers) <= 16
    assert all(len(pointer) <= 256 for pointer in refusal.pointers)
    document = problem(refusal.reason, 422, refusal.detail, refusal.pointers)
    assert len(document) < 10_000
    str(refusal).encode()
