"""A merchant's database with as many stored events as wanted: several shops, one of them large.

A few orders go the real way (webhooks, ledger, events, payloads in shadow mode). Their rows are then copied over and
over, each copy an order of its own with its own ids, numbers and time, written in bulk.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Index, Table, create_engine, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from app import factory
from app.db import Base, Database
from app.demo import CREDENTIALS
from app.factory import Parts
from app.models import (
    Attempt,
    Connection,
    ConnectionState,
    Delivery,
    DeliveryState,
    Destination,
    Event,
    Ledger,
    Mode,
    Shop,
    Webhook,
    WebhookState,
)
from app.models.delivery import OPEN
from app.providers.registry import PROVIDERS
from app.services import configure, tally
from app.services.finding import person
from app.services.packing import compress
from bench import bulk, machine, orders

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "var" / "bench"
POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
SHOPS = 10
LARGE = 0.7  #: the share of all orders that the first shop has
PATTERNS = 8
DAYS = 90  #: over which the orders are spread, the newest a moment ago
EMAIL = "buyer{}@shop.example"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)  #: when the orders that are copied were placed
FIRST_NUMBER = 1001
LATER = timedelta(minutes=4)  #: deliveries, after their order
TABLES = tuple(cast(Table, model.__table__) for model in (Webhook, Ledger, Event, Delivery, Attempt))
DEAD = "Gameball answered 422: the e-mail address is not one."
#: How deliveries ended, of a thousand each; the rest is delivered.
ENDS = {
    DeliveryState.SKIPPED: (60, "no_identity"),
    DeliveryState.DEAD: (10, DEAD),
    DeliveryState.UNKNOWN: (3, "The answer was lost, and nobody can be asked."),
    DeliveryState.HELD: (3, "Gameball refused the credentials (401)."),
    DeliveryState.RETRYING: (2, "no answer within 15 s"),
}
Row = dict[str, Any]


def kept(events: int, *, postgres: bool = False) -> str | None:
    """The address of such a database, built where there is none of this schema yet; None where no PostgreSQL answers.

    On SQLite a million events take 7 GB below ``var/bench/`` and three minutes; what is not wanted may be deleted.
    """
    name = f"tillwire_bench_{schema()}_{events}"
    if postgres:
        return _kept_on_postgres(name, events)
    path = FOLDER / f"{name}.db"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        begun = path.with_suffix(".begun")
        for each in FOLDER.glob(f"{begun.name}*"):
            each.unlink()
        build(f"sqlite:///{begun}", events)
        begun.rename(path)
    return f"sqlite:///{path}"


def _kept_on_postgres(name: str, events: int) -> str | None:
    admin = create_engine(POSTGRES, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
    url = make_url(POSTGRES).set(database=f"{name}_begun")
    try:
        with admin.connect() as connection:
            found = connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name})
            if not found:
                connection.execute(text(f"DROP DATABASE IF EXISTS {name}_begun WITH (FORCE)"))
                connection.execute(text(f"CREATE DATABASE {name}_begun"))
                build(url.render_as_string(hide_password=False), events)
                connection.execute(text(f"ALTER DATABASE {name}_begun RENAME TO {name}"))
    except OperationalError:
        return None
    finally:
        admin.dispose()
    return url.set(database=name).render_as_string(hide_password=False)


def schema() -> str:
    """What stands for the tables as the models have them: another schema is another database."""
    made = [str(CreateTable(table)) for table in Base.metadata.sorted_tables]
    made += [str(CreateIndex(index)) for table in Base.metadata.sorted_tables for index in _named(table)]
    return hashlib.sha256("".join(made).encode()).hexdigest()[:10]


def _named(table: Table) -> list[Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


def build(url: str, events: int) -> None:
    """Fill the empty database at ``url``."""
    began = time.perf_counter()
    models = patterns()
    per_order = sum(len(each[Event.__tablename__]) for each in models) / len(models)
    with machine.opened({**machine.environment(Path()), "DATABASE_URL": url}) as parts:
        owners = shops(parts)
        copies = _Copier(models, owners).orders(int(events / per_order))
        for batch in iter(lambda: list(itertools.islice(copies, 2000)), []):
            rows = {table: [row for order in batch for row in order[table.name]] for table in TABLES}
            bulk.write(parts.db, rows)
        bulk.finish(parts.db, TABLES)
        tally.fill(parts.db, datetime.now(UTC))
    print(f"  built {events:,} events in {time.perf_counter() - began:.0f} s")


# --- what is copied ---------------------------------------------------------------------------------------------------


def patterns() -> list[dict[str, list[Row]]]:
    """A few orders with everything that came of them, by table."""
    with (
        tempfile.TemporaryDirectory(prefix="tillwire-bench-") as folder,
        machine.opened(machine.environment(Path(folder))) as parts,
    ):
        shop = _shop(parts, "pattern", Mode.SHADOW)
        for number in range(1, PATTERNS + 1):
            _receive(parts, shop, number)
        worker = factory.create_worker(parts)
        worker.start()
        while _unfinished(parts.db):
            time.sleep(0.1)
        worker.stop()
        return [_pattern(parts.db, str(number)) for number in range(1, PATTERNS + 1)]


def _shop(parts: Parts, name: str, mode: str) -> int:
    with parts.db.write() as session:
        shop = configure.add_shop(session, "shopify", f"{name}.myshopify.com")
        for provider, values in CREDENTIALS.items():
            configure.set_destination(session, parts.vault, parts.router, shop, PROVIDERS[provider], values, mode=mode)
        return shop.id


def _receive(parts: Parts, shop: int, number: int) -> None:
    """An order that is placed, paid, changed without meaning, and sent out."""
    steps: list[tuple[str, Row]] = [
        ("orders/create", {"financial_status": "pending", "fulfillment_status": None}),
        ("orders/paid", {"financial_status": "paid", "fulfillment_status": None}),
        ("orders/updated", {"financial_status": "paid", "fulfillment_status": None, "landing_site": "/"}),
        ("orders/fulfilled", {"financial_status": "paid", "fulfillment_status": "fulfilled"}),
    ]
    with parts.db.write() as session:
        for minute, (topic, changes) in enumerate(steps):
            at = BEGAN + timedelta(minutes=minute)
            times = {"created_at": BEGAN.isoformat(), "processed_at": BEGAN.isoformat(), "updated_at": at.isoformat()}
            raw = orders.shopify(number, **times, **changes)
            session.add(
                Webhook(
                    platform="shopify",
                    shop_id=shop,
                    dedup_key=f"pattern:{number}:{minute}",
                    topic=topic,
                    headers={"x-shopify-topic": topic, "x-shopify-shop-domain": "pattern.myshopify.com"},
                    body=compress(raw),
                    body_hash=hashlib.sha256(raw).hexdigest(),
                    received_at=at,
                    state=WebhookState.PENDING,
                )
            )


def _unfinished(db: Database) -> bool:
    waiting = select(Webhook.id).where(Webhook.state == WebhookState.PENDING).limit(1)
    open_ = select(Delivery.id).where(Delivery.state.in_(OPEN)).limit(1)
    with db.read() as session:
        return session.scalar(waiting) is not None or session.scalar(open_) is not None


def _pattern(db: Database, number: str) -> dict[str, list[Row]]:
    of_it = {
        Webhook: Webhook.dedup_key.startswith(f"pattern:{number}:"),
        Ledger: Ledger.key == number,
        Event: Event.subject == number,
        Delivery: Delivery.subject == number,
        Attempt: Attempt.delivery_id.in_(select(Delivery.id).where(Delivery.subject == number)),
    }
    with db.engine.connect() as connection:
        return {
            model.__tablename__: [
                dict(row) for row in connection.execute(select(model.__table__).where(which)).mappings()
            ]
            for model, which in of_it.items()
        }


# --- copies -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Owner:
    id: int
    destinations: dict[str, int]  #: by provider


def shops(parts: Parts) -> list[Owner]:
    ids = [_shop(parts, f"shop-{number}", Mode.LIVE) for number in range(1, SHOPS + 1)]
    with parts.db.write() as session:
        for shop in ids:
            row = session.get_one(Shop, shop)
            row.settings = {"facts": {"timezone": "Europe/Copenhagen", "currency": "DKK"}}
            row.created_at = datetime.now(UTC) - timedelta(days=DAYS + 10)
            session.add(Connection(shop_id=shop, state=ConnectionState.CONNECTED, installed_at=row.created_at))
        found = session.execute(select(Destination.shop_id, Destination.provider, Destination.id)).all()
    return [Owner(shop, {name: id_ for owner, name, id_ in found if owner == shop}) for shop in ids]


class _Copier:
    """Makes orders of patterns, each with ids that follow the last one's."""

    def __init__(self, patterns: list[dict[str, list[Row]]], shops: list[Owner]) -> None:
        self._patterns, self._shops = patterns, shops
        self._dice = random.Random(4)
        self._ids = {table.name: itertools.count(1) for table in TABLES}

    def orders(self, number: int) -> Iterator[dict[str, list[Row]]]:
        """In the order of their times."""
        first = datetime.now(UTC) - timedelta(days=DAYS)
        for each in range(number):
            large = self._dice.random() < LARGE
            shop = self._shops[0] if large else self._dice.choice(self._shops[1:])
            at = first + timedelta(days=DAYS) * (each / number)
            yield self._copy(self._patterns[each % len(self._patterns)], shop, str(FIRST_NUMBER + each), at)

    def _copy(self, pattern: dict[str, list[Row]], shop: Owner, number: str, at: datetime) -> dict[str, list[Row]]:
        new = {name: {row["id"]: next(self._ids[name]) for row in rows} for name, rows in pattern.items()}
        moved = {
            name: [_moved(row, at - BEGAN) | {"id": new[name][row["id"]]} for row in rows]
            for name, rows in pattern.items()
        }
        for name in ("webhooks", "ledgers", "events", "deliveries"):
            for row in moved[name]:
                row["shop_id"] = shop.id
        for row in moved["webhooks"]:
            row["dedup_key"] = f"stock:{row['id']}"
        who = {"key": number, "number": number, "sprii": f"{number}-1"}
        for row in moved["ledgers"]:
            row |= {**who, "person": person(shop.id, EMAIL.format(number))}
        for row in moved["events"]:
            row |= {"webhook_id": new["webhooks"][row["webhook_id"]], "subject": number}
            row["dedup_key"] = f"stock:{row['id']}"
        for row in moved["deliveries"]:
            row.update(self._end(shop.destinations[row["provider"]], row, number, at + LATER))
            row["event_id"] = new["events"][row["event_id"]]
        states = {row["id"]: row["state"] for row in moved["deliveries"]}
        for row in moved["attempts"]:
            row["delivery_id"] = new["deliveries"][row["delivery_id"]]
            row.update(_outcome(states[row["delivery_id"]], at + LATER))
        return moved

    def _end(self, destination: int, row: Row, number: str, at: datetime) -> Row:
        """What a delivery came to."""
        chance, state, reason = self._dice.randrange(1000), DeliveryState.DELIVERED, None
        for end, (share, why) in ENDS.items():
            if 0 <= chance < share:
                state, reason = end, why
            chance -= share
        return {
            **{"destination_id": destination, "subject": number, "lane": number if row["lane"] else None},
            "once_key": f"{destination}:{row['action']}:{number}" if row["once_key"] else None,
            **{"state": state, "reason": reason, "due_at": at, "since": at, "created_at": at},
            "delivered_at": at if state == DeliveryState.DELIVERED else None,
        }


def _moved(row: Row, by: timedelta) -> Row:
    return {name: value + by if isinstance(value, datetime) else value for name, value in row.items()}


def _outcome(state: str, at: datetime) -> Row:
    good = state == DeliveryState.DELIVERED
    told = {"outcome": "accepted", "status": 200} if good else {"outcome": "refused", "status": 422}
    return {**told, "answer": '{"success":true}', "started_at": at, "finished_at": at}
