"""The API's description (OpenAPI 3.1), made of the table of calls; as a document for programs and as a page for people.

It is made when somebody asks: at rest it takes no room. It is the same on every box, and holds nothing of the home.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway import __version__
from gateway.web import shapes
from gateway.web.calls import CALLS, Call
from gateway.web.pages import html
from gateway.web.problems import MEDIA_TYPE, phrase
from gateway.web.visit import Visit

PATH = "/api/openapi.json"
SCHEMAS = "#/components/schemas/"


def document() -> dict[str, Any]:
    """The whole description."""
    types = [kind for call in CALLS for kind in (*call.answers.values(), call.takes) if kind not in (None, str)]
    _, schemas = msgspec.json.schema_components([shapes.Problem, *types], ref_template=SCHEMAS + "{name}")
    paths: dict[str, dict[str, Any]] = {}
    for call in CALLS:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mudroom",
            "version": __version__,
            "description": "What the owner's pages show and decide, for the owner's programs, in the home network alone.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {name: _closed(schema) for name, schema in schemas.items()},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`mudroom tokens create`, or Settings."},
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-mudroom", "description": "A login of the pages."},
            },
        },
    }


def _operation(call: Call) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, kind in call.answers.items():
        answers[str(status)] = {"description": phrase(status)}
        if kind is not None:
            schema = {"type": "string"} if kind is str else {"$ref": SCHEMAS + kind.__name__}
            answers[str(status)]["content"] = {call.media_type: {"schema": schema}}
    problem = {MEDIA_TYPE: {"schema": {"$ref": SCHEMAS + shapes.Problem.__name__}}}
    for status in sorted(call.faults):
        answers[str(status)] = {"description": phrase(status), "content": problem}
    operation: dict[str, Any] = {
        "operationId": _name(call),
        "summary": call.words,
        "security": [{"token": []}] if call.token_only else [{"token": []}, {"session": []}],
        "responses": answers,
    }
    if call.parameters:
        operation["parameters"] = [
            {"name": one.name, "in": one.where, "required": one.where == "path", "description": one.words, "schema": one.schema}
            for one in call.parameters
        ]
    if call.takes is not None:
        content = {"application/json": {"schema": {"$ref": SCHEMAS + call.takes.__name__}}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _name(call: Call) -> str:
    words = [word for word in re.split(r"[^a-z]+", call.path.removeprefix("/api")) if word]
    return "_".join((call.method.lower(), *words))


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Answers hold what is described, and nothing else. Our docstrings' marks are made Markdown's."""
    said = {"description": schema["description"].replace("``", "`")} if "description" in schema else {}
    return schema | said | ({"additionalProperties": False} if schema.get("type") == "object" else {})


async def told(request: Request) -> Response:
    """The document."""
    return Response(msgspec.json.encode(document()), media_type="application/json")


async def page(seen: Visit) -> Response:
    """The same for people."""
    made = document()
    calls = [
        {
            "method": method.upper(), "path": path, "words": one["summary"],
            "parameters": one.get("parameters", []),
            "takes": one["requestBody"]["content"]["application/json"]["schema"]["$ref"].removeprefix(SCHEMAS)
            if "requestBody" in one else "",
            "answers": [
                {"status": status, "words": each["description"], "type": _typed(each)}
                for status, each in one["responses"].items()
            ],
        }
        for path, methods in made["paths"].items()
        for method, one in methods.items()
    ]  # fmt: skip
    types = [
        {"name": name, "words": schema.get("description", "").replace("`", ""), "fields": _fields(schema)}
        for name, schema in made["components"]["schemas"].items()
    ]
    return html("api.html", seen, here="settings", calls=calls, types=types)


def _typed(answer: dict[str, Any]) -> str:
    for each in answer.get("content", {}).values():
        return _words(each["schema"])
    return ""


def _fields(schema: dict[str, Any]) -> list[dict[str, Any]]:
    needed = schema.get("required", ())
    return [
        {"name": name, "type": _words(each), "optional": name not in needed}
        for name, each in schema.get("properties", {}).items()
    ]


def _words(schema: dict[str, Any]) -> str:
    """A schema in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(SCHEMAS)
    if "anyOf" in schema:
        return " or ".join(_words(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_words(schema['items'])}"
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    return str(schema.get("type", "anything"))
