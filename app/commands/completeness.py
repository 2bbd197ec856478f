"""Whether everything that the stores have arrived."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Any

import click

from app import console, factory
from app.commands.base import Time, fail_after_printing, output_as, parts
from app.services import configure


@click.command()
@click.argument("shop")
@click.option("--since", type=Time(), help="Orders changed at or after this time; without it, since the last time.")
@output_as(console.reconciliation)
def reconcile(shop: str, since: datetime | None) -> Any:
    """Ask the store for its orders and fill gaps.

    What is missing here takes the way of every webhook. Exit status 1 where something stays unexplained.
    """
    with parts() as opened, closing(factory.create_shopify(opened.config)) as shopify:
        with opened.db.read() as session:
            shop_id = configure.find_shop(session, shop).id
        found = factory.create_reconciler(opened, shopify).run(shop_id, since)
    if found["unexplained"]:
        fail_after_printing()
    return found
