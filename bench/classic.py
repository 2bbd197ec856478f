"""What one would build first: Flask stores the order and queues one Celery task for each provider, on Redis.

Served by gunicorn (``bench.classic:app``) and by Celery's prefork pool (``celery -A bench.classic:celery worker``),
with ``DATABASE_URL`` (PostgreSQL), ``BROKER_URL`` (Redis) and ``PROVIDERS_URL``. Written as a careful developer would:
signed requests, repeats recognised, acknowledged after the work, retries by Celery, kept connections, an outcome for
each call.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from datetime import UTC, datetime
from typing import Any

import requests
from celery import Celery, Task
from flask import Flask, request
from flask.typing import ResponseReturnValue
from sqlalchemy import JSON, DateTime, ForeignKey, String, UniqueConstraint, create_engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from bench import payloads
from bench.load import SECRET

PROVIDERS_URL = os.environ.get("PROVIDERS_URL", "")
TIMEOUT = 15  #: seconds


class Base(DeclarativeBase):
    """The tables."""


class Merchant(Base):
    __tablename__ = "classic_merchants"

    id: Mapped[int] = mapped_column(primary_key=True)
    domain: Mapped[str] = mapped_column(String(200), unique=True)
    credentials: Mapped[dict[str, Any]] = mapped_column(JSON)


class Order(Base):
    __tablename__ = "classic_orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("classic_merchants.id"))
    webhook: Mapped[str] = mapped_column(String(200), unique=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    merchant: Mapped[Merchant] = relationship(lazy="joined", innerjoin=True)


class Sent(Base):
    __tablename__ = "classic_sent"
    __table_args__ = (UniqueConstraint("order_id", "provider"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("classic_orders.id"))
    provider: Mapped[str] = mapped_column(String(30))
    status: Mapped[int]
    answer: Mapped[str] = mapped_column(String(500))
    sent_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


engine = create_engine(os.environ.get("DATABASE_URL", "sqlite://"))
celery = Celery("classic", broker=os.environ.get("BROKER_URL", "memory://"))
celery.conf.update(task_acks_late=True, task_ignore_result=True, broker_connection_retry_on_startup=True)
http = requests.Session()  # of each process of the pool: prefork copies it before its first call


@celery.task(
    bind=True, autoretry_for=(requests.RequestException,), retry_backoff=True, retry_jitter=True, max_retries=10
)
def deliver(self: Task, order_id: int, provider: str) -> None:
    """Report one order to one provider."""
    with Session(engine) as session:
        order = session.get_one(Order, order_id)
        if session.scalar(select(Sent.id).where(Sent.order_id == order_id, Sent.provider == provider)):
            return  # told before: Celery gives a task out again if its worker died
        path, headers, payload = payloads.call(provider, order.body, order.merchant.credentials[provider])
        session.commit()  # no transaction stays open during the call
        answer = http.post(f"{PROVIDERS_URL}/{provider}{path}", json=payload, headers=headers, timeout=TIMEOUT)
        answer.raise_for_status()
        told = {"status": answer.status_code, "answer": answer.text[:500], "sent_at": datetime.now(UTC)}
        session.add(Sent(order_id=order_id, provider=provider, **told))
        session.commit()


app = Flask("classic")


@app.post("/webhooks/shopify")
def webhook() -> ResponseReturnValue:
    raw = request.get_data()
    proof = base64.b64encode(hmac.digest(SECRET.encode(), raw, hashlib.sha256)).decode()
    if not hmac.compare_digest(proof, request.headers.get("X-Shopify-Hmac-Sha256", "")):
        return {"status": "unproven"}, 401
    with Session(engine) as session:
        domain = request.headers["X-Shopify-Shop-Domain"]
        merchant = session.scalar(select(Merchant).where(Merchant.domain == domain))
        if merchant is None:
            return {"status": "ignored"}
        order = Order(
            merchant_id=merchant.id,
            webhook=request.headers["X-Shopify-Webhook-Id"],
            body=request.get_json(),
            received_at=datetime.now(UTC),
        )
        try:
            session.add(order)
            session.commit()
        except IntegrityError:
            return {"status": "duplicate"}
        for provider in payloads.PROVIDERS:
            deliver.delay(order.id, provider)
    return {"status": "stored"}


@app.get("/readyz")
def ready() -> ResponseReturnValue:
    return {"status": "ok"}
