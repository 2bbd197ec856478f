"""Configure: shops, their webhooks and their destinations. Contacts nobody but where it says so."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.db import clock
from app.models import Attempt, Delivery, DeliveryState, Destination, Endpoint, Event, EventState, Mode, Receipt, Shop
from app.providers import http
from app.providers.base import Answer, Provider
from app.providers.errors import DeliveryError, Unauthorized
from app.providers.registry import PROVIDERS
from app.services.errors import NotFound, Wrong
from app.services.holds import release
from app.services.packing import unpack
from app.services.route import Router
from app.services.rows import TAKEN
from app.services.said import mark
from app.services.secrets import Vault
from app.services.setting_values import missing, read_settings, refuse
from app.services.shop_addresses import shopify_address, woocommerce_address
from connectors.base import Names


def now() -> datetime:
    return datetime.now(UTC)


# shops


def add_shop(session: Session, platform: str, address: str, *, external_id: str | None = None) -> Shop:
    """Register a shop by hand; a removed one comes back with its data. Contacts nobody."""
    domain, url = shopify_address(address) if platform == "shopify" else woocommerce_address(address)
    shop = session.scalar(select(Shop).where(Shop.platform == platform, Shop.domain == domain))
    if shop is None:
        number = new_number(session)
        shop = Shop(id=number, platform=platform, domain=domain, url=url, created_at=now(), settings={})
        session.add(shop)
    shop.removed_at = None
    shop.external_id = external_id or shop.external_id
    session.flush()
    return shop


def shop_at(session: Session, url: str) -> Shop | None:
    """The WooCommerce shop at this address, also a removed one."""
    domain, _ = woocommerce_address(url)
    return session.scalar(select(Shop).where(Shop.platform == "woocommerce", Shop.domain == domain))


def move_shop(shop: Shop, url: str) -> None:
    """Note a WooCommerce shop's new address; all that it has stays."""
    shop.domain, shop.url = woocommerce_address(url)


def new_number(session: Session) -> int | None:
    """A number that no shop ever had; None where the database sees to that by itself.

    SQLite gives the number of a deleted row out again, and receipts of an erased shop stand under its number for ever.
    """
    if session.get_bind().dialect.name != "sqlite":
        return None
    highest = (session.scalar(select(func.max(column))) for column in (Shop.id, Receipt.shop_id))
    return max(each or 0 for each in highest) + 1


def find_shop(session: Session, wanted: str) -> Shop:
    """By our id, or by domain or address."""
    query = select(Shop).where(Shop.removed_at.is_(None))
    name = wanted.strip().removeprefix("https://").removeprefix("http://").rstrip("/")
    is_id = name.isascii() and name.isdecimal() and len(name) < 19
    by = Shop.id == int(name) if is_id else func.lower(Shop.domain) == name.lower()
    shops = session.scalars(query.where(by)).all()
    if len(shops) != 1:
        raise NotFound(f"there is no shop {wanted!r}: `tillwire shops list` shows them all")
    return shops[0]


def remove_shop(session: Session, shop: Shop) -> None:
    """Stop everything for the shop; its data stays until it is erased."""
    shop.removed_at = now()
    for destination in session.scalars(select(Destination).where(Destination.shop_id == shop.id)):
        _switch(session, destination, Mode.OFF)


def pause_shop(session: Session, shop: Shop) -> None:
    """As `remove_shop`, and remember what `resume_shop` brings back: what is open waits, nothing stored is missed."""
    modes, next_event = {}, (session.scalar(select(func.max(Event.id))) or 0) + 1
    wanted = select(Destination).where(Destination.shop_id == shop.id, Destination.mode != Mode.OFF)
    for destination in session.scalars(wanted):
        modes[destination.provider] = destination.mode
        destination.missed_from = destination.missed_from or next_event  # webhooks that are stored, but not read yet
    shop.settings = {**shop.settings, "paused": {**shop.settings.get("paused", {}), **modes}}
    remove_shop(session, shop)


