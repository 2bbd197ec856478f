"""Puts the parts together: one app, and what it stands on."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from app import logs
from app.config import Config
from app.db import Database
from app.providers.registry import PROVIDERS
from app.services.account import Accountant
from app.services.budgets import Budgets
from app.services.deliver import Deliverer
from app.services.receive import Intake, Receiver
from app.services.route import Router, Target
from app.services.secrets import Vault
from app.web import home, operations, webhooks
from app.worker import Worker


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
    return Worker(parts.db, parts.router, Accountant(parts.db, parts.router), deliverer)


def base_url(config: Config, target: Target) -> str:
    """Where a destination's provider is reached: the environment wins over what the merchant chose."""
    return PROVIDERS[target.provider].address(target.settings, config.provider_urls.get(target.provider))


def create_app(parts: Parts, worker: Worker | None = None) -> Flask:
    """The web half. ``worker`` is woken when webhooks arrive, where it runs in this process."""
    logs.configure(parts.config)
    app = Flask("app.web")
    app.config["MAX_CONTENT_LENGTH"] = parts.config.max_webhook_bytes
    app.config["SECRET_KEY"] = parts.config.secret_key
    intake = Intake(parts.db, on_stored=worker.wake if worker else lambda: None)
    app.extensions.update(
        config=parts.config,
        db=parts.db,
        intake=intake,
        receiver=Receiver(parts.db, intake, parts.config.cipher(), parts.config.shopify_secrets),
    )
    for blueprint in (webhooks.bp, operations.bp, home.bp):
        app.register_blueprint(blueprint)
    app.register_error_handler(HTTPException, _as_json)
    app.after_request(_harden)
    return app


def _as_json(error: HTTPException) -> ResponseReturnValue:
    allowed = [(name, value) for name, value in error.get_headers() if name == "Allow"]
    return {"status": error.name.lower()}, error.code or 500, allowed


def _harden(response: Response) -> Response:
    if request.blueprint == webhooks.bp.name:
        return response  # no browser reads these answers, and this is the hot path
    response.headers.setdefault(
        "Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'"
    )
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    return response
