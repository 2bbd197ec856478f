"""Made-up providers and shops."""

from __future__ import annotations

from contextlib import suppress

import click

from app.commands.base import answer, json_option, pairs
from app.services.errors import Failed, Wrong


@click.group()
def simulate() -> None:
    """Made-up providers and shops, for trying out."""


@simulate.command("providers")
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="0 takes a free one.")
@click.option("--limit-factor", type=float, default=1.0, show_default=True, help="Multiplies the providers' limits.")
@json_option
def simulate_providers(port: int, limit_factor: float, as_json: bool) -> None:
    """Be the five providers.

    Each is below its name: set SPRII_API_URL to URL/sprii and so on, and ALLOW_PRIVATE_NETWORKS=1.
    """
    from app.simulators.providers import ProvidersServer, create_providers_app

    try:
        server = ProvidersServer(create_providers_app(limit_factor=limit_factor), port=port)
    except OSError as error:
        raise Failed(f"port {port} cannot be had ({error.strerror}): choose another with --port") from None
    with server:
        answer({"url": server.url}, as_json, f"Simulated providers at {server.url} (Ctrl-C stops them)")
        with suppress(KeyboardInterrupt):
            server.wait()


@simulate.command("shop")
@click.argument("platform", type=click.Choice(["shopify", "woocommerce"]))
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="Where Tillwire is.")
@click.option("--domain", default="demo.myshopify.com", show_default=True, help="The Shopify shop's.")
@click.option("--secret", envvar="SHOPIFY_API_SECRET", help="The Shopify app's secret.")
@click.option("--webhook", "endpoints", multiple=True, metavar="TOPIC=PATH,SECRET", help="A WooCommerce webhook.")
@click.option("--orders", "count", type=click.IntRange(1), help="How many orders; without it, it never ends.")
@click.option("--rate", type=float, default=5.0, show_default=True, help="Webhooks a second.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same orders.")
@click.option("--duplicates", type=float, default=0.1, show_default=True, help="Share that is sent twice.")
@click.option("--in-order", is_flag=True, help="Do not shuffle.")
def simulate_shop(
    platform: str,
    url: str,
    domain: str,
    secret: str | None,
    endpoints: tuple[str, ...],
    count: int | None,
    rate: float,
    seed: int,
    duplicates: float,
    in_order: bool,
) -> None:
    """Be a shop that sends signed webhooks."""
    from app.simulators.shops import run_shop

    places = {topic: _place(rest) for topic, rest in pairs(endpoints).items()}
    if platform == "shopify" and not secret:
        raise Wrong("a Shopify shop signs with the app's secret: give --secret, or set SHOPIFY_API_SECRET")
    if platform == "woocommerce" and not places:
        raise Wrong("a WooCommerce shop sends to webhooks made by `tillwire webhooks add`: give each with --webhook")
    run_shop(
        platform,
        url=url,
        secret=secret,
        domain=domain,
        webhooks=places or None,
        orders=count,
        rate=rate,
        seed=seed,
        duplicates=duplicates,
        shuffle=not in_order,
    )


def _place(text: str) -> tuple[str, str]:
    path, comma, secret = text.partition(",")
    if not comma:
        raise Wrong("--webhook: write it like order.updated=PATH,SECRET")
    return path, secret
