"""What goes wrong, said to a person in a page and to a program in JSON."""

from __future__ import annotations

import time

from flask import Flask, render_template, request
from flask.typing import ResponseReturnValue
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from app.services.errors import Failed, NotFound, Wrong
from app.services.retention import Removed
from app.services.said import mark
from app.web import refusals
from app.web.limits import limiter

_SAID = {
    400: mark("This request could not be read. Nothing was changed. Go back, reload the page and try again."),
    401: mark("You are signed out. Nothing was changed. Sign in, then try again."),
    404: mark("There is nothing here, or nothing that you may see. Check the address, or go to your stores."),
    405: mark("This address does not take such requests. Nothing was changed."),
    413: mark("This is more than we take at a time. Nothing was changed."),
    429: mark(
        "These were too many requests from your network. Nothing was changed. Wait a few minutes, then try again."
    ),
    500: mark("Something broke on our side. What the stores sent us is safe. Try again in a minute."),
}
_FORM_TOO_OLD = mark(
    "This page was open for too long, or your browser keeps no cookies. Nothing was changed. Try again."
)


def init(app: Flask) -> None:
    app.register_error_handler(HTTPException, _answer)
    app.register_error_handler(NotFound, lambda _error: _answer_text(404, "not found", _SAID[404]))
    app.register_error_handler(Removed, lambda error: _answer_text(410, "gone", str(error)))
    app.register_error_handler(Wrong, lambda error: _answer_text(400, "bad request", str(error)))
    app.register_error_handler(Failed, lambda error: _answer_text(502, "failed", str(error)))


def _answer(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    headers = [(name, value) for name, value in error.get_headers() if name == "Allow"]
    if isinstance(error, RateLimitExceeded):
        headers.append(("Retry-After", str(_wait())))
    said = _SAID.get(status, _SAID[400])
    if isinstance(error, CSRFError):
        said = _FORM_TOO_OLD
        refusals.note(refusals.FORM_TOKEN)
    return _answer_text(status, error.name.lower(), said, headers)


def _answer_text(
    status: int, name: str, said: str, headers: list[tuple[str, str]] | None = None
) -> ResponseReturnValue:
    if _wants_page():
        return render_template("error.html", status=status, said=said), status, headers or []
    return {"status": name}, status, headers or []


def _wants_page() -> bool:
    """A browser that shows pages says so; whoever takes anything gets the short answer."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def _wait() -> int:
    """Seconds until the limit lets the next request through."""
    limit = limiter.current_limit
    return max(1, round(limit.reset_at - time.time())) if limit else 60
