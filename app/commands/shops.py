"""Stores, and the webhooks that were entered in them by hand."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import click

from app import console, factory
from app.commands import address
from app.commands.base import fail_after_printing, output, output_as, pairs, parts, reading, writing
from app.services import configure, retention, show, sign_in


@click.group()
def shops() -> None:
    """The stores that send us webhooks."""


@shops.group("add")
def shops_add() -> None:
    """Register a store by hand; contacts nobody."""


@shops_add.command("shopify")
@click.argument("domain")
@click.option("--shop-id", help="The shop's numeric id; binds webhook bodies to this shop.")
@output
def shops_add_shopify(domain: str, shop_id: str | None) -> Any:
    """Register DOMAIN, like my-shop.myshopify.com."""
    with writing() as (_, session):
        return {"shop": configure.add_shop(session, "shopify", domain, external_id=shop_id).id}


@shops_add.command("woocommerce")
@click.argument("url")
@output
def shops_add_woocommerce(url: str) -> Any:
    """Register the store at URL."""
    with writing() as (_, session):
        return {"shop": configure.add_shop(session, "woocommerce", url).id}


@shops.command("list")
@output
def shops_list() -> Any:
    """All stores."""
    with reading() as (_, session):
        return {"shops": show.shops(session)}


@shops.command("show")
@click.argument("shop")
@output
def shops_show(shop: str) -> Any:
    """One store with its webhooks and destinations."""
    with reading() as (opened, session):
        row = configure.find_shop(session, shop)
        return {
            **show.shop(session, row),
            "names": row.settings.get("names", {}),
            "days_kept": retention.days(row),
            "webhooks": show.endpoints(session, row),
            "destinations": configure.destinations(session, opened.vault, row),
        }


@shops.command("check")
@click.argument("shop")
@output_as(console.checkup)
def shops_check(shop: str) -> Any:
    """Look at a connection and repair it.

    Asks the store about rights and webhooks, and mends what can be mended from here. Exit status 1 where it does not
    work all the same; `trouble`, `problem` and `why` say what to do.
    """
    with parts() as opened, closing(factory.create_shopify(opened.config)) as shopify:
        with opened.db.read() as session:
            shop_id = configure.find_shop(session, shop).id
        address.demand_public(opened.config)
        found = factory.create_connections(opened, shopify).examine(shop_id, "operator", datetime.now(UTC))
    if not found["works"]:
        fail_after_printing()
    return found


@shops.command("set")
@click.argument("shop")
@click.argument("names", nargs=-1, required=True, metavar="LIST=NAME,NAME...")
@output
def shops_set(shop: str, names: tuple[str, ...]) -> Any:
    """Change which attribute names are looked for.

    For example: tillwire shops set SHOP sprii=orderNo,live_no
    """
    given = {key: [each.strip() for each in value.split(",") if each.strip()] for key, value in pairs(names).items()}
    with writing() as (_, session):
        row = configure.find_shop(session, shop)
        configure.set_names(session, row, given)
        return {"shop": row.id, "names": row.settings["names"]}


@shops.command("keep")
@click.argument("shop")
@click.argument("days", metavar="DAYS")
@output
def shops_keep(shop: str, days: str) -> Any:
    """Choose for how many days messages are kept.

    After that the bodies of webhooks, payloads and answers are removed; what they led to stays.
    """
    with writing() as (_, session):
        row = configure.find_shop(session, shop)
        retention.save(session, row.id, days, str(retention.days(row)), "operator", datetime.now(UTC))
        return {"shop": row.id, "days": retention.days(row)}


@shops.command("remove")
@click.argument("shop")
@output
def shops_remove(shop: str) -> Any:
    """Stop everything for a store.

    Its data stays until it is erased.
    """
    with writing() as (_, session):
        row = configure.find_shop(session, shop)
        configure.remove_shop(session, row)
        return {"shop": row.id, "removed": True}


@shops.command("open")
@click.argument("shop")
@output
def shops_open(shop: str) -> Any:
    """Print a link to a store's pages.

    It works once, for five minutes, and opens them for an hour. The audit trail tells of both.
    """
    with writing() as (opened, session):
        row = configure.find_shop(session, shop)
        token = sign_in.open_shop(session, row, datetime.now(UTC))
        return {"shop": row.id, "url": f"{address.own(opened.config)}/sign-in/link#{token}"}


@click.group()
def webhooks() -> None:
    """Webhooks entered by hand."""


@webhooks.command("add")
@click.argument("shop")
@click.argument("topic")
@click.option("--secret", help="The store's own secret; without it we make one.")
@output
def webhooks_add(shop: str, topic: str, secret: str | None) -> Any:
    """Make a place for one WooCommerce webhook.

    Prints the path and the secret to enter in the store. TOPIC is the store's name for it, like order.updated.
    """
    with writing() as (opened, session):
        row = configure.find_shop(session, shop)
        path, made = configure.add_endpoint(session, opened.vault, row, topic, secret)
        return {"url": path, "secret": made}
