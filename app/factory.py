"""Puts the parts together: one app, and what it stands on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask, Response, current_app, request
from sqlalchemy import make_url

from app import logs, reporting, tracing
from app.config import Config
from app.db import Database
from app.providers.registry import PROVIDERS
from app.services import (
    alerts,
    answers,
    order_sources,
    reconcile,
    retention,
    tally,
    woocommerce_check,
    woocommerce_disconnect,
    woocommerce_prove,
)
from app.services.account import Accountant
from app.services.alert_addresses import StopLinks
from app.services.alert_mail import Links
from app.services.alerts import Alerts
from app.services.brake import Brake
from app.services.budgets import Budgets
from app.services.calls import Caller
from app.services.chores import Chores
from app.services.connections import Connections, Platform
from app.services.deliver import Deliverer
from app.services.erase import empty_journal
from app.services.errands import Errands
from app.services.intake import ByShop, Intake
from app.services.mail import LinkSender, Mailer
from app.services.precedence import Precedence
from app.services.receive import Receiver
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
    alert_links,
    connect_woocommerce,
    deliveries,
    errors,
    frame,
    home,
    limits,
    mappings,
    operations,
    operator,
    orders,
    overview,
    providers,
    refusals,
    request_ids,
    settings,
    shopify_app,
    short,
    sign_in,
    store,
    storefront,
    texts,
    webhooks,
)
from app.web.front import Front
from app.worker import Worker

if TYPE_CHECKING:
    from app.hints import Hints

PATIENCE = 20.0  #: seconds that a browser waits for a store


@dataclass(frozen=True, slots=True)
class Parts:
    """What a running Tillwire is made of."""

    config: Config
    db: Database
    vault: Vault
    router: Router
    hints: Hints | None = None  #: to and from other processes, where there is a broker


def create_parts(config: Config) -> Parts:
    """Open the database (migrated by whoever serves) and the secrets."""
    reporting.start(config.sentry_dsn, config.env)
    tracing.start(config.otlp_endpoint)
    vault = Vault(config.cipher())
    db = Database(config.database_url)
    return Parts(config, db, vault, Router(vault), create_hints(config))


def create_hints(config: Config) -> Hints | None:
    if not config.broker_url:
        return None
    from app.hints import Hints  # half a second, and memory, that an embedded worker can do without

    return Hints(config.broker_url, make_url(config.database_url).database or "")


def create_worker(parts: Parts) -> Worker:
    """The embedded worker, not yet started."""
    config = parts.config
    precedence = Precedence()
    deliverer = Deliverer(
        parts.db.of_clerks(),
        parts.router,
        Budgets(config.limit_factor),
        caller=create_caller(config),
        scale=config.limit_factor,
        precedence=precedence,
    )
    accountant = create_accountant(parts, apart=True, precedence=precedence)
    return Worker(parts.db, parts.router, accountant, deliverer, create_upkeep(parts), precedence, parts.hints)


def create_caller(config: Config) -> Caller:
    return Caller(
        lambda target: base_url(config, target),
        allow_private=config.allow_private_networks,
        transport=config.transport,
        apart=config.calls_in == "process",
    )


def create_accountant(parts: Parts, *, apart: bool = False, precedence: Precedence | None = None) -> Accountant:
    """The clerk who reads webhooks, and asks stores for the lines of refunds; see `RefundLines` for ``apart``."""
    lines = RefundLines(create_stores(parts), apart=apart)
    return Accountant(parts.db.of_clerks(), parts.router, lines.complete, lines.away, precedence)


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
    platforms = create_platforms(parts, shopify)
    return Reconciler(
        parts.db, create_accountant(parts), lambda shop, connection: platforms[shop.platform].orders(shop, connection)
    )


def create_upkeep(parts: Parts) -> Upkeeping:
    """What has to be looked after, with how often. Each part has a thread: stores may be slow to answer."""
    db, stores, shopify = parts.db, create_stores(parts), create_shopify(parts.config)
    tokens = Tokens(db, parts.vault, shopify)
    checker, connections = Checker(db, tokens, shopify), create_connections(parts, shopify)

    def check_connections(now: datetime) -> int:
        # Each at its own time: those before it may have taken long.
        return check_due(db, lambda shop_id: connections.look_after(shop_id, datetime.now(UTC)), now)

    soon, minute, hour, day = timedelta(seconds=5), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
    here = [
        Step(name="tallies", every=hour, work=lambda now: tally.fill(db, now)),
        Step(name="sign-ins", every=hour, work=lambda now: _purge(db, now)),
        # Somebody may have been reading when it was to be emptied after an erasure.
        Step(name="journal", every=hour, work=lambda _: empty_journal(db)),
    ]
    rows = [
        Step(name="retention", every=minute, work=lambda now: retention.prune_due(db, now)),
        Step(name="retention of strays", every=day, work=lambda now: retention.prune_strays(db, now)),
        Step(name="answers", every=hour, work=lambda now: answers.forget(db, now)),
    ]
    # They ask stores: a request from outside is not believed where the store itself says otherwise.
    chores = [Step(name="chores", every=soon, work=Chores(db, parts.vault, installed=checker.installed).work)]
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
    reconciler = create_reconciler(parts, shopify)
    walks = [[Step(name="reconcile", every=soon, work=reconciler.run_due)]] * reconcile.AT_ONCE
    always = [here, rows, _alerts(parts, shopify), chores, waited_for, checks, *walks]
    parts_of_it = [*always, *([kept_alive] if shopify.configured else [])]
    return Upkeeping(parts=[Upkeep(steps) for steps in parts_of_it], close=shopify.close)


def _alerts(parts: Parts, shopify: ShopifyClient) -> list[Step]:
    """None without a mail server, or without an address for the links in the mails."""
    config, mailer = parts.config, create_mailer(parts.config)
    if mailer is None or not config.public_url:
        return []
    admins = {"shopify": shopify.page} if shopify.configured else {}
    links = Links(public_url=config.public_url, stop=StopLinks(config.secret_key), admins=admins)
    told = Alerts(parts.db, mailer.send, links, texts.speaking())
    return [
        Step(name="alerts", every=timedelta(minutes=1), work=told.work),
        Step(name="old alerts", every=timedelta(hours=1), work=lambda now: alerts.purge(parts.db, now)),
    ]


def _purge(db: Database, now: datetime) -> None:
    with db.write() as session:
        purge(session, now)


def base_url(config: Config, target: Target) -> str:
    """Where a destination's provider is reached: the environment wins over what the merchant chose."""
    return PROVIDERS[target.provider].address(target.settings, config.provider_urls.get(target.provider))


