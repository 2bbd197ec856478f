"""For whoever hosts this: is it alive, can it work, how is it doing."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from ipaddress import ip_address

from flask import Blueprint, Response, abort, current_app, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import func, select

from app.config import Config
from app.db import Database
from app.metrics import BACKLOG, OLDEST, REGISTRY
from app.models import Delivery, DeliveryState
from app.models.delivery import OPEN

bp = Blueprint("operations", __name__)

_FORWARDING = ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via")


@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    return {"status": "ok"}


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    db: Database = current_app.extensions["db"]
    try:
        db.ready()
    except Exception:
        current_app.logger.exception("the database does not answer")
        return {"status": "not ready", "not_answering": ["database"]}, 503
    return {"status": "ok"}


@bp.get("/metrics")
def metrics() -> ResponseReturnValue:
    config: Config = current_app.extensions["config"]
    if not _allowed(config.metrics_token):
        abort(403)
    _measure(current_app.extensions["db"])
    return Response(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


def _allowed(token: str) -> bool:
    given = request.headers.get("Authorization", "")
    if token and hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return True
    forwarded = any(name in request.headers for name in _FORWARDING)
    return not forwarded and ip_address(request.remote_addr or "0.0.0.0").is_loopback  # noqa: S104 - not an address to bind


def _measure(db: Database) -> None:
    BACKLOG.clear()
    OLDEST.clear()
    with db.read() as session:
        waiting = select(Delivery.provider, Delivery.state, func.count(), func.min(Delivery.created_at))
        rows = session.execute(
            waiting.where(Delivery.state.in_((*OPEN, DeliveryState.UNKNOWN))).group_by(
                Delivery.provider, Delivery.state
            )
        )
        for provider, state, count, oldest in rows:
            BACKLOG.labels(provider, state).set(count)
            if state == DeliveryState.PENDING:
                OLDEST.labels(provider).set((datetime.now(UTC) - oldest).total_seconds())
