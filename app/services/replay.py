"""Replay: a person sends finished deliveries again, knowing what that would count twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import clock
from app.models import Attempt, Delivery, DeliveryState, Destination, Mode
from app.providers.registry import PROVIDERS
from app.services import audit
from app.services.errors import NotFound, Wrong
from app.services.rows import TAKEN
from app.services.said import mark
from app.services.settle import confirm

OFF = mark("the destination is off")
AT_ONCE = 500  #: orders that the database is asked about in one question
FINISHED = (
    DeliveryState.DELIVERED,
    DeliveryState.SKIPPED,
    DeliveryState.DEAD,
    DeliveryState.SHADOW,
    DeliveryState.UNKNOWN,
    DeliveryState.HELD,
)


def choose(
    session: Session,
    *,
    ids: Sequence[int] = (),
    shop_id: int | None = None,
    provider: str | None = None,
    state: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    lock: bool = True,
) -> list[Delivery]:
    """The deliveries meant; those still under way are left out.

    Args:
        lock: keep them as they are found, so that no worker sends meanwhile what waits to be sent again.
    """
    if not ids and shop_id is None:
        raise Wrong("give delivery IDs, or --shop with a choice of them")
    wanted = select(Delivery).where(Delivery.state.in_(FINISHED)).order_by(Delivery.id)
    for value, column in ((shop_id, Delivery.shop_id), (provider, Delivery.provider), (state, Delivery.state)):
        if value is not None:
            wanted = wanted.where(column == value)
    if ids:
        wanted = wanted.where(Delivery.id.in_(ids))
    if since:
        wanted = wanted.where(Delivery.created_at >= since)
    if until:
        wanted = wanted.where(Delivery.created_at < until)
    chosen = list(session.scalars(wanted.with_for_update() if lock else wanted))
    if ids:
        _all_there(session, ids)
    return chosen


def _all_there(session: Session, ids: Sequence[int]) -> None:
    missing = sorted(set(ids) - set(session.scalars(select(Delivery.id).where(Delivery.id.in_(ids)))))
    if missing:
        raise NotFound(
            f"there is no delivery {', '.join(map(str, missing))}: `tillwire deliveries list` shows them all"
        )


def counted_twice(session: Session, deliveries: Sequence[Delivery]) -> set[int]:
    """Those that, sent again, may count a second time at the provider: it has them, had them before they were sent
    again, or may have them, for an answer was lost and nobody has asked since."""
    risky = [each for each in deliveries if _adds(each)]
    found = {each.id for each in risky if each.doubt or each.state in (DeliveryState.DELIVERED, DeliveryState.UNKNOWN)}
    others = [each.id for each in risky if each.id not in found]
    for start in range(0, len(others), AT_ONCE):
        taken = select(Attempt.delivery_id).where(Attempt.delivery_id.in_(others[start : start + AT_ONCE]), TAKEN)
        found |= set(session.scalars(taken))
    return found


def _adds(delivery: Delivery) -> bool:
    action = PROVIDERS[delivery.provider].actions[delivery.action]
    return action.adds_value and not action.repeatable


def overtaken(session: Session, deliveries: Sequence[Delivery]) -> set[int]:
    """Those of which the provider took a later state of the same order or cart: sent again, they would put it back."""
    found: set[int] = set()
    for group in _in_groups(deliveries):
        one = group[0]
        taken = select(Delivery.subject, func.max(Delivery.id).label("last")).where(
            Delivery.destination_id == one.destination_id,
            Delivery.subject.in_({each.subject for each in group}),
            Delivery.action == one.action,
            Delivery.state == DeliveryState.DELIVERED,
        )
        newest = {row.subject: row.last for row in session.execute(taken.group_by(Delivery.subject))}
        found |= {each.id for each in group if newest.get(each.subject, 0) > each.id}
    return found


def _in_groups(deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Those that only the newest state of matters, by destination and action, not too many to ask about at once."""
    groups: dict[tuple[int, str], list[Delivery]] = {}
    for each in deliveries:
        action = PROVIDERS[each.provider].actions[each.action]
        if action.collapse or action.unchanged:
            groups.setdefault((each.destination_id, each.action), []).append(each)
    for group in groups.values():
        for start in range(0, len(group), AT_ONCE):
            yield group[start : start + AT_ONCE]


def _may_go_back(delivery: Delivery) -> bool:
    """Where only the newest state matters not even a person may send an older one: nothing would correct it."""
    return not PROVIDERS[delivery.provider].actions[delivery.action].collapse


def replay(session: Session, chosen: Sequence[Delivery], *, force: bool, dry_run: bool) -> dict[str, Any]:
    """Count, and unless ``dry_run`` send again; without ``force`` not what would count twice or put back a state."""
    twice = set() if force else counted_twice(session, chosen)
    refused = [each for each in chosen if each.id in twice]
    late = overtaken(session, chosen)
    superseded = [each for each in chosen if each.id in late and not (force and _may_go_back(each))]
    left_out = {each.id for each in (*refused, *superseded)}
    allowed = [each for each in chosen if each.id not in left_out]
    states = dict(Counter(each.state for each in chosen))
    waiting = _waiting(session, {delivery.destination_id for delivery in allowed})
    if not dry_run:
        now = clock(session)
        for delivery in allowed:
            held = waiting.get(delivery.destination_id)
            delivery.state, delivery.reason = DeliveryState.PENDING, mark("sent again by a person")
            if held:
                delivery.state, delivery.reason = DeliveryState.HELD, held
            delivery.due_at = delivery.since = now
            delivery.attempts, delivery.doubt, delivery.effect, delivery.delivered_at = 0, False, None, None
    return {
        "found": len(chosen),
        "by_state": states,
        "replayed": 0 if dry_run else len(allowed),
        "would_replay": len(allowed),
        "waiting": sum(each.destination_id in waiting for each in allowed),
        "refused": [each.id for each in refused],
        "superseded": [each.id for each in superseded],
        "reason": "a repeat would count twice at the provider; --force sends all the same" if refused else None,
    }


def _waiting(session: Session, ids: set[int]) -> dict[int, str]:
    """The destinations that send nothing at the moment, and why."""
    rows = session.scalars(select(Destination).where(Destination.id.in_(ids)))
    reasons = {row.id: row.held or (OFF if row.mode == Mode.OFF else None) for row in rows}
    return {id_: reason for id_, reason in reasons.items() if reason}


def settle_unknown(session: Session, delivery: Delivery, applied: bool, actor: str) -> None:
    """A person looked up at the provider what became of a delivery whose answer was lost.

    Args:
        applied: the provider has it, so it counts as delivered; otherwise it is sent again, and counts once.
        actor: as in the audit trail.
    Raises:
        Wrong: nothing is unknown of it (any more).
    """
    if delivery.state != DeliveryState.UNKNOWN:
        raise Wrong(mark("This delivery is not unknown any more: somebody settled it already. Nothing was changed."))
    if applied:
        confirm(session, delivery, mark("a person found it at the provider"), clock(session))
    elif not replay(session, [delivery], force=True, dry_run=False)["replayed"]:
        raise Wrong(mark("The provider took a newer state of this order meanwhile, so this one is not sent again."))
    change = {"delivery": delivery.id, "found": applied, "state": str(delivery.state)}
    before = {"delivery": delivery.id, "state": str(DeliveryState.UNKNOWN)}
    audit.record(session, shop_id=delivery.shop_id, actor=actor, action="settle delivery", before=before, after=change)
