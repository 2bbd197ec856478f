"""Page: what one webhook of a known shop writes into the books."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from app.metrics import STORE_LAG
from app.models import Connection, Event, EventState, Shop
from app.services import erase_late, ledger
from app.services.asked import RECONCILED
from app.services.books import Books, Entry, Key
from app.services.ledger import Change, Verdict
from app.services.observe import Read
from app.services.route import Router
from app.services.said import mark
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

Facts = dict[str, Any]


def keys(read: Read) -> list[Key]:
    """The ledgers that a webhook is about: to be read for many webhooks at once."""
    if read.shop is None or read.observation is None:
        return []
    match read.observation.seen:
        case OrderSeen(order=order):
            about = [("order", order.id)]
        case OrderGone(order_id=id_) | RefundSeen(order_id=id_) | FulfilmentSeen(order_id=id_):
            about = [("order", id_)]
        case Nothing(order_id=str(id_)):
            about = [("order", id_)]
        case CartSeen(cart=cart):
            about = [("cart", cart.id)]
        case CheckoutSeen(checkout=checkout):
            about = [("checkout", checkout.id), *([("cart", checkout.cart_id)] if checkout.cart_id else [])]
        case _:
            about = []
    return [Key(read.shop.id, kind, key) for kind, key in about]


def told(seen: RefundSeen) -> Facts:
    """A refund that came by itself, as the ledger takes it."""
    readings = {"with_tax": seen.with_tax, "without_tax": seen.without_tax}
    return {**facts(seen.refund), "readings": {name: facts(each) for name, each in readings.items() if each}}


class Page:
    """One webhook, with the books open."""

    def __init__(self, books: Books, router: Router, read: Read, shop: Shop) -> None:
        self._books = books
        self._session = books.session
        self._router = router
        self._read = read
        self._webhook = read.webhook
        self._shop = shop

    def take(self, observation: Observation) -> None:
        match observation.seen:
            case OrderSeen(order=order, restored=restored, paid_at=paid_at):
                self._order(facts(order), restored, time_text(paid_at) if paid_at else None)
            case OrderGone(order_id=order_id):
                self._with_ledger(order_id, lambda state: ledger.see_gone(state, self._received()), Kind.DELETED)
            case RefundSeen(order_id=order_id) as seen:
                refund = self._beside_the_order(order_id, told(seen))
                self._with_ledger(order_id, lambda state: ledger.see_refund(state, refund), Kind.REFUNDED)
            case FulfilmentSeen(order_id=order_id):
                self._beside_the_order(order_id, {})
                self._note(EventState.IGNORED, mark("the order's own webhook brings its new state"), order_id)
            case CartSeen(cart=cart):
                self._cart(facts(cart))
            case CheckoutSeen(checkout=checkout):
                self._checkout(facts(checkout))
            case StoreTrouble() as trouble:
                self._trouble(trouble)
            case Chore(name=name):
                self._note(EventState.PARKED, f"{name} waits for the part that works it off")
            case Nothing(reason=reason, order_id=order_id, waits=waits):
                self._beside_the_order(order_id, {})
                self._note(EventState.PARKED if waits else EventState.IGNORED, reason, order_id)

    # orders

    def _order(self, order: Facts, restored: bool, paid_at: str | None) -> None:
        digest = self._digest()
        self._lag(order.get("updated_at"))
        self._learn(order)
        verdict = self._with_ledger(
            order["id"],
            lambda state: ledger.see_order(
                state, self._kept("order", order, state), digest, restored=restored, paid_at=paid_at
            ),
            None,
        )
        if verdict.paid_at:
            self._redate(order["id"], datetime.fromisoformat(verdict.paid_at))
        if verdict.changes:
            self._books.join(self._shop.id, order["id"])

    def _kept(self, kind: str, seen: Facts, state: Facts) -> Facts:
        """``seen`` as it may be kept: without its person where they were erased after that."""
        if not erase_late.is_late(state, seen.get("updated_at")):
            return seen
        return erase_late.without_person(self._session, self._webhook, (kind, seen["id"]), seen, state)

    def _beside_the_order(self, order_id: str | None, seen: Facts) -> Facts:
        """What came by itself about an order whose person was erased, without them; it need not say of when it is."""
        if order_id is None or erase_late.erased_at(self._entry("order", order_id).state) is None:
            return seen
        return erase_late.beside(self._session, self._webhook, seen)

    def _redate(self, order_id: str, paid_at: datetime) -> None:
        """The payment was taken for an old one, and now it is known when it was."""
        self._books.close()  # it may have been taken so a moment ago
        wanted = select(Event).where(
            Event.shop_id == self._shop.id, Event.subject == order_id, Event.kind == Kind.PAID, Event.facts.is_not(None)
        )
        for event in self._session.scalars(wanted):
            self._router.redate(self._session, self._shop, event, paid_at)

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

    def _with_ledger(self, order_id: str, see: Callable[[Facts], Verdict], kind: Kind | None) -> Verdict:
        entry = self._entry("order", order_id)
        verdict = see(entry.state)
        entry.updated_at = self._webhook.received_at
        for change in verdict.changes:
            self._event(change, order_id)
        if not verdict.changes:
            self._note(EventState.PARKED if verdict.parked else EventState.IGNORED, verdict.reason, order_id, kind=kind)
        return verdict

    # carts and checkouts

    def _cart(self, cart: Facts) -> None:
        entry = self._entry("cart", cart["id"])
        cart = self._kept("cart", cart, entry.state)
        for name, value in entry.state.get("identity", {}).items():
            cart.setdefault(name, value)
        known = entry.state.get("cart")
        self._lag(cart.get("updated_at"))
        entry.updated_at = self._webhook.received_at
        if known and cart.get("updated_at", "") < known.get("updated_at", ""):
            self._note(EventState.IGNORED, mark("older than what is known of this cart"), cart["id"])
            return
        same = known is not None and all(known.get(name) == cart.get(name) for name in ("content", *IDENTITY))
        entry.state["cart"] = cart
        if same:
            self._note(EventState.IGNORED, mark("the cart did not change"), cart["id"])
            return
        # The webhook stands in the key too: a cart may change and change back within its platform's second.
        key = f"{cart.get('updated_at')}:{self._webhook.id}"
        self._event(
            Change(kind=Kind.CART_UPDATED, key=key, occurred_at=cart.get("updated_at"), facts={"cart": cart}),
            cart["id"],
        )

    def _checkout(self, checkout: Facts) -> None:
        entry = self._entry("checkout", checkout["id"])
        entry.updated_at = self._webhook.received_at
        cart_id = checkout.get("cart_id")
        for known in (entry.state, self._entry("cart", cart_id).state if cart_id else {}):
            checkout = self._kept("checkout", checkout, known)
        identity = {name: checkout[name] for name in CART_KNOWLEDGE if name in checkout}
        if cart_id and not checkout.get(erase_late.MARK):
            self._remember(cart_id, identity)
        if entry.state.get("started"):
            reason: str | None = mark("already known")
        elif not any(name in identity for name in IDENTITY):
            reason = mark("nobody to attach it to yet")
        else:
            reason = None
        entry.state["started"] = entry.state.get("started") or reason is None
        if reason:
            self._note(EventState.IGNORED, reason, checkout["id"])
            return
        key = f"checkout:{checkout['id']}"
        at = checkout.get("created_at")
        change = Change(kind=Kind.CHECKOUT_STARTED, key=key, occurred_at=at, facts={"checkout": checkout})
        self._event(change, checkout["id"])

    def _remember(self, cart_id: str, identity: Facts) -> None:
        """Shopify's cart webhooks name nobody; the checkout that grew out of the cart does."""
        entry = self._entry("cart", cart_id)
        entry.state["identity"] = {**entry.state.get("identity", {}), **identity}
        entry.updated_at = self._webhook.received_at

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

    def _entry(self, kind: str, key: str) -> Entry:
        return self._books.entry(Key(self._shop.id, kind, key))

    def _event(self, change: Change, subject: str) -> None:
        self._books.event(self._webhook, self._shop, change, subject)

    def _note(self, state: EventState, reason: str | None, subject: str | None = None, kind: str | None = None) -> None:
        self._books.note(self._read, state, reason, subject, kind)
