"""What stays quick however much is stored.

Revision: 0006
Follows: 0005
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: Until a vacuum, indexes of what waits are full of what waited before, and every claim reads past that. Cleaned after
#: so many changes, not after a fifth of the table, and each time, though they are a small part of it.
SETTINGS = {
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_threshold": "20000",
    "autovacuum_analyze_scale_factor": "0",
    "autovacuum_analyze_threshold": "50000",
    "vacuum_index_cleanup": "on",
}
TABLES = ("webhooks", "deliveries")


def upgrade() -> None:
    todo = sa.text("state = 'todo'")
    if op.get_bind().dialect.name == "sqlite":
        op.create_index("ix_webhooks_todo", "webhooks", ["id"], sqlite_where=todo)
        return
    given = ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} SET ({given})")
    _while_others_write("CREATE INDEX CONCURRENTLY ix_webhooks_todo ON webhooks (id) WHERE state = 'todo'")


def _while_others_write(statement: str) -> None:
    """Webhooks go on being stored meanwhile. What an attempt that died left behind is no index, and is begun anew."""
    connection = op.get_bind()
    connection.commit()
    raw: Any = connection.connection.driver_connection
    raw.autocommit = True
    try:
        raw.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_webhooks_todo")
        raw.execute(statement)
    finally:
        raw.autocommit = False


def downgrade() -> None:
    op.drop_index("ix_webhooks_todo", table_name="webhooks")
    if op.get_bind().dialect.name != "sqlite":
        for table in TABLES:
            op.execute(f"ALTER TABLE {table} RESET ({', '.join(SETTINGS)})")
