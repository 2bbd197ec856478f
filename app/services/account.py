"""Account: turn stored webhooks into ledgers, events and owed deliveries, each exactly once.

Everything that a webhook means is written in one transaction together with its own new state, so a process that dies
leaves it either untouched or done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import literal_column, select, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session, undefer

from app.db import Database
from app.metrics import EVENTS, STORE_LAG
from app.models import Connection, Event, EventState, Ledger, Shop, Webhook, WebhookState
from app.services import finding, ledger
from app.services.ledger import Change, Verdict
from app.services.packing import decompress, pack, unpack
from app.services.route import Router
from connectors.base import Names
from connectors.errors import Unreadable
from connectors.events import (
    CART_KNOWLEDGE,
    IDENTITY,
    CartSeen,
    CheckoutSeen,
    Chore,
    FulfilmentSeen,
    Kind,
    Nothing,
    Observation,
    OrderGone,
    OrderSeen,
    RefundSeen,
    StoreTrouble,
    facts,
    time_text,
)
from connectors.registry import CONNECTORS

log = logging.getLogger(__name__)

BATCH = 10  #: webhooks in a transaction; on SQLite others wait to be stored meanwhile
RECONCILED = "reconcile:"  #: begins the key of what we asked a store for; no request from outside can have it

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Read:
    """A webhook, read but not yet accounted for."""

    webhook: Webhook
    shop: Shop | None
    observation: Observation | None
    error: str | None = None


class Accountant:
    """Works off stored webhooks in the order of their arrival."""

    def __init__(self, db: Database, router: Router, complete: Callable[[list[Read]], list[Read]] = list) -> None:
        """``complete`` adds to what was read what only another question to a store tells; no session is open then."""
        self._db = db
        self._router = router
        self._complete = complete

    def work(self, limit: int = BATCH) -> int:
        """Account for up to ``limit`` webhooks; return how many there were."""
        reads = self._complete(self._read(limit))
        if not reads:
            return 0
        try:
            self._write(reads)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            log.exception("a batch of %d webhooks failed; going one by one", len(reads))
            for each in reads:
                self._write_alone(each)
        return len(reads)

    def _read(self, limit: int) -> list[Read]:
        """Parse outside of any transaction: it is the larger part of the work and needs no lock."""
        with self._db.read() as session:
            pending = Webhook.state == literal_column(f"'{WebhookState.PENDING}'")
            wanted = select(Webhook).where(pending).order_by(Webhook.id).limit(limit)
            webhooks = session.scalars(wanted.options(undefer(Webhook.body))).all()
            shops = _shops(session, webhooks)
            return [self._observe(session, webhook, shops.get(webhook.shop_id or 0)) for webhook in webhooks]

    def _observe(self, session: Session, webhook: Webhook, shop: Shop | None) -> Read:
        try:
            observation = CONNECTORS[webhook.platform].observe(
                webhook.topic, webhook.headers, decompress(webhook.body), names_of(shop)
            )
        except Unreadable as error:
            return Read(webhook, shop, None, str(error))
        except Exception as error:  # a bug of ours: the webhook is kept and shown, the others go on
            log.exception("webhook %s could not be read", webhook.id)
            return Read(webhook, shop, None, f"internal error while reading ({type(error).__name__}); the body is kept")
        if shop is None and observation.claim.domain:
            wanted = select(Shop).where(Shop.platform == webhook.platform, Shop.domain == observation.claim.domain)
            shop = session.scalar(wanted)
        return Read(webhook, shop, observation)

    def _write(self, reads: Sequence[Read]) -> None:
        with self._db.write() as session:
            for each in reads:
                if self._claimed(session, each.webhook, each):
                    self._enter(session, each)

    def _enter(self, session: Session, read: Read) -> None:
        if read.observation is None:
            _note(session, read, EventState.ERROR, read.error)
        elif (foreign := _foreign(read)) is not None:
            log.warning("webhook %s is quarantined: %s", read.webhook.id, foreign)
            _note(session, read, EventState.QUARANTINED, foreign)
        elif read.shop is None:
            _note(session, read, EventState.ERROR, "names no shop that is installed here")
        else:
            _Page(session, self._router, read, read.shop).take(read.observation)

    def _claimed(self, session: Session, webhook: Webhook, read: Read) -> bool:
        """Mark the webhook done; False where another worker did so first."""
        state = WebhookState.DONE
        if read.observation and isinstance(read.observation.seen, Chore):
            state = WebhookState.TODO
        shop_id = read.shop.id if read.shop else None
        changed = session.execute(
            update(Webhook)
            .where(Webhook.id == webhook.id, Webhook.state == WebhookState.PENDING)
            .values(state=state, shop_id=shop_id)
            .execution_options(synchronize_session=False)
        )
        return bool(changed.rowcount)  # type: ignore[attr-defined]

    def _write_alone(self, read: Read) -> None:
        try:
            self._write([read])
        except (OperationalError, InterfaceError):
            raise  # the database is in trouble, not the webhook: it stays pending
        except Exception as error:
            log.exception("webhook %s could not be accounted for", read.webhook.id)
            text = f"internal error while accounting ({type(error).__name__}); the body is kept"
            self._write([Read(read.webhook, read.shop, None, text)])


def read_again(session: Session, shop_id: int, ids: Sequence[int]) -> int:
    """Let the webhooks behind events in error be read once more, by whatever reads them better now; return how many.

    Args:
        ids: events of this shop; empty: all of its events in error.
    """
    wanted = select(Event).where(Event.shop_id == shop_id, Event.state == EventState.ERROR)
    if ids:
        wanted = wanted.where(Event.id.in_(ids))
    found = session.scalars(wanted).all()
    for event in found:
        session.execute(
            update(Webhook)
            .where(Webhook.id == event.webhook_id)
            .values(state=WebhookState.PENDING)
            .execution_options(synchronize_session=False)
        )
        session.delete(event)
    return len(found)


def names_of(shop: Shop | None) -> Names:
    """The attribute names that the shop's merchant chose."""
    return Names(**{key: tuple(value) for key, value in ((shop and shop.settings.get("names")) or {}).items()})