def resume_shop(session: Session, shop: Shop) -> None:
    """Bring a shop back, with the destinations that `pause_shop` stopped and nobody changed since."""
    paused = shop.settings.get("paused", {})
    shop.removed_at = None
    shop.settings = {name: value for name, value in shop.settings.items() if name != "paused"}
    for destination in session.scalars(select(Destination).where(Destination.shop_id == shop.id)):
        if destination.provider in paused and destination.mode == Mode.OFF:
            _switch(session, destination, Mode(paused[destination.provider]))


def set_names(session: Session, shop: Shop, given: Mapping[str, list[str]]) -> None:
    """Change the attribute names that are looked for: ``sprii``, ``seeka_profile``, ``tcf_consent`` ..."""
    known = Names.__dataclass_fields__
    if unknown := set(given) - set(known):
        raise Wrong(f"{', '.join(sorted(unknown))}: no such list of names; there are {', '.join(known)}")
    shop.settings = {**shop.settings, "names": {**shop.settings.get("names", {}), **given}}


def add_endpoint(session: Session, vault: Vault, shop: Shop, topic: str, secret: str | None) -> tuple[str, str]:
    """Make a place for one WooCommerce webhook; return its path and the secret to enter in the store."""
    if shop.platform != "woocommerce":
        raise Wrong("SHOP is no WooCommerce store: Shopify needs no webhooks by hand")
    if not topic.strip() or len(topic) > 200:
        raise Wrong("TOPIC is empty or too long: write it like order.updated")
    secret = secret if secret is not None else secrets.token_hex(32)
    if not secret:
        raise Wrong("--secret is empty: leave it out to get one of ours")
    token = secrets.token_urlsafe(24)
    sealed = vault.seal(secret)
    session.add(Endpoint(shop_id=shop.id, token=token, topic=topic.strip(), secret=sealed, created_at=now()))
    return f"/webhooks/woocommerce/{token}", secret


# destinations


def find_provider(name: str) -> Provider:
    if name not in PROVIDERS:
        raise NotFound(f"there is no provider {name!r}: there are {', '.join(PROVIDERS)}")
    return PROVIDERS[name]


def find_destination(session: Session, shop: Shop, provider: Provider) -> Destination | None:
    return session.scalar(
        select(Destination).where(Destination.shop_id == shop.id, Destination.provider == provider.name)
    )


def set_destination(
    session: Session,
    vault: Vault,
    router: Router,
    shop: Shop,
    provider: Provider,
    given: Mapping[str, str],
    *,
    mode: str | None = None,
    last_days: int = 0,
) -> Destination:
    """Save settings and mode; what was held goes on. Contacts nobody.

    Args:
        given: settings by name as typed; an empty text takes one back to its default.
        last_days: when switched on: also send what was understood in so many past days.
    Raises:
        WrongSettings: unknown settings, values that cannot be, and missing ones where ``mode`` needs them, all at once.
    """
    values, wrong = read_settings(provider, given)
    destination = find_destination(session, shop, provider)
    if destination is None:
        destination = Destination(
            shop_id=shop.id, provider=provider.name, mode=Mode.OFF, options={}, created_at=now(), updated_at=now()
        )
        session.add(destination)
    hidden = {each.name for each in provider.settings if each.secret}
    kept = vault.open(destination.secrets)
    destination.secrets = vault.close(_merged(kept, {k: v for k, v in values.items() if k in hidden}))
    destination.options = _merged(destination.options, {k: v for k, v in values.items() if k not in hidden})
    wanted = Mode(mode) if mode else Mode(destination.mode)
    whole = {**destination.options, **vault.open(destination.secrets)}
    refuse(provider, wrong, missing(provider, whole) if wanted is not Mode.OFF else [])
    session.flush()
    _switch(session, destination, wanted)
    if last_days:
        _catch_up(session, router, shop, destination, last_days)
    return destination


def _merged(kept: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**kept, **given}
    return {name: value for name, value in merged.items() if value is not None}


