"""What happens in a made-up shop of the simulated Shopify: orders are placed and live on, and the subscribed hear.

The stories and their webhook bodies are those of `app.simulators.story` and `app.simulators.shopify_shop`; begun at the
platform's own time, with a life of seconds in place of days.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.simulators.shopify_shop import ShopifyShop
from app.simulators.shopify_state import JSON, Order, Shop, State
from app.simulators.shopify_webhooks import Webhooks
from app.simulators.story import OrderStory, Story, Webhook

EVERY = 90.0  # seconds between the beginnings of two stories
PATIENCE = 2000  #: stories looked through for one that has what is wanted


class Life:
    def __init__(self, state: State, webhooks: Webhooks) -> None:
        self.state = state
        self.webhooks = webhooks

    def place(
        self,
        shop: Shop,
        *,
        until: str | None,
        want: Callable[[OrderStory], bool],
        changes: Mapping[str, Any],
        quiet: bool,
    ) -> JSON:
        """Begin the next story that has a step named ``until``, and tell it as far as that step.

        Raises:
            LookupError: no story is like that.
        """
        with self.state.lock:
            story = self._next(shop, until, want)
            order = Order(story, 0, {}, dict(changes))
            shop.orders[story.id] = order
            return self.go_on(shop, order, until=until, quiet=quiet)

    def _next(self, shop: Shop, until: str | None, want: Callable[[OrderStory], bool]) -> OrderStory:
        for index in range(shop.next_index, shop.next_index + PATIENCE):
            begins = int(self.state.clock()) - index * EVERY
            seed = shop.id % 997
            story = Story("shopify", seed, start=begins, pace=0, every=EVERY, currency=shop.currency).order(index)
            if story.placed and _reach(story, 0, until) is not None and want(story):
                shop.next_index = index + 1
                return story
        raise LookupError(f"no made-up order has a step {until!r} and is otherwise as wanted")

    def go_on(self, shop: Shop, order: Order, *, until: str | None, quiet: bool = False) -> JSON:
        """Tell the order's next steps, to the one named ``until`` or to the end; its body afterwards.

        Raises:
            LookupError: there is no such step ahead.
        """
        reach = _reach(order.story, order.told, until)
        if reach is None:
            raise LookupError(f"this order has no step {until!r} ahead")
        teller = ShopifyShop(shop.domain, self.state.signing_secret())
        teller.shop_id = shop.id
        with self.state.lock:
            order.story = _retimed(order.story, order.told, reach, int(self.state.clock()))
            for told in range(order.told + 1, reach + 1):
                self._step(shop, order, teller, told, quiet=quiet)
        return order.body

    def _step(self, shop: Shop, order: Order, teller: ShopifyShop, told: int, *, quiet: bool) -> None:
        before, now = (
            teller.webhooks(replace(order.story, steps=order.story.steps[:steps])) for steps in (order.told, told)
        )
        order.told = told
        event = str(uuid.uuid4())
        for webhook in now[len(before) :]:
            body = self._changed(order, webhook)
            if webhook.topic.startswith("orders/"):
                order.body = body
            if not quiet:
                self.webhooks.queue(shop, webhook.topic, body, event=event)

    def _changed(self, order: Order, webhook: Webhook) -> JSON:
        body: JSON = json.loads(webhook.body)
        return body | order.changes if webhook.topic.startswith("orders/") else body

    def edit(self, shop: Shop, order: Order, changes: Mapping[str, Any], *, quiet: bool) -> JSON:
        """Change the order by hand: it is updated now, and ``orders/updated`` says so."""
        with self.state.lock:
            moment = datetime.fromtimestamp(int(self.state.clock()), UTC).isoformat()
            order.changes |= changes
            order.body = order.body | {"updated_at": moment, **changes}
            if not quiet:
                self.webhooks.queue(shop, "orders/updated", order.body)
        return order.body


def _retimed(story: OrderStory, told: int, reach: int, now: int) -> OrderStory:
    """Move the steps after ``told``, so that the one numbered ``reach`` happens now; never back before those told."""
    shift = now - story.steps[reach - 1].at
    shift = max(shift, 0) if told else shift
    moved = [
        replace(step, at=step.at + shift, refund=step.refund and replace(step.refund, at=step.refund.at + shift))
        for step in story.steps[told:]
    ]
    return replace(story, steps=[*story.steps[:told], *moved])


def _reach(story: OrderStory, told: int, until: str | None) -> int | None:
    """How many steps have happened when ``until`` has; None where it is not ahead. A step that pays is "paid" too."""
    if until is None:
        return len(story.steps)
    for place, step in enumerate(story.steps[told:], told + 1):
        if step.name == until or (until == "paid" and step.pays):
            return place
    return None
