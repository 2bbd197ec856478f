"""Orders, the events that were understood of them, and their deliveries."""

from __future__ import annotations

from typing import Any

import click

from app import console
from app.commands.base import (
    ID,
    PROVIDER,
    Time,
    fail_after_printing,
    output,
    output_as,
    reading,
    states,
    writing,
)
from app.models import DeliveryState, EventState
from app.services import account, configure, replay, show


@click.group()
def orders() -> None:
    """What became of an order."""


@orders.command("show")
@click.argument("shop")
@click.argument("order")
@output_as(console.timeline)
def orders_show(shop: str, order: str) -> Any:
    """An order's timeline.

    ORDER is the platform's id or the number on the receipt.
    """
    with reading() as (_, session):
        return show.order(session, configure.find_shop(session, shop), order)


@click.group()
def events() -> None:
    """What was understood of the webhooks."""


@events.command("list")
@click.option("--shop", help="Its number or domain.")
@click.option("--order", help="The platform's id, or the number on the receipt.")
@click.option("--state", type=states(EventState), help="Only those in this state.")
@click.option("--limit", type=ID, help="Only the newest N.")
@output
def events_list(shop: str | None, order: str | None, state: str | None, limit: int | None) -> Any:
    """Events, oldest first."""
    with reading() as (_, session):
        shop_id = configure.find_shop(session, shop).id if shop else None
        return {"events": show.events(session, shop_id=shop_id, order=order, state=state, limit=limit)}


@events.command("retry")
@click.argument("shop")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
@output
def events_retry(shop: str, ids: tuple[int, ...]) -> Any:
    """Read the webhooks behind events in error once more.

    For after an update that reads them better. Without IDs: all of the shop's.
    """
    with writing() as (_, session):
        return {"retried": account.read_again(session, configure.find_shop(session, shop).id, ids)}


@click.group()
def deliveries() -> None:
    """What was sent, and what came of it."""


@deliveries.command("list")
@click.option("--shop", help="Its number or domain.")
@click.option("--provider", type=PROVIDER, help="Only to this one.")
@click.option("--order", help="The platform's id, or the number on the receipt.")
@click.option("--state", type=states(DeliveryState), help="Only those in this state.")
@click.option("--since", type=Time(), help="Those that came to be at or after this time.")
@click.option("--limit", type=ID, help="Only the newest N.")
@output
def deliveries_list(shop: str | None, limit: int | None, **wanted: Any) -> Any:
    """Deliveries, oldest first.

    Their payloads are in --json.
    """
    with reading() as (_, session):
        shop_id = configure.find_shop(session, shop).id if shop else None
        return {"deliveries": show.deliveries(session, shop_id=shop_id, limit=limit, **wanted)}


@deliveries.command("replay")
@click.argument("ids", nargs=-1, type=ID, metavar="[ID]...")
@click.option("--shop", help="Its number or domain.")
@click.option("--provider", type=PROVIDER, help="Only to this one.")
@click.option("--state", type=states(replay.FINISHED), help="Only those in this state.")
@click.option("--since", type=Time(), help="Those that came to be at or after this time.")
@click.option("--until", type=Time(), help="Those that came to be before this time.")
@click.option("--dry-run", is_flag=True, help="Count only.")
@click.option("--force", is_flag=True, help="Also what is refused, or superseded (where that can be).")
@output
def deliveries_replay(ids: tuple[int, ...], shop: str | None, dry_run: bool, force: bool, **wanted: Any) -> Any:
    """Send finished deliveries again.

    Those with the given IDs, or those of a shop that the options choose; --dry-run only counts them. What the provider
    would count a second time is named under `refused`, what it took a later state of under `superseded`; neither is
    sent without --force, and an older state not even so where the provider knows the newest one only. Where nothing
    else is left, the exit status is 1.
    """
    with writing() as (_, session):
        shop_id = configure.find_shop(session, shop).id if shop else None
        chosen = replay.choose(session, ids=ids, shop_id=shop_id, lock=not dry_run, **wanted)
        done = replay.replay(session, chosen, force=force, dry_run=dry_run)
    if (done["refused"] or done["superseded"]) and not done["replayed"] and not dry_run:
        fail_after_printing()
    return done