def create_connections(parts: Parts, shopify: ShopifyClient, *, patience: float | None = None) -> Connections:
    """What can be done to a connection, whatever its platform; see `create_platforms`."""
    return Connections(parts.db, create_platforms(parts, shopify, patience=patience))


def create_platforms(parts: Parts, shopify: ShopifyClient, *, patience: float | None = None) -> dict[str, Platform]:
    """The platforms of `connectors.registry`, and how their stores are asked.

    Args:
        patience: seconds that a WooCommerce store has in all, each time anew; for while a browser waits.
    """
    unhurried, tokens = create_stores(parts), Tokens(parts.db, parts.vault, shopify)

    def stores() -> Stores:
        return unhurried if patience is None else unhurried.hurried(patience)

    return {
        "shopify": Platform(
            check=Checker(parts.db, tokens, shopify).check,
            disconnect=None,
            reconnects=False,
            orders=partial(order_sources.of_shopify, tokens),
        ),
        "woocommerce": Platform(
            check=lambda shop_id, now: woocommerce_check.check(stores(), shop_id, now),
            disconnect=lambda shop_id, actor, now: woocommerce_disconnect.disconnect(stores(), shop_id, actor, now),
            reconnects=True,
            orders=partial(order_sources.of_woocommerce, unhurried),
        ),
    }


def create_mailer(config: Config) -> Mailer | None:
    return Mailer(config.smtp_url, config.mail_from) if config.smtp_url else None


def create_app(parts: Parts, worker: Worker | None = None) -> Flask:
    """The web half. ``worker`` is woken when webhooks arrive, where it runs in this process."""
    logs.configure(parts.config)
    app = Flask("app.web")
    app.config["MAX_CONTENT_LENGTH"] = parts.config.max_webhook_bytes
    app.config["SECRET_KEY"] = parts.config.secret_key
    brake = Brake()
    intake = Intake(parts.db, on_stored=_tell(parts, worker, brake))
    shopify = create_shopify(parts.config)
    app.extensions.update(
        brake=brake,
        config=parts.config,
        connections=create_connections(parts, shopify, patience=PATIENCE),
        db=parts.db,
        broker_answers=parts.hints.answers if parts.hints else None,
        errands=Errands(),
        intake=intake,
        link_sender=LinkSender(parts.db, create_mailer(parts.config)),
        router=parts.router,
        receiver=Receiver(parts.db, intake, parts.config.cipher(), parts.config.shopify_secrets),
        stores=create_stores(parts),
        vault=parts.vault,
    )
    request_ids.init(app)
    access.init(app, parts.config)
    limits.init(app)
    errors.init(app)
    texts.init(app)
    frame.init(app)
    for blueprint in (
        *(webhooks.bp, operations.bp, home.bp, sign_in.bp, store.bp, storefront.bp, connect_woocommerce.bp),
        *(overview.bp, orders.bp, deliveries.bp, providers.bp, mappings.bp, settings.bp, operator.bp, short.bp),
        alert_links.bp,
    ):
        app.register_blueprint(blueprint)
    installer = Installer(parts.db, parts.vault, shopify)
    shopify_app.init(app, shopify, installer, Walk(parts.db, shopify, installer))
    app.after_request(_harden)
    return app


def create_front(app: Flask) -> Front:
    """The web half for a server with an event loop."""
    return Front(app)


def create_watch(parts: Parts) -> Flask:
    """Health and metrics alone, for a worker by itself; what needs no person, cookie or session."""
    app = Flask("app.web")
    app.extensions.update(config=parts.config, db=parts.db, broker_answers=parts.hints.answers if parts.hints else None)
    app.register_blueprint(operations.bp)
    return app


def _tell(parts: Parts, worker: Worker | None, brake: Brake) -> Callable[[ByShop], None]:
    """Tells whoever accounts for webhooks that some were stored."""
    tell = parts.hints.webhooks if parts.hints else worker.wake if worker else lambda others: None
    return lambda webhooks: tell(brake.stored(webhooks))


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