def _shops(session: Session, webhooks: Sequence[Webhook]) -> dict[int, Shop]:
    ids = {webhook.shop_id for webhook in webhooks if webhook.shop_id is not None}
    return {shop.id: shop for shop in session.scalars(select(Shop).where(Shop.id.in_(ids)))} if ids else {}


def _foreign(read: Read) -> str | None:
    """Why the body is another shop's; headers are not signed, so a body can be replayed under any name."""
    if read.observation is None or read.shop is None:
        return None
    claim = read.observation.claim
    if claim.domain and claim.domain != read.shop.domain:
        return "the body names another shop than the request did"
    if claim.shop_id and read.shop.external_id and claim.shop_id != read.shop.external_id:
        return "the body carries another shop's id"
    return None


def _told(seen: RefundSeen) -> Facts:
    """A refund that came by itself, as the ledger takes it."""
    readings = {"with_tax": seen.with_tax, "without_tax": seen.without_tax}
    return {**facts(seen.refund), "readings": {name: facts(each) for name, each in readings.items() if each}}


def _note(
    session: Session,
    read: Read,
    state: EventState,
    reason: str | None,
    subject: str | None = None,
    *,
    kind: str | None = None,
) -> None:
    """Leave a line for a webhook that changed nothing, so that every webhook has its answer."""
    webhook = read.webhook
    session.add(
        Event(
            shop_id=read.shop.id if read.shop else webhook.shop_id,
            webhook_id=webhook.id,
            kind=kind or CONNECTORS[webhook.platform].kind(webhook.topic),
            subject=subject,
            dedup_key=f"webhook:{webhook.id}",
            occurred_at=webhook.received_at,
            received_at=webhook.received_at,
            state=state,
            error=reason,
        )
    )


