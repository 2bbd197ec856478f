"""The operator's own page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from app.commands import address
from app.commands.base import output, writing
from app.services import sign_in


@click.group()
def operator() -> None:
    """Whoever runs this Tillwire."""


@operator.command("open")
@output
def operator_open() -> Any:
    """Print a link to the page of all stores.

    It works once, for five minutes, and opens the page for an hour. The audit trail tells of both.
    """
    with writing() as (opened, session):
        token = sign_in.open_all(session, datetime.now(UTC))
        return {"url": f"{address.own(opened.config)}/sign-in/link#{token}"}
