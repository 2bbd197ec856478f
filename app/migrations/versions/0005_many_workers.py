"""What many workers at one database have to share.

Revision: 0005
Follows: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LEASED = sa.text("leased_until IS NOT NULL")
PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    op.create_table(
        "gates",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("destination_id", ID, nullable=True),
        sa.Column("calls", sa.JSON(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["destination_id"], ["destinations.id"]),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_gates_destination", "gates", ["destination_id"], unique=False)
    op.add_column("deliveries", sa.Column("call_id", ID, nullable=True))
    op.add_column("deliveries", sa.Column("provider_lane", ID, nullable=True))
    op.add_column("deliveries", sa.Column("singly", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name, columns, unique in (
        ("ix_deliveries_leased", ["destination_id"], False),
        ("ix_deliveries_provider_lane", ["destination_id", "provider_lane"], True),
    ):
        op.create_index(name, "deliveries", columns, unique=unique, sqlite_where=LEASED, postgresql_where=LEASED)
    replace_pending(["shop_id", "id"])


def replace_pending(columns: list[str]) -> None:
    op.drop_index("ix_webhooks_pending", table_name="webhooks")
    op.create_index(
        "ix_webhooks_pending", "webhooks", columns, unique=False, sqlite_where=PENDING, postgresql_where=PENDING
    )


def downgrade() -> None:
    replace_pending(["id"])
    op.drop_index("ix_deliveries_provider_lane", table_name="deliveries")
    op.drop_index("ix_deliveries_leased", table_name="deliveries")
    op.drop_column("deliveries", "singly")
    op.drop_column("deliveries", "provider_lane")
    op.drop_column("deliveries", "call_id")
    op.drop_table("gates")
