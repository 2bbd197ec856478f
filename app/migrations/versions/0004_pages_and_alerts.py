"""What the merchant's pages keep.

Revision: 0004
Follows: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Filled by the changes that follow."""
    _alerts()
    _retention()
    _troubles()
    _deliveries_by_state("shop_id", "state", "id", "provider")
    op.add_column("connections", sa.Column("reconcile_trouble", sa.Text(), nullable=True))
    op.add_column("connect_attempts", sa.Column("prove_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("shops", sa.Column("restored_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Takes away what `upgrade` adds."""
    for name in ("hourly_answers", "prunings", "alerts", "alert_addresses", "alert_links"):
        op.drop_table(name)
    _deliveries_by_state("shop_id", "state", "id")
    op.drop_column("connections", "trouble_code")
    op.drop_column("connections", "reconcile_trouble")
    op.drop_column("connect_attempts", "prove_at")
    op.drop_column("shops", "restored_at")


def _deliveries_by_state(*columns: str) -> None:
    """With their providers, they are counted without reading a single row of the table."""
    op.drop_index("ix_deliveries_state", "deliveries")
    op.create_index("ix_deliveries_state", "deliveries", columns)


def _troubles() -> None:
    """Which trouble a Shopify connection has was told by its sentence until now."""
    op.add_column("connections", sa.Column("trouble_code", sa.Text(), nullable=True))
    connections = sa.table("connections", *(sa.column(name, sa.Text()) for name in ("trouble", "trouble_code")))
    for code, begins in (
        ("reopen", "Shopify has ended the access to the store."),
        ("wrong_client", "Shopify does not take the app's client secret,"),
        ("forbidden", "Shopify refuses this server's calls (403)."),
        ("removed", "The app was removed from the store,"),
        ("rights", "The store has not granted the rights "),
        ("not_approved", "Shopify shows this app no orders:"),
    ):
        told = connections.c.trouble.startswith(begins, autoescape=True)
        op.execute(connections.update().where(told).values(trouble_code=code))


def _alerts() -> None:
    op.create_table(
        "alert_links",
        sa.Column("id", ID, nullable=False),
        sa.Column("shop_id", ID, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_index("ix_alert_links_shop_id", "alert_links", ["shop_id"])
    op.create_index("ix_alert_links_expires_at", "alert_links", ["expires_at"])
    op.create_table(
        "alert_addresses",
        sa.Column("shop_id", ID, autoincrement=False, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"]),
        sa.PrimaryKeyConstraint("shop_id"),
    )
    op.create_index("ix_alert_addresses_due_at", "alert_addresses", ["due_at"])
    op.create_table(
        "alerts",
        sa.Column("id", ID, nullable=False),
        sa.Column("shop_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("over_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("over_told_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_alerts_shop_id", "alerts", ["shop_id"])
    ongoing = sa.text("over_at IS NULL")
    op.create_index(
        "ix_alerts_ongoing",
        "alerts",
        ["shop_id", "kind", "about"],
        unique=True,
        sqlite_where=ongoing,
        postgresql_where=ongoing,
    )


def _retention() -> None:
    op.create_table(
        "prunings",
        sa.Column("shop_id", ID, autoincrement=False, nullable=False),
        sa.Column("webhook_id", ID, nullable=False),
        sa.Column("delivery_id", ID, nullable=False),
        sa.Column("round_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"]),
        sa.PrimaryKeyConstraint("shop_id"),
    )
    op.create_index("ix_prunings_due_at", "prunings", ["due_at"])
    op.create_table(
        "hourly_answers",
        sa.Column("shop_id", ID, autoincrement=False, nullable=False),
        sa.Column("hour", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"]),
        sa.PrimaryKeyConstraint("shop_id", "hour", "topic", "result"),
    )
