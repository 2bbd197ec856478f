"""Puts the parts together: one app, and what it stands on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Flask, Response, current_app, request

from app import logs
from app.config import Config
from app.db import Database
from app.providers.registry import PROVIDERS
from app.services import tally, woocommerce_check, woocommerce_disconnect, woocommerce_prove
from app.services.account import Accountant
from app.services.budgets import Budgets
from app.services.chores import Chores
from app.services.connections import Connections, Platform
from app.services.deliver import Deliverer
from app.services.mail import LinkSender, Mailer
from app.services.order_sources import OrderSources
from app.services.receive import Intake, Receiver
from app.services.reconcile import Reconciler
from app.services.refund_lines import RefundLines
from app.services.route import Router, Target
from app.services.secrets import Vault
from app.services.shopify_check import Checker
from app.services.shopify_client import ShopifyClient
from app.services.shopify_install import Installer
from app.services.shopify_tokens import Tokens
from app.services.shopify_walk import Walk
from app.services.sign_in import purge
from app.services.stores import Stores
from app.services.upkeep import ONCE, Step, Upkeep, Upkeeping, check_at_start, check_due
from app.web import (
    access,
    connect_woocommerce,
    deliveries,
    errors,
    frame,
    home,
    limits,
    operations,
    operator,
    orders,
    overview,
    providers,
    refusals,
    settings,
    shopify_app,
    short,
    sign_in,
    store,
    storefront,
    texts,
    webhooks,
)
from app.worker import Worker

PATIENCE = 20.0  #: seconds that a browser waits for a store


@dataclass(frozen=True, slots=True)
class Parts:
    """What a running Tillwire is made of."""

    config: Config
    db: Database
    vault: Vault
    router: Router


def create_parts(config: Config) -> Parts:
    """Open the database (migrated by whoever serves) and the secrets."""
    vault = Vault(config.cipher())
    return Parts(config, Database(config.database_url), vault, Router(vault))


def create_worker(parts: Parts) -> Worker:
    """The embedded worker, not yet started."""
    config = parts.config
    deliverer = Deliverer(
        parts.db,
        parts.router,
        Budgets(config.limit_factor),
        base_urls=lambda target: base_url(config, target),
        allow_private=config.allow_private_networks,
        scale=config.limit_factor,
    )
    return Worker(parts.db, parts.router, create_accountant(parts), deliverer, create_upkeep(parts))


def create_accountant(parts: Parts) -> Accountant:
    """The clerk who reads webhooks, and asks stores for the lines of refunds."""
    return Accountant(parts.db, parts.router, RefundLines(create_stores(parts)).complete)


def create_stores(parts: Parts) -> Stores:
    config = parts.config
    return Stores(
        db=parts.db, vault=parts.vault, public_url=config.public_url, allow_private=config.allow_private_networks
    )


def create_shopify(config: Config) -> ShopifyClient:
    """Our app as Shopify knows it; to be closed."""
    return ShopifyClient(
        client_id=config.shopify_api_key,
        secrets=config.shopify_secrets,
        api_version=config.shopify_api_version,
        public_url=config.public_url,
        admin_url=config.shopify_admin_url,
    )


def create_reconciler(parts: Parts, shopify: ShopifyClient) -> Reconciler:
    sources = OrderSources(Tokens(parts.db, parts.vault, shopify), create_stores(parts))
    return Reconciler(parts.db, create_accountant(parts), sources)


def create_upkeep(parts: Parts) -> Upkeeping:
    """What has to be looked after, with how often. Each part has a thread: stores may be slow to answer."""
    db, stores, shopify = parts.db, create_stores(parts), create_shopify(parts.config)
    tokens = Tokens(db, parts.vault, shopify)
    connections = create_connections(parts, shopify)

    def check_connections(now: datetime) -> int:
        return check_due(db, lambda shop_id: connections.look_after(shop_id, now), now)

    soon, minute, hour, day = timedelta(seconds=5), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
    here = [
        Step(name="chores", every=soon, work=Chores(db, parts.vault).work),
        Step(name="tallies", every=hour, work=lambda now: tally.fill(db, now)),
        Step(name="sign-ins", every=hour, work=lambda now: _purge(db, now)),
    ]
    waited_for = [
        Step(name="prove connections", every=soon, work=lambda now: woocommerce_prove.prove_due(stores, now)),
        Step(name="end connections", every=minute, work=lambda now: woocommerce_disconnect.end_due(stores, now)),
    ]
    checks = [
        Step(name="check at start", every=ONCE, work=lambda now: check_at_start(db, now)),
        Step(name="check connections", every=soon, work=check_connections),
    ]
    kept_alive = [
        Step(name="eternal tokens", every=day, work=lambda _: tokens.end_eternal()),
        Step(name="tokens", every=day, work=tokens.keep_alive),
    ]
    walks = [Step(name="reconcile", every=soon, work=create_reconciler(parts, shopify).run_due)]
    parts_of_it = [here, waited_for, checks, walks, *([kept_alive] if shopify.configured else [])]
    return Upkeeping(parts=[Upkeep(steps) for steps in parts_of_it], close=shopify.close)


def _purge(db: Database, now: datetime) -> None:
    with db.write() as session:
        purge(session, now)


def base_url(config: Config, target: Target) -> str:
    """Where a destination's provider is reached: the environment wins over what the merchant chose."""
    return PROVIDERS[target.provider].address(target.settings, config.provider_urls.get(target.provider))


