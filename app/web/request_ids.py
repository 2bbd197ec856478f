"""Every request has an id, which its log lines name and the answer to a person carries."""

from __future__ import annotations

from flask import Flask, Response, request

from app import ids
from app.web import webhooks

HEADER = "X-Request-Id"


def init(app: Flask) -> None:
    app.before_request(lambda: ids.note(request=ids.request()))
    app.after_request(_tell)
    app.teardown_request(lambda _error: ids.forget())


def _tell(response: Response) -> Response:
    if request.blueprint == webhooks.bp.name:
        return response  # stores have no use for it
    response.headers.setdefault(HEADER, str(ids.current().get("request", "")))
    return response
