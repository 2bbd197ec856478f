"""What the pages look orders and deliveries up by.

Revision: 0003
Follows: 0002
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("shop_id", ID, autoincrement=False, nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["shop_id"],
            ["shops.id"],
        ),
        sa.PrimaryKeyConstraint("shop_id", "day", "provider", "state"),
    )
    op.create_index("ix_deliveries_day", "deliveries", ["shop_id", "created_at", "provider", "state"], unique=False)
    op.create_index("ix_deliveries_state", "deliveries", ["shop_id", "state", "id"], unique=False)
    op.add_column("ledgers", sa.Column("sprii", sa.Text(), nullable=True))
    op.add_column("ledgers", sa.Column("person", sa.Text(), nullable=True))
    op.create_index("ix_ledgers_newest", "ledgers", ["shop_id", "kind", "updated_at", "id"], unique=False)
    op.create_index("ix_ledgers_person", "ledgers", ["shop_id", "person"], unique=False)
    op.create_index("ix_ledgers_sprii", "ledgers", ["shop_id", "sprii"], unique=False)
    op.add_column("mapping_versions", sa.Column("actor", sa.Text(), nullable=True))
    fill(op.get_bind())


LEDGERS = sa.table(
    "ledgers",
    *(sa.column(name) for name in ("id", "shop_id", "kind", "sprii", "person")),
    sa.column("state", sa.LargeBinary),
)


def fill(connection: sa.Connection) -> None:
    """Find in the orders that are here already what they are to be found by."""
    last = 0
    wanted = sa.select(LEDGERS.c.id, LEDGERS.c.shop_id, LEDGERS.c.state).where(LEDGERS.c.kind == "order")
    while rows := connection.execute(wanted.where(LEDGERS.c.id > last).order_by(LEDGERS.c.id).limit(500)).all():
        for row in rows:
            found = marks(row.shop_id, row.state)
            if found:
                connection.execute(sa.update(LEDGERS).where(LEDGERS.c.id == row.id).values(found))
        last = rows[-1].id


def marks(shop_id: int, state: bytes) -> dict[str, Any]:
    try:
        order = json.loads(zlib.decompress(state)).get("order") or {}
    except (ValueError, zlib.error):
        return {}
    found: dict[str, Any] = {}
    if order.get("email"):
        found["person"] = hashlib.sha256(f"{shop_id}:{order['email'].strip().casefold()}".encode()).hexdigest()
    if order.get("sprii"):
        found["sprii"] = order["sprii"].get("value")
    return found


def downgrade() -> None:
    op.drop_column("mapping_versions", "actor")
    op.drop_index("ix_ledgers_sprii", table_name="ledgers")
    op.drop_index("ix_ledgers_person", table_name="ledgers")
    op.drop_index("ix_ledgers_newest", table_name="ledgers")
    op.drop_column("ledgers", "person")
    op.drop_column("ledgers", "sprii")
    op.drop_index("ix_deliveries_state", table_name="deliveries")
    op.drop_index("ix_deliveries_day", table_name="deliveries")
    op.drop_table("tallies")
