"""Runs the migrations on the connection that `app.db.Database.migrate` hands over."""

from __future__ import annotations

import time

from alembic import context
from sqlalchemy import Connection, text

import app.models  # noqa: F401 - registers the tables
from app.db import Base

WAIT = 0.2  #: seconds


def _wait_for_turn(connection: Connection) -> None:
    """Two processes that start at once take turns.

    Whoever waits holds no transaction: an index that is built while others write waits for all transactions to end.
    """
    while not connection.scalar(text("SELECT pg_try_advisory_lock(7460283)")):
        connection.commit()
        time.sleep(WAIT)


def run() -> None:
    connection = context.config.attributes["connection"]
    if connection.dialect.name == "sqlite":
        connection.execute(text("BEGIN IMMEDIATE"))
    else:
        _wait_for_turn(connection)
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    context.run_migrations()
    connection.commit()
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT pg_advisory_unlock(7460283)"))
        connection.commit()


run()
