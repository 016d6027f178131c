"""A form that only the owner may send, and what he is told where it was not done."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.web.pages import html
from gateway.web.visit import House, Visit, check_form, form, visit


async def of_the_owner(house: House, request: Request) -> tuple[Visit, dict[str, str]]:
    """The owner with a form of his session; a visit without a role where nobody is logged in. Raises HTTPException."""
    seen = await visit(house, request)
    if not seen.role:
        return seen, {}
    fields = await form(request)
    check_form(seen, fields)
    if seen.role != "owner":
        raise HTTPException(403, "Only the owner decides. This is the household's view.")
    return seen, fields


def not_done(seen: Visit, here: str, error: str, status: int = 409) -> Response:
    """Says why."""
    return html("problem.html", seen, status, title="Not done", detail=error, here=here)
