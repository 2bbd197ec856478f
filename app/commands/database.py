"""What stands in the database as a whole."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import text

from app.commands.base import output, parts, reading
from app.services import restored as restoring


@click.command()
@output
def migrate() -> Any:
    """Bring the schema up to date, and do nothing else.

    Every other command does so too before it begins; this is for whoever starts web and worker apart.
    """
    with reading() as (_, session):
        return {"revision": session.scalar(text("SELECT version_num FROM alembic_version"))}


@click.command()
@output
def restored() -> Any:
    """Say that a backup was put back.

    After putting it back and before starting anything on it. What may have been sent since the backup is then asked
    for, or left to a person as `unknown`, where sending it again could count twice.
    """
    with parts() as opened:
        return restoring.restored(opened.db)
