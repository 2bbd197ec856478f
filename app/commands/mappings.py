"""Mappings: the effective one, a merchant's own, and what it would change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from app import console
from app.commands.base import PROVIDER, output, output_as, reading, writing
from app.services import configure, mapping_versions, own_mappings, preview
from app.services.errors import Wrong
from app.services.sign_in import OPERATOR


@click.group()
def mappings() -> None:
    """How events become payloads."""


@mappings.command("show")
@click.argument("shop")
@click.argument("provider", type=PROVIDER, metavar="PROVIDER")
@output
def mappings_show(shop: str, provider: str) -> Any:
    """The effective mapping as TOML."""
    with reading() as (_, session):
        row, declared = configure.find_shop(session, shop), configure.find_provider(provider)
        return {"text": own_mappings.show(session, row, declared)}


@mappings.command("set")
@click.argument("shop")
@click.argument("provider", type=PROVIDER, metavar="PROVIDER")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@output
def mappings_set(shop: str, provider: str, file: Path) -> Any:
    """Save a mapping.

    Only what differs from the default is kept.
    """
    with writing() as (_, session):
        row, declared = configure.find_shop(session, shop), configure.find_provider(provider)
        text = _text(file)
        own, _mapping = own_mappings.checked_mapping(declared, text, source=file.name)
        mapping_versions.replace(session, row, declared, text, actor=OPERATOR)
        return {"shop": row.id, "provider": provider, "changed_rules": [rule["name"] for rule in own.rules]}


@mappings.command("reset")
@click.argument("shop")
@click.argument("provider", type=PROVIDER, metavar="PROVIDER")
@output
def mappings_reset(shop: str, provider: str) -> Any:
    """Go back to the default mapping."""
    with writing() as (_, session):
        row, declared = configure.find_shop(session, shop), configure.find_provider(provider)
        mapping_versions.replace(session, row, declared, "", actor=OPERATOR)
        return {"shop": row.id, "provider": provider, "changed_rules": []}


@mappings.command("preview")
@click.argument("shop")
@click.argument("provider", type=PROVIDER, metavar="PROVIDER")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--last", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many events.")
@output_as(console.comparison)
def mappings_preview(shop: str, provider: str, file: Path | None, last: int) -> Any:
    """Payloads under another mapping.

    For the last events: the payload now and then, where they differ, and what a provider would object to. Sends
    nothing.
    """
    with reading() as (opened, session):
        row, declared = configure.find_shop(session, shop), configure.find_provider(provider)
        own = (_text(file), file.name) if file else None
        return {"events": preview.preview(session, opened.router, row, declared, own, last=last)}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Wrong(f"{file.name} is not UTF-8 text: save it as such") from None
