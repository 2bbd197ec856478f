"""What a merchant sees of the providers: how each stands, its settings, and what is to be looked at before going live.

Nothing here calls anybody or changes anything; see `app.services.provider_changes` for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Subquery, case, func, select
from sqlalchemy.orm import Session

from app.models import AuditEntry, Delivery, DeliveryState, Destination, Mode, Shop
from app.models.delivery import OPEN, among
from app.providers.base import Provider
from app.providers.registry import PROVIDERS
from app.services.configure import NOT_TAKEN, find_destination
from app.services.preview import Row, preview
from app.services.reasons import sentence
from app.services.route import Router
from app.services.secrets import Locked, Vault
from app.services.setting_values import missing, text_of
from mappings.errors import MappingError

COUNTED = timedelta(days=30)  #: how far back deliveries are counted
NEWEST = 20_000  #: and how many of them at most: a page must not read a year of a large shop. One more: there are more
MANY = 10_000  #: waiting ones are counted up to here
LOOKED_AT = 50  #: events that the list before going live looks at
COLLECTED_DAYS = (1, 7, 30)  #: what shadow mode collected can be sent from so many days back
TESTED, SAVED = "test provider", "set provider"  #: actions in the audit trail
_TAIL, _TAIL_FROM = 4, 12  #: characters shown of a secret, and how long it must be for that


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One provider as its shop has it."""

    provider: Provider
    set_up: bool = False
    mode: str = Mode.OFF
    held: str | None = None  #: why nothing is sent, where the whole destination waits
    locked: bool = False  #: its stored credentials cannot be read
    lacking: tuple[str, ...] = ()  #: names of settings that it cannot be switched on without
    waiting: int = 0  #: pending, retrying and held; at most `MANY`
    more_waiting: bool = False  #: than that
    counts: Mapping[str, int] = field(default_factory=dict)  #: by state, of the last `COUNTED`


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A destination's settings as a form shows them; of a secret no more than its end."""

    version: str  #: of the destination, for noticing that somebody else saved meanwhile; empty: there is none yet
    texts: Mapping[str, str]  #: of settings that are no secrets, as a person enters them
    secrets: Mapping[str, str | None]  #: "" is set; "1234" is set and ends so; None is not set


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """The last answer to "does the provider take these credentials?"."""

    result: str  #: accepted, refused, unknown
    at: datetime
    stale: bool  #: the settings were changed since


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence, and where it was found."""

    text: str
    orders: tuple[str, ...]  #: a few of them, by the platform's id
    number: int  #: of events


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What is to be looked at before going live."""

    card: Card
    version: str
    test: Test | None
    broken: str | None = None  #: why nothing could be looked at: the mapping, or locked credentials
    events: int = 0  #: that were looked at and concern this provider
    payloads: int = 0
    complaints: tuple[Finding, ...] = ()
    failures: tuple[Finding, ...] = ()  #: what would be held for want of a payload
    skips: tuple[Finding, ...] = ()
    collected: Mapping[int, int] = field(default_factory=dict)  #: days back: deliveries of shadow mode; see `NEWEST`


# cards


def cards(session: Session, vault: Vault, shop: Shop, now: datetime) -> list[Card]:
    """One for every provider there is, in the registry's order."""
    rows = {row.provider: row for row in session.scalars(select(Destination).where(Destination.shop_id == shop.id))}
    counts = _counts(session, shop.id, now)
    return [_card(session, vault, each, rows.get(name), counts.get(name, {})) for name, each in PROVIDERS.items()]


def card(session: Session, vault: Vault, shop: Shop, provider: Provider, now: datetime) -> Card:
    row = find_destination(session, shop, provider)
    return _card(session, vault, provider, row, _counts(session, shop.id, now).get(provider.name, {}))


def _card(
    session: Session, vault: Vault, provider: Provider, row: Destination | None, counts: Mapping[str, int]
) -> Card:
    if row is None:
        return Card(provider=provider, lacking=tuple(missing(provider, {})))
    values, locked = dict(row.options), False
    try:
        values |= vault.open(row.secrets)
    except Locked:
        locked = True
    waiting = _waiting(session, row)
    return Card(
        provider=provider,
        set_up=True,
        mode=row.mode,
        held=row.held,
        locked=locked,
        lacking=() if locked else tuple(missing(provider, values)),
        waiting=min(waiting, MANY),
        more_waiting=waiting > MANY,
        counts=counts,
    )


def _counts(session: Session, shop_id: int, now: datetime) -> dict[str, dict[str, int]]:
    """By provider and state. One index holds all that is asked for."""
    newest = _newest(shop_id, now)
    counted = select(newest.c.provider, newest.c.state, func.count()).group_by(newest.c.provider, newest.c.state)
    found: dict[str, dict[str, int]] = {}
    for provider, state, number in session.execute(counted):
        found.setdefault(provider, {})[state] = number
    return found