def _switch(session: Session, destination: Destination, mode: Mode) -> None:
    destination.mode, destination.updated_at = mode, now()
    destination.held = destination.probe_at = None
    session.flush()
    if mode is not Mode.OFF:
        release(session, destination.id)
        return
    open_rows = select(Delivery).where(
        Delivery.destination_id == destination.id,
        Delivery.state.in_((DeliveryState.PENDING, DeliveryState.RETRYING)),
        Delivery.leased_until.is_(None),
    )
    for delivery in session.scalars(open_rows):
        delivery.state, delivery.reason = DeliveryState.HELD, mark("the destination is off")


def _catch_up(session: Session, router: Router, shop: Shop, destination: Destination, days: int) -> None:
    wanted = (
        select(Event)
        .where(
            Event.shop_id == shop.id,
            Event.state == EventState.UNDERSTOOD,
            Event.occurred_at >= now() - timedelta(days=days),
        )
        .order_by(Event.id)
    )
    for event in session.scalars(wanted.execution_options(yield_per=200)):
        if event.facts is not None:
            router.owe(session, destination, shop, event, unpack(event.facts), history=True)
    if destination.mode == Mode.LIVE:
        send_collected(session, destination, days)


#: Nothing says that the provider had the delivery.
NOT_TAKEN = ~select(Attempt.id).where(Attempt.delivery_id == Delivery.id, TAKEN).exists()


def send_collected(session: Session, destination: Destination, days: int) -> int:
    """Send what shadow mode built in so many past days, and only that; return how many.

    What the provider took before it was sent again in shadow mode is not: it has that.
    """
    due = clock(session)
    collected = (
        update(Delivery)
        .where(
            Delivery.shop_id == destination.shop_id,  # by an index: there is none of destinations and times
            Delivery.destination_id == destination.id,
            Delivery.state == DeliveryState.SHADOW,
            Delivery.created_at >= now() - timedelta(days=days),
            NOT_TAKEN,
        )
        .values(state=DeliveryState.PENDING, reason="collected in shadow mode", due_at=due, since=due)
    )
    sent = session.execute(collected.execution_options(synchronize_session=False))
    return int(sent.rowcount)  # type: ignore[attr-defined]


def describe(session: Session, vault: Vault, destination: Destination) -> dict[str, Any]:
    """A destination for showing: secrets as set or not set."""
    provider = PROVIDERS[destination.provider]
    hidden = vault.open(destination.secrets)
    counts = session.execute(
        select(Delivery.state, func.count()).where(Delivery.destination_id == destination.id).group_by(Delivery.state)
    )
    return {
        "provider": provider.name,
        "mode": destination.mode,
        "held": destination.held is not None,
        "reason": destination.held,
        "settings": {
            each.name: ("set" if hidden.get(each.name) else "not set")
            if each.secret
            else destination.options.get(each.name, each.default)
            for each in provider.settings
        },
        "counts": {str(state): int(number) for state, number in counts},
    }


def destinations(session: Session, vault: Vault, shop: Shop) -> list[dict[str, Any]]:
    rows = session.scalars(select(Destination).where(Destination.shop_id == shop.id).order_by(Destination.id))
    return [describe(session, vault, row) for row in rows]


def ask_provider(
    settings: Mapping[str, Any], provider: Provider, *, base_url: str, allow_private: bool
) -> tuple[str, str]:
    """Ask the provider whether it takes the credentials: accepted, refused or unknown, and a sentence. Calls it."""
    if provider.test is None:
        return "unknown", mark("{title} has no call that changes nothing").format(title=provider.title)
    probe = provider.test(settings)
    answers: list[Answer] = []
    with http.new_session() as session:
        try:
            verdict = http.probe(
                provider, probe, settings, base_url=base_url, session=session, allow_private=allow_private, seen=answers
            )
        except Unauthorized as error:
            return "refused", str(error)
        except DeliveryError as error:
            return "unknown", str(error)
    return verdict, probe.note if verdict == "accepted" else f"{provider.title} answered {http.describe(answers[-1])}"