def create_connections(parts: Parts, shopify: ShopifyClient, *, patience: float | None = None) -> Connections:
    """What can be done to a connection, whatever its platform.

    Args:
        patience: seconds that a WooCommerce store has in all, each time anew; for while a browser waits.
    """
    unhurried = create_stores(parts)

    def stores() -> Stores:
        return unhurried if patience is None else unhurried.hurried(patience)

    checker = Checker(parts.db, Tokens(parts.db, parts.vault, shopify), shopify)
    woocommerce = Platform(
        check=lambda shop_id, now: woocommerce_check.check(stores(), shop_id, now),
        disconnect=lambda shop_id, actor, now: woocommerce_disconnect.disconnect(stores(), shop_id, actor, now),
        reconnects=True,
    )
    known = {"shopify": Platform(check=checker.check, disconnect=None, reconnects=False), "woocommerce": woocommerce}
    return Connections(parts.db, known)


def create_mailer(config: Config) -> Mailer | None:
    return Mailer(config.smtp_url, config.mail_from) if config.smtp_url else None


def create_app(parts: Parts, worker: Worker | None = None) -> Flask:
    """The web half. ``worker`` is woken when webhooks arrive, where it runs in this process."""
    logs.configure(parts.config)
    app = Flask("app.web")
    app.config["MAX_CONTENT_LENGTH"] = parts.config.max_webhook_bytes
    app.config["SECRET_KEY"] = parts.config.secret_key
    intake = Intake(parts.db, on_stored=worker.wake if worker else lambda: None)
    shopify = create_shopify(parts.config)
    app.extensions.update(
        config=parts.config,
        connections=create_connections(parts, shopify, patience=PATIENCE),
        db=parts.db,
        intake=intake,
        link_sender=LinkSender(parts.db, create_mailer(parts.config)),
        router=parts.router,
        receiver=Receiver(parts.db, intake, parts.config.cipher(), parts.config.shopify_secrets),
        stores=create_stores(parts),
        vault=parts.vault,
    )
    access.init(app, parts.config)
    limits.init(app)
    errors.init(app)
    texts.init(app)
    frame.init(app)
    for blueprint in (
        *(webhooks.bp, operations.bp, home.bp, sign_in.bp, store.bp, storefront.bp, connect_woocommerce.bp),
        *(overview.bp, orders.bp, deliveries.bp, providers.bp, settings.bp, operator.bp, short.bp),
    ):
        app.register_blueprint(blueprint)
    installer = Installer(parts.db, parts.vault, shopify)
    shopify_app.init(app, shopify, installer, Walk(parts.db, shopify, installer))
    app.after_request(_harden)
    return app


def _harden(response: Response) -> Response:
    refusals.count(response)
    if request.blueprint == webhooks.bp.name:
        return response  # no browser reads these answers, and this is the hot path
    response.headers.setdefault(
        "Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'"
    )
    config: Config = current_app.extensions["config"]
    if config.public_url.startswith("https://"):
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    return response
