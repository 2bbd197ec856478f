"""Keep a store's webhooks as they should be: one per topic, active, with a URL and a secret of its own.

What is ours is told by the token in its delivery URL, which nobody else knows; everything else in the store is left
alone. So webhooks are known, too, that were made when this server had another address: they are deleted, for nobody may
go on to receive orders there. The row with token and secret is committed before the store is asked to make a webhook of
it, so whatever moment a process dies in, the next round finds a webhook of ours by its URL, with its secret.

Source: developer.woocommerce.com/docs/apis/rest-api/v3/webhooks/; that a webhook which is only set active again is
switched off by its next failure: WC_Webhook::failed_delivery, whose count REST neither shows nor resets.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update

from app.models import Endpoint
from app.services.said import mark
from app.services.store_troubles import why_not
from app.services.stores import Stores
from connectors.woocommerce.answers import StoreAnswer, StoreError, StoreUnauthorized
from connectors.woocommerce.client import Store
from connectors.woocommerce.hooks import ACTIVE, CART_TOPIC, DISABLED, NO_SUCH_TOPIC, ORDER_TOPICS, PAUSED, Hook

log = logging.getLogger(__name__)

TOPICS = (*ORDER_TOPICS, CART_TOPIC)
MISSING, NOT_OFFERED = "missing", "not offered"
_RANK = {ACTIVE: 0, PAUSED: 1}
_OURS = re.compile(r"https?://[^/?#]+(?:/[^?#]*)?/webhooks/woocommerce/([A-Za-z0-9_-]+)")
_WHY_ANEW = {
    DISABLED: mark("The store had switched it off after failed deliveries; it was made anew."),
    None: mark("It was not there; it was made."),
}
_WHY_PAUSED = mark("It is paused in the store, and stays so until it is set to active there.")
_WHY_OLD_PLUGIN = mark("The store does not know this topic; its Tillwire plugin may be too old.")
_WHY_NO_CARTS = mark("Carts are only told by a store with the Tillwire plugin.")


class Superseded(Exception):
    """The store was disconnected or connected anew, or this round took too long: it changes nothing any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How one topic stands after a round."""

    state: str  #: active, paused, missing, not offered
    why: str | None = None
    made: bool = False  #: in this round, so something may have been missed before


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round over one store. ``hold`` raises `Superseded` unless this round may still change something."""

    stores: Stores
    store: Store
    shop_id: int
    now: datetime
    hold: Callable[[], None]

    def url(self, endpoint: Endpoint) -> str:
        return f"{self.stores.public_url}/webhooks/woocommerce/{endpoint.token}"


def ours(stores: Stores, shop_id: int, hooks: Iterable[Hook]) -> list[tuple[Hook, Endpoint]]:
    """Those of a store's webhooks that are ours, at whatever address we had, each with the endpoint it was made of."""
    with stores.db.read() as session:
        endpoints = session.scalars(select(Endpoint).where(Endpoint.shop_id == shop_id)).all()
    known = {endpoint.token: endpoint for endpoint in endpoints}
    return [(hook, known[token]) for hook in hooks if (token := token_of(hook)) in known]


def token_of(hook: Hook) -> str:
    """What stands where a token stands in our delivery URLs; empty for a URL of another kind."""
    match = _OURS.fullmatch(hook.delivery_url)
    return match[1] if match else ""


def keep(this: Round, *, anew: bool, carts: bool) -> dict[str, Kept]:
    """Delete what should not be there, make what is missing, and say how each topic stands.

    Args:
        anew: make all again that are not paused, as their maker may no longer read orders.
        carts: the store may know our plugin's topic.
    Raises:
        StoreError: the rest must wait. Superseded: it is no longer ours to do.
    """
    there = ours(this.stores, this.shop_id, this.store.webhooks())
    for hook, endpoint in there:
        if not _in_place(this, hook, endpoint):
            _delete(this, hook)
    living = _endpoints(this)
    found = {}
    for topic in TOPICS:
        mine = [endpoint for endpoint in living if endpoint.topic == topic]
        hooks = [hook for hook, endpoint in there if endpoint.topic == topic and _in_place(this, hook, endpoint)]
        if topic == CART_TOPIC and not (carts or hooks):
            found[topic] = Kept(state=NOT_OFFERED, why=_WHY_NO_CARTS)
        else:
            found[topic] = _keep(this, topic, mine, hooks, anew=anew)
    return found


def _in_place(this: Round, hook: Hook, endpoint: Endpoint) -> bool:
    """Whether it may stay. At an old address of ours that is one to which nothing is sent, or that we do not make."""
    here = hook.delivery_url == this.url(endpoint) or hook.status == PAUSED or endpoint.topic not in TOPICS
    return here and endpoint.retired_at is None and hook.topic == endpoint.topic


