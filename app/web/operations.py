"""For whoever hosts this: is it alive, can it work, how is it doing."""

from __future__ import annotations

import hmac
import math
from datetime import UTC, datetime
from ipaddress import ip_address

from flask import Blueprint, Response, abort, current_app, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app.config import Config
from app.db import Database
from app.metrics import BACKLOG, OLDEST, REGISTRY, UNREAD
from app.models import Delivery, DeliveryState, Destination, Mode, Shop, Webhook, WebhookState
from app.models.delivery import OPEN, among

bp = Blueprint("operations", __name__)

#: What proxies add to say whom they speak for; beside these, everything that starts with ``X-Forwarded-``.
_FORWARDING = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"})


@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    return {"status": "ok"}


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    db: Database = current_app.extensions["db"]
    broker_answers = current_app.extensions["broker_answers"]
    silent = []
    try:
        db.ready()
    except Exception:
        current_app.logger.exception("the database does not answer")
        silent.append("database")
    if broker_answers and not broker_answers():
        silent.append("broker")
    if silent:
        return {"status": "not ready", "not_answering": silent}, 503
    return {"status": "ok"}


@bp.get("/metrics")
def metrics() -> ResponseReturnValue:
    config: Config = current_app.extensions["config"]
    if not _allowed(config.metrics_token):
        abort(403)
    BACKLOG.clear()
    OLDEST.clear()
    UNREAD.set(math.nan)
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
    count = func.count()
    off = Destination.mode == Mode.OFF
    waiting = select(Delivery.provider, Delivery.state, off, count, func.min(Delivery.created_at))
    waiting = waiting.join(Destination, Destination.id == Delivery.destination_id)
    waiting = waiting.join(Shop, Shop.id == Delivery.shop_id).where(Shop.removed_at.is_(None))
    waiting = waiting.where(among(Delivery.state, OPEN)).group_by(Delivery.provider, Delivery.state, off)
    unread_since = select(func.min(Webhook.received_at)).where(among(Webhook.state, (WebhookState.PENDING,)))
    # Shop by shop: what is in doubt stays so for ever, and only the index that begins with the shop finds it.
    doubtful = select(Delivery.provider, count).join(Shop, Shop.id == Delivery.shop_id)
    doubtful = doubtful.where(Delivery.state == DeliveryState.UNKNOWN, Shop.removed_at.is_(None))
    with db.read() as session:
        unread = session.scalar(unread_since)
        UNREAD.set((datetime.now(UTC) - unread).total_seconds() if unread else 0)
        for provider, state, is_off, number, oldest in session.execute(waiting):
            # What waits for somebody to switch the destination on needs nobody else.
            BACKLOG.labels(provider, "off" if is_off else state).set(number)
            if state == DeliveryState.PENDING:
                OLDEST.labels(provider).set((datetime.now(UTC) - oldest).total_seconds())
        for provider, number in session.execute(doubtful.group_by(Delivery.provider)):
            BACKLOG.labels(provider, DeliveryState.UNKNOWN).set(number)
