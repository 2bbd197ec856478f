"""Route: which destinations an event is owed to, by their mappings."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, cast

from sqlalchemy import Table, Update, case, delete, literal_column, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.models import Delivery, DeliveryState, Destination, Event, EventState, MappingVersion, Mode, Shop
from app.providers.base import Provider
from app.providers.registry import PROVIDERS
from app.services import owed
from app.services.holds import hold
from app.services.one_of import one_of
from app.services.owed import BEFORE_START, Row, Told, too_old
from app.services.packing import unpack
from app.services.secrets import Locked, Vault
from connectors.events import time_text
from mappings import files
from mappings.engine import CompiledMapping
from mappings.errors import MappingError

log = logging.getLogger(__name__)

Facts = dict[str, Any]

CHUNK = 200  #: missed events that one transaction makes up for


@dataclass(frozen=True, slots=True)
class Target:
    """A destination, ready for use: settings complete, mapping compiled."""

    id: int
    shop_id: int
    provider: str
    mode: str
    settings: dict[str, Any]
    mapping: CompiledMapping
    public: dict[str, Any] = field(init=False)  #: the settings without secrets

    def __post_init__(self) -> None:
        object.__setattr__(self, "public", PROVIDERS[self.provider].public(self.settings))


class On(NamedTuple):
    """A destination that is not off, as it stands in this transaction: what is asked of it for every event."""

    id: int
    shop_id: int
    provider: str
    mode: str
    held: str | None
    missed_from: int | None
    updated_at: datetime


class Router:
    """Creates deliveries for events, and knows the destinations' compiled mappings."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._targets: dict[int, tuple[datetime, Target]] = {}
        self._lock = threading.Lock()

    def target(self, session: Session, destination: Destination) -> Target:
        """``destination`` with its mapping; made once per change of either (both move ``updated_at``)."""
        if known := self._known(destination.id, destination.updated_at):
            return known
        provider = PROVIDERS[destination.provider]
        given = {**destination.options, **self._vault.open(destination.secrets)}
        target = Target(
            id=destination.id,
            shop_id=destination.shop_id,
            provider=destination.provider,
            mode=destination.mode,
            settings=provider.complete(given),
            mapping=_compiled(destination.provider, _own_mapping(session, destination)),
        )
        with self._lock:
            self._targets[destination.id] = (destination.updated_at, target)
        return target

    def ready(self, session: Session, on: On) -> Target:
        """As `target`; the destination itself is read only where it changed."""
        return self._known(on.id, on.updated_at) or self.target(session, session.get_one(Destination, on.id))

    def _known(self, destination_id: int, updated_at: datetime) -> Target | None:
        with self._lock:
            found = self._targets.get(destination_id)
        return found[1] if found and found[0] == updated_at else None

    def find(self, session: Session, shop: Shop, provider: Provider) -> Target | None:
        """The shop's destination of that provider, on or off."""
        wanted = select(Destination).where(Destination.shop_id == shop.id, Destination.provider == provider.name)
        destination = session.scalar(wanted)
        return self.target(session, destination) if destination else None

    def with_mapping(self, session: Session, shop: Shop, provider: Provider, mapping: CompiledMapping) -> Target:
        """As `find`, with another mapping than the one that counts; where nothing is set up yet, by the defaults."""
        wanted = select(Destination).where(Destination.shop_id == shop.id, Destination.provider == provider.name)
        row = session.scalar(wanted)
        return Target(
            id=row.id if row else 0,
            shop_id=shop.id,
            provider=provider.name,
            mode=row.mode if row else Mode.OFF,
            settings=provider.complete({**row.options, **self._vault.open(row.secrets)} if row else {}),
            mapping=mapping,
        )

    def route(self, session: Session, told: Sequence[Told]) -> None:
        """Write the deliveries that events owe, in the caller's transaction."""
        events: dict[int, list[Told]] = defaultdict(list)
        for each in told:
            events[each.shop.id].append(each)
        destinations = _switched_on(session, events)
        owed.look_ahead(session, (each for shop_id in {on.shop_id for on in destinations} for each in events[shop_id]))
        rows: list[Row] = []
        missed: list[tuple[int, str | None, int]] = []
        for on in destinations:
            event = events[on.shop_id][0]
            try:
                held = _still_held(session, on)
                target = self._caught_up(session, on, event.shop)
                if target is None:
                    missed.append((on.id, None, event.id))
                    continue
                for event in events[on.shop_id]:
                    rows += rows_owed(session, target, held, event.shop, event, event.facts)
            except SQLAlchemyError:
                raise
            except Exception as error:
                # What the event owes cannot be worked out now. The event counts all the same, for the others.
                missed.append((on.id, why(error), event.id))
        owed.write(session, sorted(rows, key=lambda row: int(row["event_id"])))
        for destination_id, reason, event_id in missed:
            if reason is not None:
                hold(session, destination_id, reason, datetime.now(UTC))
            # Ours since `hold`, or `_caught_up`: somebody else may have caught up since it was read, and be past ours.
            earlier = Destination.missed_from < event_id
            session.execute(
                _miss(destination_id).values(missed_from=case((earlier, Destination.missed_from), else_=event_id))
            )

    def _caught_up(self, session: Session, on: On, shop: Shop) -> Target | None:
        """The destination, ready for use; None where it has missed more than can be made up for in passing.

        Then nothing new is owed to it either: what it missed comes first.
        """
        if on.missed_from is None:
            return self.ready(session, on)
        destination = session.scalars(LOCKED.where(Destination.id == on.id)).one()
        return self.target(session, destination) if self.make_up(session, destination, shop) else None

    def make_up(self, session: Session, destination: Destination, shop: Shop) -> bool:
        """Make up for the first events that came while the destination's deliveries could not be worked out.

        What is owed already stays single. Return whether none is left.

        Args:
            destination: as `LOCKED` has it: whoever misses another event meanwhile waits, and notes it after this.
        """
        if destination.missed_from is None:
            return True
        self.target(session, destination)
        wanted = select(Event).where(
            Event.shop_id == shop.id, Event.id >= destination.missed_from, Event.state == EventState.UNDERSTOOD
        )
        missed = session.scalars(wanted.order_by(Event.id).limit(CHUNK)).all()
        for each in missed:
            if each.facts is not None:
                self.owe(session, destination, shop, each, unpack(each.facts))
        whole = len(missed) < CHUNK
        session.execute(_miss(destination.id).values(missed_from=None if whole else missed[-1].id + 1))
        return whole

    def owe(
        self,
        session: Session,
        destination: Destination,
        shop: Shop,
        event: Event,
        facts: Facts,
        *,
        history: bool = False,
    ) -> None:
        """Write the deliveries that ``event`` owes to one destination; those that it was given already stay.

        Args:
            history: a person asked for what happened before the store was connected, too.
        """
        target = self.target(session, destination)
        owed.write(session, rows_owed(session, target, destination.held, shop, event, facts, history=history))

    def redate(self, session: Session, shop: Shop, event: Event, at: datetime) -> None:
        """``event`` turned out to have happened at ``at``: what it does not owe for its age alone is owed after all."""
        old = (
            Delivery.event_id == event.id,
            Delivery.state == DeliveryState.SKIPPED,
            Delivery.reason == BEFORE_START,
        )
        destinations = session.scalars(select(Delivery.destination_id).where(*old).distinct()).all()
        if not destinations or too_old(shop, at):
            return
        event.occurred_at = at
        session.execute(delete(Delivery).where(*old).execution_options(synchronize_session=False))
        wanted = select(Destination).where(Destination.id.in_(destinations), Destination.mode != Mode.OFF)
        for destination in session.scalars(wanted.order_by(Destination.id)):
            self.owe(session, destination, shop, event, unpack(event.facts or b""))


