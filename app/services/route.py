"""Route: which destinations an event is owed to, by their mappings."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.models import Connection, Delivery, DeliveryState, Destination, Event, EventState, MappingVersion, Mode, Shop
from app.providers.base import Provider
from app.providers.registry import PROVIDERS
from app.services.holds import hold
from app.services.packing import unpack
from app.services.secrets import Locked, Vault
from connectors.events import time_text
from mappings import engine, files
from mappings.engine import CompiledMapping
from mappings.errors import MappingError

log = logging.getLogger(__name__)

BEFORE_START = "before_start"
GRACE = timedelta(days=1)  #: clocks differ, and a merchant may try an order just before connecting

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A destination, ready for use: settings complete, mapping compiled."""

    id: int
    shop_id: int
    provider: str
    mode: str
    settings: dict[str, Any]
    mapping: CompiledMapping


class Router:
    """Creates deliveries for events, and knows the destinations' compiled mappings."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._targets: dict[int, tuple[datetime, Target]] = {}
        self._lock = threading.Lock()

    def target(self, session: Session, destination: Destination) -> Target:
        """``destination`` with its mapping; made once per change of either (both move ``updated_at``)."""
        with self._lock:
            found = self._targets.get(destination.id)
            if found and found[0] == destination.updated_at:
                return found[1]
        provider = PROVIDERS[destination.provider]
        given = {**destination.options, **self._vault.open(destination.secrets)}
        target = Target(
            id=destination.id,
            shop_id=destination.shop_id,
            provider=destination.provider,
            mode=destination.mode,
            settings=provider.complete(given),
            mapping=files.compile(effective(destination.provider, _own_mapping(session, destination))),
        )
        with self._lock:
            self._targets[destination.id] = (destination.updated_at, target)
        return target

    def find(self, session: Session, shop: Shop, provider: Provider) -> Target | None:
        """The shop's destination of that provider, on or off."""
        wanted = select(Destination).where(Destination.shop_id == shop.id, Destination.provider == provider.name)
        destination = session.scalar(wanted)
        return self.target(session, destination) if destination else None

    def route(self, session: Session, shop: Shop, event: Event, facts: Facts) -> None:
        """Write the deliveries that ``event`` owes, in the caller's transaction."""
        for destination in _destinations(session, shop):
            try:
                self._catch_up(session, destination, shop)
                self.owe(session, destination, shop, event, facts)
            except SQLAlchemyError:
                raise
            except Exception as error:
                # What the event owes cannot be worked out now. The event counts all the same, for the others.
                hold(session, destination.id, _reason(error), datetime.now(UTC))
                destination.missed_from = destination.missed_from or event.id

    def _catch_up(self, session: Session, destination: Destination, shop: Shop) -> None:
        """What came while the destination's deliveries could not be worked out; what is owed already stays single."""
        if destination.missed_from is None:
            return
        self.target(session, destination)
        wanted = select(Event).where(Event.shop_id == shop.id, Event.id >= destination.missed_from)
        for missed in session.scalars(wanted.where(Event.state == EventState.UNDERSTOOD).order_by(Event.id)):
            if missed.facts is not None:
                self.owe(session, destination, shop, missed, unpack(missed.facts))
        destination.missed_from = None

    def catch_up(self, session: Session) -> None:
        """After something was mended: work out what destinations missed meanwhile."""
        wanted = select(Destination).where(
            Destination.missed_from.is_not(None), Destination.held.is_(None), Destination.mode != Mode.OFF
        )
        for destination in session.scalars(wanted).all():
            shop = session.get(Shop, destination.shop_id)
            try:
                if shop is not None:
                    self._catch_up(session, destination, shop)
            except SQLAlchemyError:
                raise
            except Exception as error:
                hold(session, destination.id, _reason(error), datetime.now(UTC))

    def owe(
        self,
        session: Session,
        destination: Destination,
        shop: Shop,
        event: Event,
        facts: Facts,
        *,
        history: bool = False,
    ) -> int:
        """Write the deliveries that ``event`` owes to one destination; return how many are new.

        Args:
            history: a person asked for what happened before the store was connected, too.
        """
        target = self.target(session, destination)
        rules = target.mapping.for_kind(event.kind or "")
        if not rules:
            return 0
        whole = complete_facts(target, shop, event, facts)
        late = not history and _before_start(session, shop, event)
        rows = [_row(target, destination.held, event, rule, late=late) for rule in rules if rule.applies(whole)]
        if not rows:
            return 0
        insert = _INSERTS[session.get_bind().dialect.name]
        return int(session.connection().execute(insert, rows).rowcount)


