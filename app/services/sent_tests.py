"""Test orders: which providers are told of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Delivery, DeliveryState, Destination
from app.providers.choices import TEST_ORDERS
from app.providers.registry import PROVIDERS
from app.services import audit
from app.services.causes import ENOUGH, LATELY

LEFT_OUT = "test_order"  #: the reason of a skip, in the default mappings


class Overtaken(Exception):
    """Somebody else saved since the form was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One provider that is set up and can be told of test orders."""

    provider: str
    title: str
    mode: str
    sent: bool
    left_out: int  #: deliveries of test orders lately, as far as the newest skipped ones tell


def choices(session: Session, shop_id: int, now: datetime) -> list[Choice]:
    rows = _rows(session, shop_id)
    left_out = _left_out(session, shop_id, now)
    return [
        Choice(
            provider=row.provider,
            title=PROVIDERS[row.provider].title,
            mode=row.mode,
            sent=_sent(row),
            left_out=left_out[row.provider],
        )
        for row in rows
    ]


def version(found: Iterable[Choice]) -> str:
    """Tells two states apart; for a form to say which one it shows."""
    return _mark((each.provider, each.sent) for each in found)


def save(session: Session, shop_id: int, sent: Sequence[str], seen: str, actor: str) -> None:
    """Tell these providers of test orders from now on, and no others. What was left out stays so unless it is resent.

    Raises:
        Overtaken: another form was faster; nothing was saved.
    """
    rows = _rows(session, shop_id, lock=True)
    if _mark((row.provider, _sent(row)) for row in rows) != seen:
        raise Overtaken
    before = [row.provider for row in rows if _sent(row)]
    after = [row.provider for row in rows if row.provider in sent]
    if after == before:
        return
    for row in rows:
        if _sent(row) != (row.provider in after):
            row.options = {**row.options, TEST_ORDERS.name: row.provider in after}
            row.updated_at = datetime.now(UTC)  # what was made of the options before is out of date
    change = {"before": {"test orders go to": before}, "after": {"test orders go to": after}}
    audit.record(session, shop_id=shop_id, actor=actor, action="change test orders", **change)


def _rows(session: Session, shop_id: int, *, lock: bool = False) -> list[Destination]:
    wanted = select(Destination).where(Destination.shop_id == shop_id).order_by(Destination.provider)
    rows = session.scalars(wanted.with_for_update() if lock else wanted)
    return [row for row in rows if TEST_ORDERS in PROVIDERS[row.provider].settings]


def _sent(row: Destination) -> bool:
    return bool(row.options.get(TEST_ORDERS.name, TEST_ORDERS.default))


def _mark(states: Iterable[tuple[str, bool]]) -> str:
    return hashlib.sha256(repr(list(states)).encode()).hexdigest()[:16]


def _left_out(session: Session, shop_id: int, now: datetime) -> Counter[str]:
    mine = (Delivery.shop_id == shop_id, Delivery.state == DeliveryState.SKIPPED)
    wanted = select(Delivery.provider, Delivery.reason, Delivery.created_at).where(*mine)
    rows = session.execute(wanted.order_by(Delivery.id.desc()).limit(ENOUGH))
    return Counter(row.provider for row in rows if row.reason == LEFT_OUT and row.created_at >= now - LATELY)
