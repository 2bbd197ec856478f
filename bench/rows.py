"""What must be true of the rows once a round is at rest."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models import Attempt, Delivery, Destination, Webhook, WebhookState
from app.providers.registry import PROVIDERS
from bench.judged import Failed
from tests.rig import Rig


def check_rows(rig: Rig, stored: set[str]) -> None:
    """Every webhook answered 200 is here and read; no row without an owner; nothing repeated on a guess.

    Args:
        stored: SHA-256 of the bodies that were answered 200.
    """
    with rig.db.read() as session:
        known = set(session.scalars(select(Webhook.body_hash).where(Webhook.state == WebhookState.DONE)))
        if lost := stored - known:
            raise Failed(f"{len(lost)} webhooks were answered 200 and are not accounted for")
        orphans = {
            "leases": Delivery.leased_until.is_not(None),
            "held deliveries": Delivery.state == "held",
            "attempts without an outcome": Attempt.outcome.is_(None),
            "held destinations": Destination.held.is_not(None),
            "destinations that missed events": Destination.missed_from.is_not(None),
        }
        for name, condition in orphans.items():
            if number := session.scalar(select(func.count()).where(condition)):
                raise Failed(f"{number} {name} were left")
        _check_repeats(session)


def _check_repeats(session: Session) -> None:
    """What would count twice is sent again only after a refusal, or once the provider said that it has nothing."""
    wanted = select(Attempt, Delivery.provider, Delivery.action).join(Delivery, Delivery.id == Attempt.delivery_id)
    maybe_there: set[int] = set()
    for attempt, provider, action in session.execute(wanted.order_by(Attempt.delivery_id, Attempt.id)):
        if PROVIDERS[provider].actions[action].repeatable:
            continue
        if attempt.purpose == "send" and attempt.delivery_id in maybe_there:
            raise Failed(f"{provider} {action}: delivery {attempt.delivery_id} was repeated on a guess")
        if attempt.purpose == "send" and attempt.outcome in ("answer lost", "accepted"):
            maybe_there.add(attempt.delivery_id)
        if attempt.outcome == "absent":
            maybe_there.discard(attempt.delivery_id)
