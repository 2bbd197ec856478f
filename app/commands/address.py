"""Where a server listens, and where a browser finds it."""

from __future__ import annotations

import os

import click

from app.commands.base import F
from app.config import Config, ConfigError


def given_host() -> str:
    return os.environ.get("HOST", "").strip() or "127.0.0.1"


def given_port() -> int:
    given = os.environ.get("PORT", "").strip() or "8000"
    if not (given.isascii() and given.isdecimal()) or len(given) > 5 or int(given) > 65535:
        raise ConfigError(f"PORT is {given!r}: set it to a number from 0 to 65535")
    return int(given)


def options(command: F) -> F:
    """``--host`` and ``--port``, for a command that listens."""
    port = click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=given_port,
        show_default="8000, or PORT of the environment",
        help="0 takes a free one.",
    )
    host = click.option(
        "--host", default=given_host, show_default="127.0.0.1, or HOST of the environment", help="Address to listen on."
    )
    return host(port(command))


def demand_public(config: Config) -> None:
    """Raise `ConfigError` without the address by which our webhooks in a store are known."""
    if not config.public_url:
        raise ConfigError("PUBLIC_URL is missing: set it to the https address under which stores reach this server")


def own(config: Config) -> str:
    """Where a browser finds our pages; on a developer's machine where `tillwire serve` listens."""
    if config.public_url or not config.production:
        host = given_host()
        return config.public_url or f"http://{f'[{host}]' if ':' in host else host}:{given_port()}"
    raise ConfigError("PUBLIC_URL is missing: set it to the https address of this server, where the link has to lead")