def _keep(this: Round, topic: str, endpoints: Sequence[Endpoint], hooks: Sequence[Hook], *, anew: bool) -> Kept:
    """One topic: the best of its webhooks stays, twins go, and one that is switched off is made anew."""
    ranked = sorted(hooks, key=lambda hook: (_RANK.get(hook.status, 2), len(hook.id), hook.id))
    best = next((hook for hook in ranked if hook.status == PAUSED or (hook.status == ACTIVE and not anew)), None)
    for hook in ranked:
        if hook is not best:
            _delete(this, hook)
    if best is not None:
        _settle(this, endpoints, best)
        return Kept(state=best.status, why=_WHY_PAUSED if best.status == PAUSED else None)
    for endpoint in endpoints:
        _retire(this, endpoint)
    switched_off = any(hook.status == DISABLED for hook in hooks)
    return _make(this, topic, _WHY_ANEW[DISABLED if switched_off else None] if endpoints else None)


def _endpoints(this: Round) -> Sequence[Endpoint]:
    wanted = select(Endpoint).where(Endpoint.shop_id == this.shop_id, Endpoint.retired_at.is_(None))
    with this.stores.db.read() as session:
        return session.scalars(wanted.order_by(Endpoint.id)).all()


def _settle(this: Round, endpoints: Sequence[Endpoint], hook: Hook) -> None:
    """Remember which webhook an endpoint is in the store, and retire the topic's others."""
    for endpoint in endpoints:
        if not hook.delivery_url.endswith(f"/{endpoint.token}"):
            _retire(this, endpoint)
        elif endpoint.remote_id != hook.id:
            _remember(this, endpoint, hook)


def _make(this: Round, topic: str, why: str | None) -> Kept:
    endpoint, secret = _fresh(this, topic)
    this.hold()
    try:
        hook = this.store.create_webhook(
            name=f"Tillwire: {topic}", topic=topic, delivery_url=this.url(endpoint), secret=secret
        )
    except StoreError as error:
        if error.status is not None and 300 <= error.status < 500:
            _forget(this, endpoint)  # it was surely not made; of any other failure the next round finds out
        if not isinstance(error, StoreAnswer):
            raise
        if error.code == NO_SUCH_TOPIC:
            return Kept(state=NOT_OFFERED, why=_WHY_OLD_PLUGIN)
        return Kept(state=MISSING, why=why_not(error))
    try:
        this.hold()
    except Superseded:  # nobody else knows of this webhook yet
        this.store.delete_webhook(hook.id)
        raise
    _remember(this, endpoint, hook)
    return Kept(state=ACTIVE, why=why, made=True)


def _fresh(this: Round, topic: str) -> tuple[Endpoint, str]:
    """An endpoint and its secret, committed. Hex alone: a store decodes HTML entities before it signs."""
    token, secret = secrets.token_urlsafe(24), secrets.token_hex(32)
    sealed = this.stores.vault.seal(secret)
    endpoint = Endpoint(shop_id=this.shop_id, token=token, topic=topic, secret=sealed, created_at=this.now)
    with this.stores.db.write() as session:
        session.add(endpoint)
    return endpoint, secret


def _forget(this: Round, endpoint: Endpoint) -> None:
    with this.stores.db.write() as session:
        gone = delete(Endpoint).where(Endpoint.id == endpoint.id)
        session.execute(gone, execution_options={"synchronize_session": False})


def _delete(this: Round, hook: Hook) -> None:
    this.hold()
    try:
        this.store.delete_webhook(hook.id)
    except (StoreAnswer, StoreUnauthorized) as error:  # some hosts let nobody delete; what comes twice does no harm
        log.warning("a webhook of shop %d could not be deleted: %s", this.shop_id, error, extra={"shop": this.shop_id})


def _remember(this: Round, endpoint: Endpoint, hook: Hook) -> None:
    with this.stores.db.write() as session:
        session.execute(
            update(Endpoint).where(Endpoint.id == endpoint.id).values(remote_id=hook.id),
            execution_options={"synchronize_session": False},
        )


def _retire(this: Round, endpoint: Endpoint) -> None:
    """What was signed before and comes late is still taken."""
    with this.stores.db.write() as session:
        session.execute(
            update(Endpoint)
            .where(Endpoint.id == endpoint.id, Endpoint.retired_at.is_(None))
            .values(retired_at=this.now)
            .execution_options(synchronize_session=False)
        )
