"""Look after a connected WooCommerce store: do its keys still work, are its webhooks there and active?

A store switches a webhook off without telling anybody, keeps no count that we could read, and never sends again what
failed. So every store is looked at on a schedule, and what a repair may have missed is fetched by reconciliation.

A round is claimed by a lease, which each change of the store renews: two rounds never work at one store, and one that
was overtaken by a disconnect or a new connection writes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from app.models import Connection, ConnectionState, LinkKey, Shop, Webhook
from app.services import audit, link_keys
from app.services.connections import EVERY
from app.services.errors import Failed
from app.services.said import mark
from app.services.secrets import Locked
from app.services.store_troubles import why_not
from app.services.stores import Stores, explorer, store_at, try_keys
from app.services.woocommerce_hooks import Kept, Round, Superseded, keep
from connectors.woocommerce.answers import StoreError, StoreUnavailable
from connectors.woocommerce.client import BASIC, WORDPRESS, Store
from connectors.woocommerce.hooks import ACTIVE

log = logging.getLogger(__name__)

PLATFORM = "woocommerce"
AGAIN = timedelta(minutes=5)  #: where the store did not answer
LEASE = timedelta(minutes=2)  #: longer than one call with its tries
RECENT = 1000  #: webhooks of a shop that are looked at for when a topic was last heard
_LIVE = (ConnectionState.CONNECTED, ConnectionState.ATTENTION, ConnectionState.UNPROVEN)
_SAFE = mark("What arrived before is safe, and what is missed now is fetched once it works again.")

Report = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class _Claim:
    """A connection as this round found it, and the lease on it."""

    stores: Stores
    shop_id: int
    url: str
    keys: Mapping[str, Any]
    auth: str
    state: str
    generation: int
    told: str | None  #: what the store's own webhooks complained of
    before: Report  #: of the last round
    now: datetime
    until: datetime
    began: float = field(default_factory=time.monotonic)

    def hold(self) -> None:
        """Renew the lease; raises `Superseded` where it is no longer ours."""
        until = self.now + timedelta(seconds=time.monotonic() - self.began) + LEASE
        with self.stores.db.write() as session:
            self.write(session, refreshing_until=until)
        self.until = until

    def write(self, session: Session, **values: Any) -> None:
        mine = (
            (Connection.shop_id == self.shop_id)
            & (Connection.generation == self.generation)
            & (Connection.refreshing_until == self.until)
            & Connection.state.in_(_LIVE)
        )
        written = session.execute(
            update(Connection).where(mine).values(**values), execution_options={"synchronize_session": False}
        )
        if not written.rowcount:  # type: ignore[attr-defined]
            raise Superseded


def check(stores: Stores, shop_id: int, now: datetime) -> Report:
    """Look at the store, mend its webhooks, and remember what was found; return that.

    Returns:
        ``at``; ``topics``: by topic ``state`` (active, paused, missing, not offered), ``why`` and ``last_event_at``;
        ``why`` where the store could not be asked, with ``unreachable_since`` where it did not answer at all. The last
        report where nothing is connected or another round is at it.
    Raises `Failed` where none of our keys opens the store's.
    """
    if not stores.public_url:  # without it none of our webhooks would be known to be ours
        log.error("PUBLIC_URL is not set: stores cannot be looked after")
        return _last_report(stores, shop_id)
    try:
        claim = _claim(stores, shop_id, now)
    except Locked as error:
        raise Failed(str(error)) from None
    if claim is None:
        return _last_report(stores, shop_id)
    with suppress(Superseded):
        try:
            kept, auth, extra = _look_after(claim)
        except StoreError as error:
            _remember_trouble(claim, error)
        else:
            _remember(claim, kept, auth, extra)
    return _last_report(stores, shop_id)


def _claim(stores: Stores, shop_id: int, now: datetime) -> _Claim | None:
    until = now + LEASE
    with stores.db.write() as session:
        free = or_(Connection.refreshing_until.is_(None), Connection.refreshing_until < now)
        there = Connection.shop_id.in_(select(Shop.id).where(Shop.platform == PLATFORM, Shop.removed_at.is_(None)))
        living = Connection.state.in_(_LIVE) & Connection.secrets.is_not(None)
        mine = (Connection.shop_id == shop_id) & living & free & there
        claimed = session.execute(
            update(Connection).where(mine).values(refreshing_until=until),
            execution_options={"synchronize_session": False},
        )
        if not claimed.rowcount:  # type: ignore[attr-defined]
            return None
        connection, shop = session.get_one(Connection, shop_id), session.get_one(Shop, shop_id)
    return _Claim(
        stores=stores,
        shop_id=shop_id,
        url=shop.url or "",
        keys=stores.vault.open(connection.secrets),
        auth=connection.auth or BASIC,
        state=connection.state,
        generation=connection.generation,
        told=shop.trouble,
        before=connection.report or {},
        now=now,
        until=until,
    )


def _last_report(stores: Stores, shop_id: int) -> Report:
    with stores.db.read() as session:
        return session.scalar(select(Connection.report).where(Connection.shop_id == shop_id)) or {}


# --- at the store -----------------------------------------------------------------------------------------------------


def _look_after(claim: _Claim) -> tuple[dict[str, Kept], str, Report]:
    auth = _proved(claim)
    plugin = _has_plugin(claim)
    with store_at(claim.stores, claim.url, claim.keys, auth) as store:
        this = Round(stores=claim.stores, store=store, shop_id=claim.shop_id, now=claim.now, hold=claim.hold)
        kept = keep(this, anew=claim.told is not None, carts=plugin)
        return kept, auth, _give_link_key(claim, store) if plugin else {}


def _proved(claim: _Claim) -> str:
    """How the keys go: as the last time, or as they do now that the host changed something."""
    try:
        with store_at(claim.stores, claim.url, claim.keys, claim.auth) as store:
            store.prove()
        return claim.auth
    except StoreUnavailable:
        raise
    except StoreError:
        return try_keys(claim.stores, claim.url, claim.keys)


def _has_plugin(claim: _Claim) -> bool:
    try:
        with explorer(claim.stores) as look:
            return WORDPRESS in look.namespaces(claim.url)
    except StoreError:  # some stores show their index to nobody; orders and webhooks do not depend on it
        return False


def _give_link_key(claim: _Claim, store: Store) -> Report:
    """Hand the plugin a key, once for each address of ours; a report names a key only after the store took it."""
    known = {name: claim.before.get(name) for name in ("link_key", "link_for")}
    with claim.stores.db.write() as session:
        living = select(LinkKey.id).where(LinkKey.shop_id == claim.shop_id, LinkKey.retired_at.is_(None))
        here = known["link_for"] == claim.stores.public_url
        if here and session.scalar(living.where(LinkKey.name == known["link_key"])):
            return known
        name, secret = link_keys.new_key(session, claim.stores.vault, claim.shop_id)
    claim.hold()
    try:
        store.give_link_key(name, secret, claim.stores.public_url)
    except StoreError as error:
        log.warning("the plugin of shop %d took no link key: %s", claim.shop_id, error, extra={"shop": claim.shop_id})
        return {}
    return {"link_key": name, "link_for": claim.stores.public_url}


# --- what is remembered -----------------------------------------------------------------------------------------------


def _remember(claim: _Claim, kept: Mapping[str, Kept], auth: str, extra: Report) -> None:
    topics = _topics(claim, kept)
    values: dict[str, Any] = {
        "state": ConnectionState.CONNECTED,
        "trouble": None,
        "auth": auth,
        "report": {"at": claim.now.isoformat(), "topics": topics, **extra},
        "checked_at": claim.now,
        "check_at": claim.now + EVERY,
        "refreshing_until": None,
    }
    if _gap(claim, kept):
        values["reconcile_at"] = claim.now
    with claim.stores.db.write() as session:
        claim.write(session, **values)
        _record(session, claim, kept)


def _gap(claim: _Claim, kept: Mapping[str, Kept]) -> bool:
    """Whether something may have been missed since the last round."""
    known = claim.before.get("topics", {})
    revived = any(
        each.made or (each.state == ACTIVE and known.get(topic, {}).get("state") not in (None, ACTIVE))
        for topic, each in kept.items()
    )
    return revived or claim.state != ConnectionState.CONNECTED or "why" in claim.before or claim.told is not None


def _record(session: Session, claim: _Claim, kept: Mapping[str, Kept]) -> None:
    made = sorted(topic for topic, each in kept.items() if each.made)
    if made:
        audit.record(session, shop_id=claim.shop_id, actor="tillwire", action="make webhooks", after={"topics": made})
    if claim.told is not None:
        # Only what was seen before: the store may have complained again in this moment.
        session.execute(
            update(Shop).where(Shop.id == claim.shop_id, Shop.trouble == claim.told).values(trouble=None),
            execution_options={"synchronize_session": False},
        )


def _topics(claim: _Claim, kept: Mapping[str, Kept]) -> Report:
    heard = _last_heard(claim)
    return {
        topic: {"state": each.state, "why": each.why, "last_event_at": heard.get(topic)} for topic, each in kept.items()
    }


def _last_heard(claim: _Claim) -> dict[str, str]:
    recent = (
        select(Webhook.topic, Webhook.received_at)
        .where(Webhook.shop_id == claim.shop_id)
        .order_by(Webhook.id.desc())
        .limit(RECENT)
        .subquery()
    )
    with claim.stores.db.read() as session:
        rows = session.execute(select(recent.c.topic, func.max(recent.c.received_at)).group_by(recent.c.topic))
        return {topic: at.isoformat() for topic, at in rows}


def _remember_trouble(claim: _Claim, error: StoreError) -> None:
    log.info("the store of shop %d could not be looked after: %s", claim.shop_id, error, extra={"shop": claim.shop_id})
    report = {**claim.before, "at": claim.now.isoformat(), "why": f"{why_not(error)} {_SAFE}"}
    values: dict[str, Any] = {"checked_at": claim.now, "check_at": claim.now + AGAIN, "refreshing_until": None}
    if isinstance(error, StoreUnavailable):
        report.setdefault("unreachable_since", claim.now.isoformat())
    else:
        report.pop("unreachable_since", None)
        values["state"] = ConnectionState.ATTENTION
        values["trouble"] = f"{why_not(error)} {_SAFE} " + mark("Mend it there, or connect the store again.")
        values["check_at"] = claim.now + EVERY
    with claim.stores.db.write() as session:
        claim.write(session, **values, report=report)
        if "state" in values and claim.state != ConnectionState.ATTENTION:
            after = {"status": error.status}
            audit.record(session, shop_id=claim.shop_id, actor=PLATFORM, action="lose keys", after=after)
