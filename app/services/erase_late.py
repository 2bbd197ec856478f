"""Erase late: what a store tells of somebody after they were erased, and of a time before that.

Webhooks come up to a day late, and a reconciliation shows an order as the store still has it. Both are taken in without
the person: amounts and states count, and nothing of it is sent. What happened after the erasure is new data.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from app.models import Webhook
from app.services import bodies, kept
from app.services.kept import BODIES, FACTS, Traces
from app.services.observe import Stored
from app.services.packing import compress, pack
from app.services.persons import Found, Person, Subject

Facts = dict[str, Any]

MARK = "erased"  #: in a ledger's state, and in each order, cart and checkout: when its person was taken out, UTC text


def erased_at(state: Facts) -> str | None:
    """Until when all that is told is without its person, UTC text; None where nobody was taken out of ``state``."""
    known: Facts = next((state[name] for name in ("order", "cart") if state.get(name)), {})
    times = [each for each in (state.get(MARK), known.get(MARK)) if each]
    if not times:
        return None
    # An older version noted no time; and a store's clock may be ahead of ours.
    times += [known.get("updated_at", "")] if known.get(MARK) else []
    return max((each for each in times if isinstance(each, str)), default="")


def is_late(state: Facts, told_at: str | None) -> bool:
    """Whether what is told of ``told_at`` was so before the person was taken out of a ledger's state."""
    erased = erased_at(state)
    return erased is not None and told_at is not None and told_at <= erased


def without_person(session: Session, webhook: Stored, subject: Subject, facts: Facts, state: Facts) -> Facts:
    """``facts`` of a late webhook as they are kept, and marked as such; its body is cleaned in the same transaction."""
    found = Found(Person())
    found.add(subject, {subject[0]: facts})
    clean_body(session, webhook, found)
    clean: Facts = FACTS.keep(facts, found.traces)
    return {**clean, MARK: erased_at(state)}


def beside(session: Session, webhook: Stored, told: Facts) -> Facts:
    """As `without_person`, of what came by itself about an order: a refund, with its readings, or nothing."""
    traces = clean_body(session, webhook, Found(Person()))
    readings = {name: FACTS.keep(each, traces) for name, each in told.get("readings", {}).items()}
    return {**FACTS.keep(told, traces), **({"readings": readings} if readings else {})}


def clean_body(session: Session, webhook: Stored, found: Found) -> Traces:
    """Take everybody out of a webhook as it came; return what identified them."""
    body = bodies.read(webhook.body)
    found.learn(*bodies.shown_by(body))
    values = {
        "headers": kept.headers(webhook.headers, found.traces),
        "body": compress(b"{}") if body is None else pack(BODIES[webhook.platform].keep(body, found.traces)),
    }
    session.execute(
        update(Webhook).where(Webhook.id == webhook.id).values(**values).execution_options(synchronize_session=False)
    )
    return found.traces
