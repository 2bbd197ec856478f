"""Prepare: from a delivery to the payload that its event and mapping make, or the reason why none is owed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, and_, bindparam, literal_column, select
from sqlalchemy.orm import Session

from app.models import Delivery, DeliveryState, Event, Ledger, Mode, Shop
from app.models.delivery import OPEN, among
from app.providers.base import Action, Payload
from app.providers.errors import NeedsMending
from app.providers.registry import PROVIDERS
from app.services import amounts
from app.services.amounts import Reversed, reversal
from app.services.one_of import one_of
from app.services.packing import unpack
from app.services.route import Target, complete_facts
from app.services.rows import ATTEMPTS, DELIVERIES, Row
from app.services.said import mark
from app.services.shapes import misfit
from connectors.events import time_text
from mappings.engine import CompiledMapping, Skip
from mappings.errors import MappingError

Facts = dict[str, Any]

ALREADY_SENT = "already_sent"  #: another trigger gave the provider what happens once, or is about to
NOT_CANCELLED = "not_cancelled"  #: it was when this was told, and is not any more
NOTHING_TO_REVERSE = "nothing_to_reverse"  #: the purchase was not accepted (yet), or all of it was taken back


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    payload: Payload
    complaints: list[str]
    effect: dict[str, Any]  #: to be kept once accepted
    received_at: datetime


class Sources:
    """What deliveries are made of, read for all that one transaction claims."""

    def __init__(self, session: Session, rows: Sequence[Row]) -> None:
        self.session = session
        connection = session.connection()
        ids = {"ids": sorted({row.event_id for row in rows})}
        self._events = {event.id: event for event in connection.execute(_EVENTS, ids)}
        self._told: dict[int, Facts] = {}
        shops = {"ids": sorted({row.shop_id for row in rows})}
        self._shops = {shop.id: shop for shop in connection.execute(_SHOPS, shops)}
        self._alike: dict[tuple[int, str, str | None], list[Any]] = defaultdict(list)
        for other in connection.execute(_OTHERS, {"ids": [row.id for row in rows if _compared(row)]}):
            self._alike[other.destination_id, other.action, other.subject].append(other)

    def event(self, row: Row) -> Any:
        """A row with the columns of `Event` that make facts; None for an event that is gone."""
        return self._events.get(row.event_id)

    def shop(self, row: Row) -> Any:
        return self._shops.get(row.shop_id)

    def told(self, row: Row) -> Facts:
        """The event's own facts, not to be changed: others read them too."""
        if row.event_id not in self._told:
            self._told[row.event_id] = unpack(self._events[row.event_id].facts)
        return self._told[row.event_id]

    def alike(self, row: Row) -> Iterator[Any]:
        """The open, delivered and unknown deliveries of the same action for the same order to the same destination."""
        alike = self._alike[row.destination_id, row.action, row.subject] if row.subject is not None else ()
        return (other for other in alike if other.id != row.id)


def _compared(row: Row) -> bool:
    """Whether what became of others of its kind matters to it."""
    action = PROVIDERS[row.provider].actions[row.action]
    return bool(action.collapse or action.once or action.unchanged)


def prepare(sources: Sources, target: Target, row: Row) -> Prepared | Skip:
    """Render a delivery as its destination's settings, mapping and history stand now.

    Raises:
        MappingError: the mapping cannot make a payload of these facts.
        NeedsMending: the payload may not go as things are.
    """
    action = PROVIDERS[target.provider].actions[row.action]
    if action.collapse and _newer(sources, row):
        return Skip("superseded")
    if action.once and _given(sources, row):
        return Skip(ALREADY_SENT)
    event, shop = sources.event(row), sources.shop(row)
    if event is None or shop is None or event.facts is None:
        return Skip("erased")
    told = sources.told(row)
    if erased(told):
        return Skip("erased")
    facts = complete_facts(target, shop, event, told)
    if action.reverses:
        if (passed := _passed(sources.session, row, event, facts)) is not None:
            return Skip(passed)
        facts["reversal"] = _reversal(sources.session, target, row, action, event, facts)
    payload = render(target, row.rule, action, facts)
    if isinstance(payload, Skip):
        return payload
    effect = effect_of(action, payload, facts)
    if action.unchanged and _as_last(sources, row, effect["fingerprint"]):
        return Skip("unchanged")
    if reason := action.hold(payload, facts, target.settings):
        raise NeedsMending(reason)
    return Prepared(
        payload=payload, complaints=action.check(payload, facts), effect=effect, received_at=event.received_at
    )


