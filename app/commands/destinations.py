"""Destinations: their settings, and whether a provider takes them."""

from __future__ import annotations

from typing import Any

import click

from app import factory
from app.commands.base import PROVIDER, output, pairs, parts, reading, writing
from app.models import Mode
from app.services import configure
from app.services.errors import NotFound
from app.services.holds import release


@click.group()
def destinations() -> None:
    """Where a shop's events go."""


@destinations.command("set")
@click.argument("shop")
@click.argument("provider", type=PROVIDER, metavar="PROVIDER")
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@click.option(
    "--mode",
    type=click.Choice([each.value for each in Mode]),
    help="shadow builds and checks payloads without sending; without --mode it stays as it is.",
)
@click.option("--last-days", type=click.IntRange(0, 365), default=0, help="Also send what came in so many past days.")
@output
def destinations_set(shop: str, provider: str, values: tuple[str, ...], mode: str | None, last_days: int) -> Any:
    """Save credentials, options and mode.

    Contacts nobody. What was held goes on. An empty value takes a setting back to its default.
    """
    with writing() as (opened, session):
        row = configure.find_shop(session, shop)
        declared = configure.find_provider(provider)
        saved = configure.set_destination(
            session, opened.vault, opened.router, row, declared, pairs(values), mode=mode, last_days=last_days
        )
        return configure.describe(session, opened.vault, saved)


@destinations.command("list")
@click.argument("shop")
@output
def destinations_list(shop: str) -> Any:
    """Modes, what is held and why, counts.

    Secrets are shown as set or not set.
    """
    with reading() as (opened, session):
        row = configure.find_shop(session, shop)
        return {"destinations": configure.destinations(session, opened.vault, row)}


@destinations.command("test")
@click.argument("shop")
@click.argument("provider", type=PROVIDER, metavar="PROVIDER")
@output
def destinations_test(shop: str, provider: str) -> Any:
    """Ask the provider about the credentials.

    Says accepted, refused or unknown, by a call that changes nothing. After accepted, what was held goes on.
    """
    declared = configure.find_provider(provider)
    with parts() as opened:
        with opened.db.read() as session:
            target = opened.router.find(session, configure.find_shop(session, shop), declared)
        if target is None:
            raise NotFound(f"{declared.title} is not set up for this shop: `tillwire destinations set` does that")
        result, note = configure.ask_provider(
            target.settings,
            declared,
            base_url=factory.base_url(opened.config, target),
            allow_private=opened.config.allow_private_networks,
        )
        released = 0
        if result == "accepted":
            with opened.db.write() as session:
                released = release(session, target.id)
    return {"provider": provider, "result": result, "note": note, "released": released}