def why(error: Exception) -> str:
    """What a person can mend, in its words; a bug of ours by its kind alone."""
    if isinstance(error, Locked | MappingError):
        return str(error)
    log.error("deliveries could not be worked out", exc_info=error)
    return f"internal error while working out deliveries ({type(error).__name__})"


def _switched_on(session: Session, shop_ids: Collection[int]) -> list[On]:
    """The destinations of some shops that are not off, by their numbers."""
    if not shop_ids:
        return []
    return [On(*row) for row in session.connection().execute(_SWITCHED_ON, {"shops": sorted(shop_ids)})]


def _still_held(session: Session, on: On) -> str | None:
    """Make sure of a hold before deliveries are written as held: a release that came between would not see them.

    It waits for our commit, or we for its.
    """
    if on.held is None:
        return None
    return session.scalar(select(Destination.held).where(Destination.id == on.id).with_for_update(read=True))


def _miss(destination_id: int) -> Update:
    return update(Destination).where(Destination.id == destination_id).execution_options(synchronize_session=False)


LOCKED = select(Destination).with_for_update(key_share=True).execution_options(populate_existing=True)
_D = cast(Table, Destination.__table__).c
_SWITCHED_ON = (
    select(*[_D[name] for name in On._fields])
    .where(one_of(_D.shop_id, "shops"), _D.mode != literal_column(f"'{Mode.OFF}'"))
    .order_by(_D.id)
)


def rows_owed(
    session: Session,
    target: Target,
    held: str | None,
    shop: Shop,
    event: Event | Told,
    facts: Facts,
    *,
    history: bool = False,
) -> list[Row]:
    """The deliveries that ``event`` owes to one destination, as rows."""
    rules = target.mapping.for_kind(event.kind or "")
    if any(rule.conditional for rule in rules):
        whole = complete_facts(target, shop, event, facts)
        rules = tuple(rule for rule in rules if rule.applies(whole))
    if not rules:
        return []
    late = not history and owed.before_start(session, shop, event)
    told = owed.maybe_told(shop, event)
    return [owed.row(target, held, event, rule, late=late, told=told) for rule in rules]


def complete_facts(target: Target, shop: Shop, event: Event | Told, facts: Facts) -> Facts:
    """The event's own facts with those of the event, the shop and the destination's options."""
    whole = {
        **facts,
        "event": {"kind": event.kind, "id": str(event.id), "occurred_at": time_text(event.occurred_at)},
        "shop": {"platform": shop.platform, "domain": shop.domain, **shop.settings.get("facts", {})},
    }
    worked_out = PROVIDERS[target.provider].worked_out(target.settings, whole)
    return {**whole, "options": {**target.public, **worked_out}}


def effective(provider: str, own: str) -> files.MappingFile:
    """The default mapping with a merchant's own text over it."""
    default = files.load_default(provider)
    return files.merge(default, files.parse(own, source="your mapping")) if own.strip() else default


@lru_cache(1000)
def _compiled(provider: str, own: str) -> CompiledMapping:
    """Shared by all shops that have the same: it takes 10 ms, while others wait to write."""
    return files.compile(effective(provider, own))


def _own_mapping(session: Session, destination: Destination) -> str:
    wanted = select(MappingVersion.text).where(
        MappingVersion.shop_id == destination.shop_id, MappingVersion.provider == destination.provider
    )
    return session.scalar(wanted.order_by(MappingVersion.version.desc()).limit(1)) or ""
