"""The audit trail stands and falls with what it tells of."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from app.db import Database
from app.models import AuditEntry
from app.services import audit, configure


def entries(db: Database) -> list[tuple[int | None, str, str, object, object]]:
    with db.read() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(row.shop_id, row.actor, row.action, row.before, row.after) for row in rows]


def test_an_entry_says_who_did_what_to_which_shop_and_when(database: Database) -> None:
    with database.write() as session:
        shop = configure.add_shop(session, "woocommerce", "https://store.example").id
        before, after = {"key": "not set"}, {"key": "set"}
        audit.record(session, shop_id=shop, actor="account:7", action="connect store", before=before, after=after)
        audit.record(session, shop_id=None, actor="operator", action="rotate keys")
    assert entries(database) == [
        (shop, "account:7", "connect store", {"key": "not set"}, {"key": "set"}),
        (None, "operator", "rotate keys", None, None),
    ]
    with database.read() as session:
        age = datetime.now(UTC) - session.scalars(select(AuditEntry.at)).first()
    assert 0 <= age.total_seconds() < 60


def test_what_was_not_done_leaves_no_entry(database: Database) -> None:
    def half() -> None:
        with database.write() as session:
            audit.record(session, shop_id=None, actor="operator", action="rotate keys")
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert entries(database) == []
