"""What a merchant changes about a provider: settings, mode, and whether its credentials were taken. All of it audited.

Each runs in the caller's transaction, so that a change and its entry stand together or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Destination, Mode, Shop
from app.providers.base import Provider
from app.services import audit, configure
from app.services.holds import release
from app.services.provider_page import SAVED, TESTED, version
from app.services.route import Router
from app.services.said import mark
from app.services.secrets import Vault

SWITCHED = "switch provider"  #: action in the audit trail


class Stale(Exception):
    """Somebody else changed the destination since the form was made; nothing was saved."""


def save(
    session: Session,
    vault: Vault,
    router: Router,
    shop: Shop,
    provider: Provider,
    given: Mapping[str, str],
    *,
    seen: str,
    actor: str,
) -> Destination:
    """Save settings; the mode stays, what was held goes on.

    Args:
        given: as for `configure.set_destination`: only what changes.
        seen: the version that the form was made of.
    Raises:
        Stale, WrongSettings.
    """
    row = _claim(session, shop, provider, seen)
    before, old = _masked(vault, provider, row, given), vault.open(row.secrets if row else None)
    saved = configure.set_destination(session, vault, router, shop, provider, given)
    after = _masked(vault, provider, saved, given, old)
    _record(session, shop, provider, actor, SAVED, {"settings": before}, {"settings": after})
    return saved


def switch(
    session: Session,
    vault: Vault,
    router: Router,
    shop: Shop,
    provider: Provider,
    mode: Mode,
    *,
    seen: str,
    actor: str,
    collected_days: int = 0,
) -> int:
    """Change the mode; return how many deliveries that shadow mode had collected are sent now.

    Args:
        collected_days: when going live: how far back; 0 for only what happens from now on.
    Raises:
        Stale; WrongSettings: something is missing for that mode.
    """
    row = _claim(session, shop, provider, seen)
    before = row.mode if row else Mode.OFF
    saved = configure.set_destination(session, vault, router, shop, provider, {}, mode=mode)
    sent = configure.send_collected(session, saved, collected_days) if mode is Mode.LIVE and collected_days else 0
    after: dict[str, Any] = {"mode": str(mode)} | ({"collected": sent} if collected_days else {})
    _record(session, shop, provider, actor, SWITCHED, {"mode": str(before)}, after)
    return sent


def tested(session: Session, shop: Shop, provider: Provider, result: str, *, actor: str) -> int:
    """Note what the provider answered; after "accepted" what was held goes on. Return how many deliveries that are."""
    row = configure.find_destination(session, shop, provider)
    released = release(session, row.id) if row and row.mode != Mode.OFF and result == "accepted" else 0
    _record(session, shop, provider, actor, TESTED, None, {"result": result, "released": released})
    return released


def _claim(session: Session, shop: Shop, provider: Provider, seen: str) -> Destination | None:
    """The destination, for this transaction alone."""
    wanted = select(Destination).where(Destination.shop_id == shop.id, Destination.provider == provider.name)
    row = session.scalar(wanted.with_for_update())
    if version(row) != seen:
        raise Stale
    return row


def _masked(
    vault: Vault,
    provider: Provider,
    row: Destination | None,
    names: Mapping[str, str],
    old: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The settings of ``names`` as the audit trail keeps them.

    Args:
        old: the secrets from before, where one in place of another is to be told.
    """
    options, kept = (row.options, vault.open(row.secrets)) if row else ({}, {})
    given = provider.complete(options)
    hidden = (each.name for each in provider.settings if each.secret)
    masks = {name: _mask(kept.get(name), (old or {}).get(name)) for name in hidden}
    return {name: masks.get(name, given.get(name)) for name in names}


def _mask(secret: str | None, old: str | None) -> str:
    """What may be told of a secret: whether it is set, and whether it came in place of another."""
    if not secret:
        return mark("not set")
    return mark("set anew") if old and old != secret else mark("set")


def _record(
    session: Session,
    shop: Shop,
    provider: Provider,
    actor: str,
    action: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
) -> None:
    named = {"provider": provider.name}
    told = None if before is None else {**named, **before}
    audit.record(session, shop_id=shop.id, actor=actor, action=action, before=told, after={**named, **after})