class _Page:
    """What one webhook of a known shop writes into the books."""

    def __init__(self, session: Session, router: Router, read: Read, shop: Shop) -> None:
        self._session = session
        self._router = router
        self._read = read
        self._webhook = read.webhook
        self._shop = shop

    def take(self, observation: Observation) -> None:
        match observation.seen:
            case OrderSeen(order=order, restored=restored):
                self._order(facts(order), restored)
            case OrderGone(order_id=order_id):
                self._with_ledger(order_id, lambda state: ledger.see_gone(state, self._received()), Kind.DELETED)
            case RefundSeen(order_id=order_id) as seen:
                self._with_ledger(order_id, lambda state: ledger.see_refund(state, _told(seen)), Kind.REFUNDED)
            case FulfilmentSeen(order_id=order_id):
                self._note(EventState.IGNORED, "the order's own webhook brings its new state", order_id)
            case CartSeen(cart=cart):
                self._cart(facts(cart))
            case CheckoutSeen(checkout=checkout):
                self._checkout(facts(checkout))
            case StoreTrouble() as trouble:
                self._trouble(trouble)
            case Chore(name=name):
                self._note(EventState.PARKED, f"{name} waits for the part that works it off")
            case Nothing(reason=reason, order_id=order_id, waits=waits):
                self._note(EventState.PARKED if waits else EventState.IGNORED, reason, order_id)

    # orders

    def _order(self, order: Facts, restored: bool) -> None:
        digest = self._digest()
        self._lag(order.get("updated_at"))
        self._learn(order)
        verdict = self._with_ledger(
            order["id"], lambda state: ledger.see_order(state, order, digest, restored=restored), None
        )
        if verdict.changes:
            self._unpark(order["id"])

    def _digest(self) -> str:
        """What decides between two snapshots of one second; what a store itself told last outweighs any hash."""
        if self._webhook.dedup_key.startswith(RECONCILED):
            return f"~{self._received()}"
        return self._webhook.body_hash

    def _learn(self, order: Facts) -> None:
        """The connection works; and the shop's currency is that of its first order, until the store itself says."""
        known = self._shop.settings.get("facts", {})
        if "currency" in known and self._shop.trouble is None:
            return
        # Read anew, and held: an installation may be writing settings of its own at this moment.
        wanted = select(Shop.settings).where(Shop.id == self._shop.id).with_for_update()
        current = self._session.execute(wanted).scalar_one()
        facts_now = {"currency": order["currency"], **current.get("facts", {})}
        self._shop.trouble, self._shop.settings = None, {**current, "facts": facts_now}
        self._session.execute(
            update(Shop)
            .where(Shop.id == self._shop.id)
            .values(trouble=None, settings=self._shop.settings)
            .execution_options(synchronize_session=False)
        )

    def _with_ledger(self, order_id: str, see: Any, kind: Kind | None) -> Verdict:
        row = self._ledger("order", order_id)
        state = unpack(row.state) if row.state else {}
        verdict: Verdict = see(state)
        row.state, row.updated_at = pack(state), self._webhook.received_at
        finding.mark(row, state.get("order") or {})
        for change in verdict.changes:
            self._event(change, order_id)
        if not verdict.changes:
            self._note(EventState.PARKED if verdict.parked else EventState.IGNORED, verdict.reason, order_id, kind=kind)
        return verdict

    def _unpark(self, order_id: str) -> None:
        """The order that parked refunds, or a part of it, waited for is here, and its events carry them."""
        self._session.execute(
            update(Event)
            .where(
                Event.shop_id == self._shop.id,
                Event.subject == order_id,
                Event.state == EventState.PARKED,
            )
            .values(state=EventState.IGNORED, error="joined to its order, which came later")
            .execution_options(synchronize_session=False)
        )

    # carts and checkouts

    def _cart(self, cart: Facts) -> None:
        row = self._ledger("cart", cart["id"])
        state = unpack(row.state) if row.state else {}
        for name, value in state.get("identity", {}).items():
            cart.setdefault(name, value)
        known = state.get("cart")
        self._lag(cart.get("updated_at"))
        row.updated_at = self._webhook.received_at
        if known and cart.get("updated_at", "") < known.get("updated_at", ""):
            self._note(EventState.IGNORED, "older than what is known of this cart", cart["id"])
            row.state = pack(state)
            return
        same = known is not None and all(known.get(name) == cart.get(name) for name in ("content", *IDENTITY))
        row.state = pack({**state, "cart": cart})
        if same:
            self._note(EventState.IGNORED, "the cart did not change", cart["id"])
            return
        # The webhook stands in the key too: a cart may change and change back within its platform's second.
        key = f"{cart.get('updated_at')}:{self._webhook.id}"
        self._event(
            Change(kind=Kind.CART_UPDATED, key=key, occurred_at=cart.get("updated_at"), facts={"cart": cart}),
            cart["id"],
        )

    def _checkout(self, checkout: Facts) -> None:
        identity = {name: checkout[name] for name in CART_KNOWLEDGE if name in checkout}
        if cart_id := checkout.get("cart_id"):
            self._remember(cart_id, identity)
        row = self._ledger("checkout", checkout["id"])
        row.updated_at = self._webhook.received_at
        state = unpack(row.state) if row.state else {}
        if state.get("started"):
            reason: str | None = "already known"
        elif not any(name in identity for name in IDENTITY):
            reason = "nobody to attach it to yet"
        else:
            reason = None
        row.state = pack({"started": state.get("started") or reason is None})
        if reason:
            self._note(EventState.IGNORED, reason, checkout["id"])
            return
        key = f"checkout:{checkout['id']}"
        at = checkout.get("created_at")
        change = Change(kind=Kind.CHECKOUT_STARTED, key=key, occurred_at=at, facts={"checkout": checkout})
        self._event(change, checkout["id"])

    def _remember(self, cart_id: str, identity: Facts) -> None:
        """Shopify's cart webhooks name nobody; the checkout that grew out of the cart does."""
        row = self._ledger("cart", cart_id)
        state = unpack(row.state) if row.state else {}
        state["identity"] = {**state.get("identity", {}), **identity}
        row.state, row.updated_at = pack(state), self._webhook.received_at

    # the store itself

    def _trouble(self, trouble: StoreTrouble) -> None:
        text = f"the store sent an error instead of content ({trouble.code})"
        if trouble.connection:
            self._session.execute(
                update(Shop)
                .where(Shop.id == self._shop.id)
                .values(trouble=f"{text}: the webhooks' owner may no longer read orders; connect the store again")
                .execution_options(synchronize_session=False)
            )
            self._look_at_once()
        self._note(EventState.IGNORED, text)

    def _look_at_once(self) -> None:
        """Let the connection's check fall due: it finds out what is wrong, and says it in the merchant's words."""
        self._session.execute(
            update(Connection)
            .where(Connection.shop_id == self._shop.id, Connection.check_at > self._webhook.received_at)
            .values(check_at=self._webhook.received_at)
            .execution_options(synchronize_session=False)
        )

    # rows

    def _received(self) -> str:
        return time_text(self._webhook.received_at)

    def _lag(self, updated_at: str | None) -> None:
        if updated_at:
            lag = (self._webhook.received_at - datetime.fromisoformat(updated_at)).total_seconds()
            STORE_LAG.labels(self._webhook.platform).observe(max(lag, 0.0))

    def _ledger(self, kind: str, key: str) -> Ledger:
        wanted = select(Ledger).where(Ledger.shop_id == self._shop.id, Ledger.kind == kind, Ledger.key == key)
        row = self._session.scalar(wanted.with_for_update())
        if row is None:
            row = Ledger(shop_id=self._shop.id, kind=kind, key=key, state=b"", updated_at=self._webhook.received_at)
            self._session.add(row)
        return row

    def _event(self, change: Change, subject: str) -> None:
        received = self._webhook.received_at
        event = Event(
            shop_id=self._shop.id,
            webhook_id=self._webhook.id,
            kind=change.kind,
            subject=subject,
            dedup_key=f"{change.kind}:{subject}:{change.key}",
            occurred_at=datetime.fromisoformat(change.occurred_at) if change.occurred_at else received,
            received_at=received,
            state=EventState.UNDERSTOOD,
            facts=pack(change.facts),
        )
        self._session.add(event)
        self._session.flush()
        EVENTS.labels(change.kind).inc()
        self._router.route(self._session, self._shop, event, change.facts)

    def _note(self, state: EventState, reason: str | None, subject: str | None = None, kind: str | None = None) -> None:
        _note(self._session, self._read, state, reason, subject, kind=kind)
