"""For whoever hosts this: is it alive, can it work, how is it doing."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from ipaddress import ip_address

from flask import Blueprint, Response, abort, current_app, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app.config import Config
from app.db import Database
from app.metrics import BACKLOG, OLDEST, REGISTRY
from app.models import Delivery, DeliveryState
from app.models.delivery import OPEN

bp = Blueprint("operations", __name__)

#: What proxies add to say whom they speak for; beside these, everything that starts with ``X-Forwarded-``.
_FORWARDING = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"})


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
    BACKLOG.clear()
    OLDEST.clear()
    try:
        _measure(current_app.extensions["db"])
    except SQLAlchemyError:
        current_app.logger.exception("the backlog could not be counted")  # the counters are wanted all the more
    return Response(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


def _allowed(token: str) -> bool:
    given = request.headers.get("Authorization", "")
    if token and hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return True
    return local()


def local() -> bool:
    """Whether the request comes from this very machine, and through no proxy."""
    names = [name.lower() for name, _ in request.headers]
    return not any(map(_forwards, names)) and _loopback(request.remote_addr)


def _forwards(name: str) -> bool:
    return name.startswith("x-forwarded-") or name.endswith("-client-ip") or name in _FORWARDING


def _loopback(address: str | None) -> bool:
    try:
        return ip_address(address or "").is_loopback
    except ValueError:  # a socket file, for example
        return False


def _measure(db: Database) -> None:
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
