"""A simulated store's order as it stands, and the refunds of it: what they are worth, and how REST shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from app.simulators.story import OrderStory, Refund, RefundLine, State, half_up
from app.simulators.woocommerce_shop import JSON, WooCommerceShop


@dataclass
class Placed:
    """An order of the store."""

    story: OrderStory
    state: State
    status: str
    untrashed: str = ""  #: the status that a trashed order goes back to

    @property
    def id(self) -> int:
        return self.story.id

    @property
    def modified_at(self) -> int:
        return self.state.at

    @property
    def refunded(self) -> int:
        return sum(refund.amount for refund in self.state.refunds)


class Refunding:
    """Works out one refund. Shares are cut so that all refunds of a line together give the whole line."""

    def __init__(self, order: Placed, now: int, numbers: Iterator[int]) -> None:
        self.order = order
        self.story = order.story
        self.now = now
        self.before = [0] * len(self.story.lines)
        for refund in order.state.refunds:
            for line in refund.lines:
                self.before[line.line] += line.quantity
        self.numbers = numbers

    def build(
        self, quantities: Mapping[int, int] | None, amount: Decimal | None, shipping: bool, reason: str
    ) -> Refund:
        """Everything that is left, where neither quantities nor an amount are given."""
        whole = quantities is None and amount is None
        lines = self._lines(self._left() if whole else quantities or {})
        ship = self.story.shipping if whole or shipping else None
        if ship and any(refund.shipping for refund in self.order.state.refunds):
            ship = None
        paid, tax = (ship.paid, ship.tax) if ship else (0, 0)
        worth = sum(line.subtotal for line in lines) + paid
        if not self.story.included:
            worth += sum(line.tax for line in lines) + tax
        total = worth
        if whole:
            total = self.story.total - self.order.refunded
        elif amount is not None:
            total = int(amount.scaleb(self.story.zone.decimals))
        return Refund(next(self.numbers), self.now, reason, total, tuple(lines), paid, tax, total - worth)

    def _left(self) -> dict[int, int]:
        pairs = zip(self.story.lines, self.before, strict=True)
        return {line.id: line.quantity - taken for line, taken in pairs if line.quantity > taken}

    def _lines(self, quantities: Mapping[int, int]) -> list[RefundLine]:
        ids = [line.id for line in self.story.lines]
        return [self._line(ids.index(line_id), quantity) for line_id, quantity in quantities.items()]

    def _line(self, place: int, quantity: int) -> RefundLine:
        line, before = self.story.lines[place], self.before[place]

        def share(amount: int) -> int:
            after = half_up(amount * (before + quantity), line.quantity)
            return after - half_up(amount * before, line.quantity)

        return RefundLine(next(self.numbers), place, quantity, share(line.paid), share(line.tax))


def refund_bodies(shop: WooCommerceShop, order: Placed) -> list[JSON]:
    """What ``GET orders/<id>/refunds`` shows, newest first: the amount positive, quantities and totals negative."""
    return [_refund_body(shop, order, refund) for refund in reversed(order.state.refunds)]


def _refund_body(shop: WooCommerceShop, order: Placed, refund: Refund) -> JSON:
    story = order.story
    original = {line["id"]: line for line in shop.order(story, order.state)["line_items"]}

    def text(amount: int) -> str:
        return f"{Decimal(amount).scaleb(-story.zone.decimals):.{shop.decimals}f}"

    def minus(amount: int) -> str:
        return text(-amount) if amount else text(0)

    def line(each: RefundLine) -> JSON:
        net = each.subtotal - each.tax if story.included else each.subtotal
        sold: JSON = original[story.lines[each.line].id]
        entry = {"id": each.id * 10, "key": "_refunded_item_id", "value": str(sold["id"])}
        return sold | {
            "id": each.id,
            "quantity": -each.quantity,
            **{"subtotal": minus(net), "subtotal_tax": minus(each.tax)},
            **{"total": minus(net), "total_tax": minus(each.tax)},
            "taxes": [
                {"id": tax["id"], "total": minus(each.tax), "subtotal": minus(each.tax)} for tax in sold["taxes"]
            ],
            "meta_data": [entry],
        }

    return {
        "id": refund.id,
        **_dates(story, refund.at),
        "amount": text(refund.amount),
        "reason": refund.reason,
        "refunded_by": 1,
        "refunded_payment": False,
        "meta_data": [],
        "line_items": [line(each) for each in refund.lines],
        "shipping_lines": _refunded_shipping(story, refund, minus),
        "tax_lines": [],
        "fee_lines": [],
    }


def _refunded_shipping(story: OrderStory, refund: Refund, minus: Callable[[int], str]) -> list[JSON]:
    if not refund.shipping or story.shipping is None:
        return []
    net = refund.shipping - refund.shipping_tax if story.included else refund.shipping
    entry = {"id": refund.id * 10 + 9, "key": "_refunded_item_id", "value": str(story.shipping.id)}
    return [
        {
            "id": refund.id * 10,
            "method_title": story.shipping.title,
            "method_id": "flat_rate",
            "instance_id": "1",
            "total": minus(net),
            "total_tax": minus(refund.shipping_tax),
            "taxes": [],
            "meta_data": [entry],
        }
    ]


def _dates(story: OrderStory, at: int) -> JSON:
    def write(moment: int) -> str:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")

    return {"date_created": write(at + story.zone.offset), "date_created_gmt": write(at)}