def erased(facts: Facts) -> bool:
    """Whether the person was taken out of the facts by a privacy request."""
    return any((facts.get(name) or {}).get("erased") for name in ("order", "cart", "checkout"))


def render(
    target: Target, rule_name: str, action: Action, facts: Facts, *, mapping: CompiledMapping | None = None
) -> Payload | Skip:
    """The payload of one rule for ``facts``, complete as the action demands."""
    if action.reverses and facts.get("reversal") is None:
        return Skip(NOTHING_TO_REVERSE)
    rule = (mapping or target.mapping).by_name(rule_name)
    if rule is None:
        return Skip("rule_removed")
    payload = rule.render(facts)
    if isinstance(payload, Skip):
        return payload
    missing = sorted(name for name in action.required if name not in payload)
    if missing:
        raise MappingError(
            mark("the payload lacks {missing}, which {title} needs").format(
                missing=", ".join(missing), title=PROVIDERS[target.provider].title
            ),
            source=target.provider,
            rule=rule_name,
            path=missing[0],
        )
    if found := misfit(target.provider, rule.action, payload):
        raise MappingError(found[1], source=target.provider, rule=rule_name, path=found[0])
    return payload


def _newer(sources: Sources, row: Row) -> bool:
    """Whether a later state of the order is on its way, or was accepted: an older one would set it back."""
    return any(other.event_id > row.event_id and other.state != DeliveryState.UNKNOWN for other in sources.alike(row))


def _given(sources: Sources, row: Row) -> bool:
    """Whether another trigger gave the provider what happens once, or is about to.

    A skipped delivery gave its ``once_key`` back for that; one that a person replays must not come on top of it.
    """
    return any(row.once_key is None or other.state in _SURE for other in sources.alike(row))


def _passed(session: Session, delivery: Row, event: Any, facts: Facts) -> str | None:
    """Why a reversal is not owed any more as the order stands today: a failed payment may have been tried again."""
    row = session.scalar(
        select(Ledger).where(
            Ledger.shop_id == delivery.shop_id, Ledger.kind == "order", Ledger.key == (event.subject or "")
        )
    )
    order = unpack(row.state).get("order") if row is not None else None
    if order is None or "refund" in facts or order.get("cancelled"):
        return None
    return NOT_CANCELLED


def _reversal(
    session: Session, target: Target, delivery: Row, action: Action, event: Any, facts: Facts
) -> Facts | None:
    """What may still be taken back of what this destination was given; None for nothing."""
    states = (
        (DeliveryState.DELIVERED, DeliveryState.SHADOW) if target.mode == Mode.SHADOW else (DeliveryState.DELIVERED,)
    )
    given = select(Event.facts, Delivery.effect).join(Delivery, Delivery.event_id == Event.id)
    given = given.where(
        Delivery.destination_id == delivery.destination_id,
        Delivery.subject == delivery.subject,
        Delivery.action == action.reverses,
        Delivery.state.in_(states),
    )
    row = session.execute(given.order_by(Delivery.id.desc()).limit(1)).first()
    if row is None or row.facts is None:
        return None
    # The order as it was given: an edit since then changes what is owed, not what there is to take back, nor from whom.
    order = unpack(row.facts)["order"]
    taken = reversal(order, facts.get("refund"), _done(session, delivery, states), time_text(event.occurred_at))
    return taken and {**taken, **kept(row.effect)}