def _newest(shop_id: int, now: datetime) -> Subquery:
    recent = Delivery.shop_id == shop_id, Delivery.created_at >= now - COUNTED
    wanted = select(Delivery.provider, Delivery.state, Delivery.created_at).where(*recent)
    return wanted.order_by(Delivery.created_at.desc()).limit(NEWEST).subquery()


def _waiting(session: Session, row: Destination) -> int:
    """However old: what waits for a key may have waited for long."""
    waiting = select(Delivery.id).where(Delivery.destination_id == row.id, among(Delivery.state, OPEN))
    return session.scalar(select(func.count()).select_from(waiting.limit(MANY + 1).subquery())) or 0


# settings


def shown(vault: Vault, provider: Provider, row: Destination | None) -> Shown:
    """The settings of ``row``, or the defaults where nothing was saved yet."""
    given = provider.complete(row.options if row else {})
    try:
        kept = vault.open(row.secrets if row else None)
    except Locked:
        kept = {}
    return Shown(
        version=version(row),
        texts={each.name: text_of(each, given[each.name]) for each in provider.settings if not each.secret},
        secrets={each.name: tail(kept.get(each.name)) for each in provider.settings if each.secret},
    )


def version(row: Destination | None) -> str:
    return row.updated_at.isoformat() if row else ""


def tail(secret: str | None) -> str | None:
    """The end by which a merchant knows a key again; nothing of a short one, and None for none."""
    if not secret:
        return None
    return secret[-_TAIL:] if len(secret) >= _TAIL_FROM else ""


# before going live


def ready(session: Session, vault: Vault, router: Router, shop: Shop, provider: Provider, now: datetime) -> Ready:
    row = find_destination(session, shop, provider)
    found = Ready(
        card=card(session, vault, shop, provider, now),
        version=version(row),
        test=last_test(session, shop, provider),
        collected=_collected(session, shop, provider, now),
    )
    if row is None:
        return found
    try:
        rows = preview(session, router, shop, provider, None, last=LOOKED_AT)
    except (MappingError, Locked) as error:
        return _with(found, broken=str(error))
    made = [each for each in rows if "payload" in each["now"]]
    return _with(
        found,
        events=len({each["event"] for each in rows}),
        payloads=len(made),
        complaints=_findings([(text, each) for each in made for text in each["complaints"]]),
        failures=_findings([(each["now"]["error"], each) for each in rows if "error" in each["now"]]),
        skips=_findings(
            [(sentence(DeliveryState.SKIPPED, each["now"]["skip"]), each) for each in rows if "skip" in each["now"]]
        ),
    )


def _with(found: Ready, **more: Any) -> Ready:
    given = {name: getattr(found, name) for name in ("card", "version", "test", "collected")}
    return Ready(**{**given, **more})


def _findings(found: list[tuple[str, Row]]) -> tuple[Finding, ...]:
    """Each sentence once, the most frequent first, with the first few orders that it was said of."""
    numbers = Counter(text for text, _ in found)
    return tuple(
        Finding(
            text=text,
            orders=tuple(dict.fromkeys(row["order"] for said, row in found if said == text and _of_order(row)))[:5],
            number=number,
        )
        for text, number in numbers.most_common()
    )


def _of_order(row: Row) -> bool:
    return bool(row["order"]) and str(row["kind"]).startswith("order.")


def _collected(session: Session, shop: Shop, provider: Provider, now: datetime) -> dict[int, int]:
    """Only the days that reach further than fewer would, as far as that was counted.

    What `configure.send_collected` would send: by provider and state alone, whatever else the shop has to do.
    """
    mine = (Delivery.shop_id == shop.id, Delivery.state == DeliveryState.SHADOW, Delivery.provider == provider.name)
    newest = (
        select(Delivery.created_at).where(*mine, NOT_TAKEN).order_by(Delivery.id.desc()).limit(NEWEST + 1).subquery()
    )
    starts = [now - timedelta(days=days) for days in COLLECTED_DAYS]
    within = [func.sum(case((newest.c.created_at >= start, 1), else_=0)) for start in starts]
    row = session.execute(select(*within)).one()
    found: dict[int, int] = {}
    for days, number in zip(COLLECTED_DAYS, row, strict=True):
        if (number or 0) > min(max(found.values(), default=0), NEWEST):
            found[days] = int(number)
    return found


def last_test(session: Session, shop: Shop, provider: Provider) -> Test | None:
    """From the audit trail, which tells of changes since, too."""
    wanted = select(AuditEntry).where(AuditEntry.shop_id == shop.id, AuditEntry.action.in_((TESTED, SAVED)))
    stale = False
    for entry in session.scalars(wanted.order_by(AuditEntry.id.desc()).limit(100)):
        told = entry.after or {}
        if told.get("provider") != provider.name:
            continue
        if entry.action == TESTED:
            return Test(result=str(told["result"]), at=entry.at, stale=stale)
        stale = stale or "settings" in told
    return None
