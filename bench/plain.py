"""What one would write first: a Flask view with SQLAlchemy that verifies, inserts and commits, each request by itself.

Served by gunicorn: ``gunicorn bench.plain:app``, with ``DATABASE_URL``. It promises what Tillwire's own route promises
(on disk before the 200, a repeat is recognised), so that the ratio of the two is one of speed alone. SQLite as it comes
keeps that promise; with ``PLAIN_SQLITE=wal`` it is told to keep it as Tillwire does, which is faster.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from datetime import UTC, datetime
from typing import Any

from flask import Flask, request
from flask.typing import ResponseReturnValue
from sqlalchemy import JSON, DateTime, LargeBinary, String, create_engine, event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench.load import SECRET

URL = os.environ["DATABASE_URL"]


class Base(DeclarativeBase):
    """The one table."""


class Webhook(Base):
    __tablename__ = "plain_webhooks"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(200), unique=True)
    topic: Mapped[str] = mapped_column(String(100))
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


engine = create_engine(URL, connect_args={"timeout": 30} if URL.startswith("sqlite") else {})
if URL.startswith("sqlite") and os.environ.get("PLAIN_SQLITE") == "wal":

    @event.listens_for(engine, "connect")
    def _durable(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}").close()


app = Flask("plain")


@app.post("/webhooks/shopify")
def webhook() -> ResponseReturnValue:
    body = request.get_data()
    proof = base64.b64encode(hmac.digest(SECRET.encode(), body, hashlib.sha256)).decode()
    if not hmac.compare_digest(proof, request.headers.get("X-Shopify-Hmac-Sha256", "")):
        return {"status": "unproven"}, 401
    row = Webhook(
        key=request.headers["X-Shopify-Webhook-Id"],
        topic=request.headers["X-Shopify-Topic"],
        headers=dict(request.headers),
        body=body,
        received_at=datetime.now(UTC),
    )
    with Session(engine) as session:
        try:
            session.add(row)
            session.commit()
        except IntegrityError:
            return {"status": "duplicate"}
    return {"status": "stored"}


@app.get("/readyz")
def ready() -> ResponseReturnValue:
    return {"status": "ok"}
