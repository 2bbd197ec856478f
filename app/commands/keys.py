"""What secrets are encrypted with, and what opens the stores."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import click

from app import factory
from app.commands.base import fail_after_printing, output, parts
from app.services import rotate
from app.services.shopify_tokens import Tokens


@click.group()
def keys() -> None:
    """What secrets are encrypted with."""


@keys.command("rotate")
@output
def keys_rotate() -> Any:
    """Encrypt all secrets under the first key.

    Of ENCRYPTION_KEYS, as every running process must have it by now. Exit status 1 where something opens with none of
    the keys; that stays as it is.
    """
    with parts() as opened:
        done = rotate.rotate(opened.db, opened.config.encryption_keys)
    if done["locked"]:
        fail_after_printing()
    return done


@keys.command("renew")
@output
def keys_renew() -> Any:
    """Renew all Shopify tokens under the app's newest client secret.

    Before an older secret is revoked, which would end the tokens that it made. Exit status 1 where a shop's tokens
    could not be renewed: run it again, or the shop's staff have to open the app once.
    """
    with parts() as opened, closing(factory.create_shopify(opened.config)) as shopify:
        done = Tokens(opened.db, opened.vault, shopify).refresh_all()
    if done["failed"]:
        fail_after_printing()
    return done