def _reason(error: Exception) -> str:
    """What a person can mend, in its words; a bug of ours by its kind alone."""
    if isinstance(error, Locked | MappingError):
        return str(error)
    log.error("deliveries could not be worked out", exc_info=error)
    return f"internal error while working out deliveries ({type(error).__name__})"


def _destinations(session: Session, shop: Shop) -> list[Destination]:
    """The shop's destinations that are not off; read once per transaction."""
    known: dict[int, list[Destination]] = session.info.setdefault("destinations", {})
    if shop.id not in known:
        wanted = select(Destination).where(Destination.shop_id == shop.id, Destination.mode != Mode.OFF)
        known[shop.id] = list(session.scalars(wanted.order_by(Destination.id)))
    return known[shop.id]


def _before_start(session: Session, shop: Shop, event: Event) -> bool:
    """Whether this happened before the store was connected: an old order that somebody edits is no new purchase.

    A shop that was added by hand has no such moment.
    """
    connected: dict[int, bool] = session.info.setdefault("connected", {})
    if shop.id not in connected:
        connected[shop.id] = session.get(Connection, shop.id) is not None
    return connected[shop.id] and event.occurred_at < shop.created_at - GRACE


def _row(target: Target, held: str | None, event: Event, rule: engine.Rule, *, late: bool) -> dict[str, Any]:
    action = PROVIDERS[target.provider].actions[rule.action]
    now = datetime.now(UTC)
    state, reason = (DeliveryState.HELD, held) if held else (DeliveryState.PENDING, None)
    if late:
        state, reason = DeliveryState.SKIPPED, BEFORE_START
    return {
        "shop_id": target.shop_id,
        "destination_id": target.id,
        "event_id": event.id,
        "provider": target.provider,
        "rule": rule.name,
        "action": rule.action,
        "subject": event.subject,
        "lane": event.subject if action.ordered else None,
        "once_key": f"{target.id}:{rule.action}:{event.subject}" if action.once and not late else None,
        "state": state,
        "reason": reason,
        "due_at": now,
        "since": now,
        "created_at": now,
        "attempts": 0,
        "doubt": False,
    }


#: What is owed already stays as it is: the unique constraints say what "already" means.
_INSERTS = {
    "sqlite": sqlite.insert(cast(Table, Delivery.__table__)).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(cast(Table, Delivery.__table__)).on_conflict_do_nothing(),
}


def complete_facts(target: Target, shop: Shop, event: Event, facts: Facts) -> Facts:
    """The event's own facts with those of the event, the shop and the destination's options."""
    whole = {
        **facts,
        "event": {"kind": event.kind, "id": str(event.id), "occurred_at": time_text(event.occurred_at)},
        "shop": {"platform": shop.platform, "domain": shop.domain, **shop.settings.get("facts", {})},
    }
    return {**whole, "options": PROVIDERS[target.provider].options(target.settings, whole)}


def effective(provider: str, own: str) -> files.MappingFile:
    """The default mapping with a merchant's own text over it."""
    default = files.load_default(provider)
    return files.merge(default, files.parse(own, source="your mapping")) if own.strip() else default


def _own_mapping(session: Session, destination: Destination) -> str:
    wanted = select(MappingVersion.text).where(
        MappingVersion.shop_id == destination.shop_id, MappingVersion.provider == destination.provider
    )
    return session.scalar(wanted.order_by(MappingVersion.version.desc()).limit(1)) or ""
