"""Resend: what a person does to many deliveries at once, counted before and kept in the audit trail."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Delivery, Destination, Mode
from app.providers.registry import PROVIDERS
from app.services import audit, holds, replay
from app.services.delivery_list import Choice, chosen
from app.services.errors import NotFound, Wrong
from app.services.replay import FINISHED
from app.services.said import mark

AT_ONCE = 500  #: deliveries that one press sends again


@dataclass(frozen=True, slots=True)
class Resending:
    """What sending a choice again means, or meant."""

    found: int
    sent: int  #: that go out, or would
    twice: int  #: that the provider might count a second time
    overtaken: int  #: of which the provider has a newer state, so an older one would put it back
    more: bool  #: more of them are left than one press sends
    waiting: int = 0  #: of those that go out: kept until their provider is switched on, or lets go on
    mark: str = field(default="", compare=False)  #: stands for just these deliveries, and what each of them is


def resend(
    session: Session, shop_id: int, choice: Choice, *, twice: bool, actor: str | None, most: int = AT_ONCE
) -> Resending:
    """Count what would be sent again, and send it where ``actor`` says who wants that. The oldest go first.

    Args:
        twice: also what the provider might count a second time.
    """
    wanted = chosen(session, shop_id, choice).where(Delivery.state.in_(FINISHED)).order_by(Delivery.id)
    if actor:
        wanted = wanted.with_for_update()
    found = session.scalars(wanted.limit(most + 1)).all()
    taken = found[:most]
    done = replay.replay(session, taken, force=twice, dry_run=actor is None)
    left_out = {*done["refused"], *done["superseded"]}
    goes = [each.id for each in taken if each.id not in left_out]
    result = Resending(
        found=len(taken),
        sent=len(goes),
        twice=len(done["refused"]),
        overtaken=len(done["superseded"]),
        waiting=done["waiting"],
        more=len(found) > most,
        mark=_mark(goes, done["refused"], done["superseded"]),
    )
    if actor and result.sent:
        after = {"number": len(goes), "twice": twice, "first": goes[0], "last": goes[-1]}
        audit.record(session, shop_id=shop_id, actor=actor, action="resend deliveries", after=after)
    return result


def _mark(*groups: Sequence[int]) -> str:
    return hashlib.sha256(repr([sorted(each) for each in groups]).encode()).hexdigest()


def release(session: Session, shop_id: int, provider: str, *, actor: str) -> int:
    """Try at once what one destination holds; return how many deliveries that are.

    Raises:
        NotFound: the shop has no such destination.
        Wrong: it is off, so nothing would go out.
    """
    wanted = select(Destination).where(Destination.shop_id == shop_id, Destination.provider == provider)
    destination = session.scalar(wanted.with_for_update())
    if destination is None:
        raise NotFound("there is no such destination")
    if destination.mode == Mode.OFF:
        title = PROVIDERS[provider].title
        raise Wrong(
            mark(
                "{title} is switched off, so nothing was sent. What is held stays: switch it on, and it goes out."
            ).format(title=title)
        )
    before = {"provider": provider, "held": destination.held is not None}  # the reason may quote what was sent
    released = holds.release(session, destination.id)
    after = {"provider": provider, "number": released}
    audit.record(session, shop_id=shop_id, actor=actor, action="try held deliveries", before=before, after=after)
    return released
