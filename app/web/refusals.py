"""Counts what was refused, by route and reason: so that attacks, and mistakes of ours, show on a chart."""

from __future__ import annotations

from flask import Response, g, request

from app.metrics import REFUSED

FORM_TOKEN = "form token"  # noqa: S105 - a label
SESSION_OVER = "session over"
SIGNED_OUT = "signed out"
TOKEN_EXPIRED = "token expired"  # noqa: S105
_BY_STATUS = {
    400: "malformed",
    401: "unproven",
    403: "forbidden",
    404: "not found",
    405: "method",
    413: "too large",
    429: "too often",
}
_NO_ROUTE = "none"


def note(reason: str) -> None:
    """Say why the request at hand is refused, where its answer's status alone does not."""
    g.refusal = reason


def count(response: Response) -> None:
    """To be called with every answer. Both labels take values of ours alone, whatever was asked for."""
    status = response.status_code
    if "refusal" not in g and not 400 <= status < 500:
        return
    tally(request.endpoint or _NO_ROUTE, status, g.get("refusal"))


def tally(route: str, status: int, reason: str | None = None) -> None:
    """As `count`, for an answer that Flask did not give."""
    if reason or 400 <= status < 500:
        REFUSED.labels(route, reason or _BY_STATUS.get(status, "other")).inc()