def _done(session: Session, delivery: Row, states: tuple[DeliveryState, ...]) -> Reversed:
    effects = session.scalars(
        select(Delivery.effect).where(
            Delivery.destination_id == delivery.destination_id,
            Delivery.subject == delivery.subject,
            Delivery.action == delivery.action,
            Delivery.state.in_(states),
            Delivery.id != delivery.id,
        )
    ).all()
    return Reversed.of(effect or {} for effect in effects)


def kept(effect: Mapping[str, Any] | None) -> Facts:
    """What of an accepted payload stands in ``reversal``; nothing where it was accepted before this was kept."""
    return dict((effect or {}).get("kept", {}))


def effect_of(action: Action, payload: Payload, facts: Facts) -> dict[str, Any]:
    """What later deliveries must know of this one, once it was accepted."""
    effect: dict[str, Any] = {}
    if action.unchanged:
        effect["fingerprint"] = [_at(payload, path) for path in action.unchanged]
    if action.kept:
        effect["kept"] = {name: payload[path] for name, path in action.kept.items() if path in payload}
    taken = facts.get("reversal")
    if taken:
        effect |= amounts.effect_of(taken)
    return effect


def _at(payload: Mapping[str, Any], path: str) -> Any:
    found: Any = payload
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _as_last(sources: Sources, row: Row, fingerprint: list[Any]) -> bool:
    """Whether the provider surely holds just this: the last accepted one was alike, and nothing was sent since."""
    if not any(other.state == DeliveryState.DELIVERED for other in sources.alike(row)):
        return False
    alike = {"destination": row.destination_id, "subject": row.subject, "action": row.action}
    last = sources.session.execute(_LAST, alike).first()
    if last is None or (last.effect or {}).get("fingerprint") != fingerprint:
        return False
    return sources.session.scalar(_LOST, {**alike, "at": last.delivered_at}) is None


# Made once, of tables: they cost a tenth of what they cost if made of objects each time.
_D, _A, _E = DELIVERIES.c, ATTEMPTS.c, cast(Table, Event.__table__).c
_EVENTS = select(_E.id, _E.kind, _E.subject, _E.occurred_at, _E.received_at, _E.facts).where(one_of(_E.id, "ids"))
_S = cast(Table, Shop.__table__).c
_SHOPS = select(_S.id, _S.platform, _S.domain, _S.settings).where(one_of(_S.id, "ids"))
_SURE = (DeliveryState.DELIVERED, DeliveryState.UNKNOWN)
_O = DELIVERIES.alias()
_OTHERS = (
    select(_O.c.id, _O.c.destination_id, _O.c.action, _O.c.subject, _O.c.event_id, _O.c.state)
    .distinct()
    .join_from(
        DELIVERIES,
        _O,
        and_(
            _O.c.destination_id == _D.destination_id,
            _O.c.subject == _D.subject,
            _O.c.action == _D.action,
            _O.c.id != _D.id,
            among(_O.c.state, (*OPEN, *_SURE)),
        ),
    )
    .where(one_of(_D.id, "ids"))
)
_ALIKE = (
    _D.destination_id == bindparam("destination"),
    _D.subject == bindparam("subject"),
    _D.action == bindparam("action"),
)
_LAST = (
    select(_D.effect, _D.delivered_at)
    .where(*_ALIKE, among(_D.state, (DeliveryState.DELIVERED,)))
    .order_by(_D.delivered_at.desc(), _D.id.desc())
    .limit(literal_column("1"))
)
_LOST = (
    select(_A.id)
    .join(DELIVERIES, _D.id == _A.delivery_id)
    .where(*_ALIKE, _A.purpose == "send", _A.outcome == "answer lost", _A.started_at > bindparam("at"))
    .limit(literal_column("1"))
)
