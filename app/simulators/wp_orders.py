"""A simulated store's orders: placed, paid, refunded, trashed; each change told to the webhooks that ask for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Literal

from app.simulators.catalogue import SPRII_NAMES, ZONES
from app.simulators.story import OrderStory, Refund, State, Step, Story
from app.simulators.woocommerce_shop import GONE, JSON, STATUS_CHANGED, WooCommerceShop
from app.simulators.wp_books import Books, User
from app.simulators.wp_hooks import Hook, Hooks, forbidden
from app.simulators.wp_refunds import Placed, Refunding

FIRST_REFUND = 90_000_001  #: refunds and their lines are numbered apart from orders
UNPAID = ("pending", "failed", "checkout-draft")
EDITABLE = ("pending", "on-hold", "auto-draft")
Checkout = Literal["blocks", "classic", "rest"]
Payment = Literal["card", "bank", "cod"]


class Orders:
    def __init__(self, books: Books, *, currency: str, seed: int) -> None:
        self._books = books
        self._tales = Story("woocommerce", seed, currency=currency)
        self.zone = ZONES[currency]._replace(offset=books.offset)
        self._places = count()
        self._refunds = count(FIRST_REFUND)
        self.shop = WooCommerceShop(url=books.home)
        self.all: dict[int, Placed] = {}
        self.carts: dict[str, JSON] = {}
        self.hooks: Hooks

    def get(self, order_id: int) -> Placed:
        """
        Raises:
            KeyError: there is no such order.
        """
        return self.all[order_id]

    def body(self, order: Placed) -> JSON:
        """The order as REST and webhooks show it."""
        status = order.status
        return self.shop.order(order.story, order.state) | {
            "status": status,
            "is_editable": status in EDITABLE,
            "needs_payment": status in UNPAID and order.story.total > 0,
        }

    def payload(self, hook: Hook, arg: int | str, user: User | None) -> JSON:
        """What a webhook sends about ``arg``: an error object where its owner may not see it, or it is gone."""
        if hook.resource == "cart":
            return self.carts.get(str(arg), {})
        order = self.all.get(int(arg)) if hook.resource == "order" else None
        if order is None:
            return GONE
        return self.body(order) if user and user.manages else forbidden(user)

    # What shoppers do

    def next_story(self) -> OrderStory:
        """A made-up order that no one has placed yet."""
        return self._tales.order(next(self._places))

    def _ours(self, story: OrderStory | None) -> OrderStory:
        story = story or self.next_story()
        if story.zone.currency != self.zone.currency:
            raise ValueError(f"this store sells in {self.zone.currency}")
        story.zone = self.zone
        return story

    def place(
        self,
        story: OrderStory | None = None,
        *,
        number: str | None = None,
        meta: Mapping[str, str] | None = None,
        checkout: Checkout | None = "classic",
        payment: Payment | None = "card",
        paid: bool = True,
        draft: bool = False,
    ) -> int:
        """Let a shopper buy something; the order's id.

        Args:
            story: who buys what; otherwise the store's next made-up order. Its own steps are not played.
            number: Sprii's, in place of what the story has in the order's meta.
            meta: more meta of the order.
            checkout, payment: None leaves them to the story.
            paid: at once.
            draft: only begin: a ``checkout-draft`` of the Blocks checkout, which `finish` turns into an order.
        """
        with self._books.lock:
            story = self._ours(story)
            story.checkout = checkout or story.checkout
            story.payment = payment or story.payment
            if number is not None:
                _renumber(story, number)
            story.attributes.order += (meta or {}).items()
            now = int(self._books.clock())
            order = Placed(story, State(step="checkout", at=now, created_at=now), "checkout-draft")
            self.all[story.id] = order
        if draft:
            self.hooks.happened("order.updated", story.id)
        else:
            self.finish(story.id, paid=paid)
        return story.id

    def finish(self, order_id: int, *, paid: bool = True) -> None:
        """Turn a draft into an order. The Blocks checkout tells of it as updated first."""
        order = self._step(order_id, "created", pays=paid)
        order.status = self.shop_status(order)
        told = ["order.created", "order.updated"]
        for topic in told[::-1] if order.story.checkout == "blocks" else told:
            self.hooks.happened(topic, order_id)
        if order.status != "pending":
            self.hooks.happened(STATUS_CHANGED, order_id)

    def shop_status(self, order: Placed) -> str:
        return str(self.shop.order(order.story, order.state)["status"])

    def fill_cart(self, story: OrderStory | None = None, *, lines: int = 1) -> str:
        """A cart changed; its id. Told by the companion plugin's own topic only (`Habits.plugin`)."""
        with self._books.lock:
            story = self._ours(story)
            shown = self.shop.cart(story, Step("cart", int(self._books.clock()), lines=lines))
            cart_id = str(shown["id"])
            self.carts[cart_id] = shown
        self.hooks.happened("cart.updated", cart_id)
        return cart_id

    def play(self, story: OrderStory) -> Iterator[Step]:
        """Let a story's own steps happen, one by one: each is yielded first, so that the clock can be set to it.

        ``for step in store.play(story): clock.now = step.at`` plays a whole life at its own times.
        """
        for step in story.steps:
            yield step
            self._play(story, step)

    def _play(self, story: OrderStory, step: Step) -> None:
        known = story.id in self.all
        match step.name:
            case "cart":
                self.fill_cart(story, lines=step.lines)
            case "checkout" | "created" if not known:
                self.place(story, checkout=None, payment=None, paid=step.pays, draft=step.name == "checkout")
            case "created":
                self.finish(story.id, paid=step.pays)
            case "vanished":
                self.delete(story.id)
            case "trashed":
                self.trash(story.id)
            case "restored":
                self.restore(story.id)
            case _:
                order = self._step(story.id, step.name, pays=step.pays, refund=step.refund)
                self._become(order, self.shop_status(order))

    # What the shop does

    def _step(self, order_id: int, name: str, *, pays: bool = False, refund: Refund | None = None) -> Placed:
        with self._books.lock:
            order = self.all[order_id]
            order.state = order.state.after(Step(name, int(self._books.clock()), pays, refund))
            return order

    def pay(self, order_id: int) -> None:
        order = self._step(order_id, "paid", pays=True)
        self._become(order, "processing")

    def change_status(self, order_id: int, status: str) -> None:
        """Any status, also one that a plugin made up. Processing and completed set the date of payment."""
        order = self.all[order_id]
        first_paid = ("completed",) if order.story.payment == "cod" else ("processing", "completed")
        pays = status in first_paid and order.state.paid_at is None
        name = {"completed": "fulfilled", "cancelled": "cancelled"}.get(status, "status")
        self._become(self._step(order_id, name, pays=pays), status)

    def _become(self, order: Placed, status: str) -> None:
        changed, order.status = order.status != status, status
        self.hooks.happened("order.updated", order.id)
        if changed:
            self.hooks.happened(STATUS_CHANGED, order.id)

    def edit(self, order_id: int, meta: Mapping[str, str] | None = None) -> None:
        """Save the order, perhaps with more meta: told as updated either way."""
        order = self._step(order_id, "status")
        order.story.attributes.order += (meta or {}).items()
        self.hooks.happened("order.updated", order_id)

    def refund(
        self,
        order_id: int,
        quantities: Mapping[int, int] | None = None,
        *,
        amount: Decimal | None = None,
        shipping: bool = False,
        reason: str = "",
    ) -> int:
        """Give money back; the refund's id.

        Args:
            quantities: by line id. Neither these nor an amount: everything that is left.
            amount: in major units, where it is not what the lines are worth.
        """
        with self._books.lock:
            order = self.all[order_id]
            refund = Refunding(order, int(self._books.clock()), self._refunds).build(
                quantities, amount, shipping, reason
            )
            self._step(order_id, "refunded", refund=refund)
            full = order.refunded >= order.story.total
        self._become(order, "refunded" if full else order.status)
        return refund.id

    def delete_refund(self, order_id: int, refund_id: int) -> None:
        """Tells nobody."""
        with self._books.lock:
            order = self.all[order_id]
            kept = tuple(refund for refund in order.state.refunds if refund.id != refund_id)
            order.state = replace(order.state, refunds=kept)

    def trash(self, order_id: int) -> None:
        order = self._step(order_id, "trashed")
        order.untrashed, order.status = order.status, "trash"
        self.hooks.happened("order.deleted", order_id)

    def restore(self, order_id: int) -> None:
        order = self._step(order_id, "restored")
        order.status = order.untrashed
        self.hooks.happened("order.restored", order_id)
        if not self._books.habits.hpos:
            self.hooks.happened("order.updated", order_id)

    def delete(self, order_id: int) -> None:
        """For good, and without a webhook."""
        with self._books.lock:
            del self.all[order_id]


def _renumber(story: OrderStory, number: str) -> None:
    """Leave Sprii's number in one place only: the order's meta, under the name that is Tillwire's own."""
    kept = [pair for pair in story.attributes.order if pair[0] not in SPRII_NAMES]
    story.attributes.order = [*kept, ("sprii_order_no", number)]
    for line in story.lines:
        line.attributes = [pair for pair in line.attributes if pair[0] not in SPRII_NAMES]
