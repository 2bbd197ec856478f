"""Runs the migrations on the connection that `app.db.Database.migrate` hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

import app.models  # noqa: F401 - registers the tables
from app.db import Base


def run() -> None:
    connection = context.config.attributes["connection"]
    if connection.dialect.name == "sqlite":
        connection.execute(text("BEGIN IMMEDIATE"))
    else:
        connection.execute(text("SELECT pg_advisory_lock(7460283)"))  # two processes that start at once take turns
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    context.run_migrations()
    connection.commit()
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT pg_advisory_unlock(7460283)"))
        connection.commit()


run()
