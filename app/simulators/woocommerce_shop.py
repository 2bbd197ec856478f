"""A made-up WooCommerce store: turns an order's story into the deliveries that the store's webhooks would make.

Written from the code of WooCommerce 9.9.5 (github.com/woocommerce/woocommerce, plugins/woocommerce/includes:
class-wc-webhook.php, wc-webhook-functions.php, rest-api/Controllers/Version3) and from deliveries recorded from a store
of that version. What surprises people is kept:

* A delivery is a job that cron runs later. Its payload is built then, so that what happened since is in it; pending
  jobs of one webhook about one order are one; ``order.created`` and ``order.updated`` often carry the same bytes.
* ``X-WC-Webhook-Delivery-ID`` follows from the webhook and the second: orders of one cron run share it.
* The Blocks checkout tells of drafts, and of a placed order by ``order.updated`` first.
* ``total`` and lines never shrink; refunds stand beside them with id, reason and total only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from app.simulators.catalogue import NOTES, Place
from app.simulators.story import Line, OrderStory, State, Step, Webhook, amount_text, half_up, sign, tax_of

VERSION = "9.9.5"
STATUS_CHANGED = "action.woocommerce_order_status_changed"
#: The ids of the store's webhooks, by topic.
WEBHOOK_IDS = {
    "order.created": 1,
    "order.updated": 2,
    "order.deleted": 3,
    "order.restored": 4,
    STATUS_CHANGED: 6,
    "cart.updated": 19,
}
PAYMENT = {"card": ("stripe", "Credit card"), "bank": ("bacs", "Bank transfer"), "cod": ("cod", "Cash on delivery")}
CREATED_VIA = {"blocks": "store-api", "classic": "checkout", "rest": "rest-api"}
RATE_IDS = {250: 1, 210: 2, 100: 3}
#: What a companion plugin calls an attribute where Shopify's storefront code has another name for it.
META_KEYS = {"seeka_pid": "_seeka_pid", "sqzl_cookie": "_sqzl_cookie"}
MICRO = 6  #: decimals that WooCommerce keeps of a line's own amounts

ENCODER = json.JSONEncoder(check_circular=False, separators=(",", ":"))

JSON = dict[str, Any]


def made_up_hooks() -> dict[str, tuple[str, str]]:
    """A path and a secret for every topic, for a store that nobody has connected."""
    digests = {topic: hashlib.sha256(topic.encode()).hexdigest() for topic in WEBHOOK_IDS}
    return {topic: (f"/webhooks/woocommerce/{digest[:32]}", digest[32:]) for topic, digest in digests.items()}


def encode(document: JSON) -> bytes:
    """As PHP writes JSON: ASCII, and every slash escaped."""
    return ENCODER.encode(document).replace("/", "\\/").encode()


def error_object(code: str, message: str, status: int) -> JSON:
    """What a store sends, signed, in place of an order that it cannot read."""
    return {"code": code, "message": message, "data": {"status": status}}


GONE = error_object("woocommerce_rest_shop_order_invalid_id", "Invalid ID.", 404)


@dataclass
class WooCommerceShop:
    """
    Args:
        hooks: (path, secret) by topic. A topic that is not there has no webhook.
        cron: seconds from one run of the queue to the next.
        decimals: the store's setting, which holds for every currency.
    """

    url: str = "https://made-up.example"
    hooks: Mapping[str, tuple[str, str]] = field(default_factory=made_up_hooks)
    cron: int = 60
    decimals: int = 2

    platform = "woocommerce"

    def webhooks(self, story: OrderStory) -> list[Webhook]:
        """Every delivery about ``story``, in the order in which the store would make them."""
        return list(_Teller(self, story).tell())

    def order(self, story: OrderStory, state: State) -> JSON:
        """The order as ``GET /wc/v3/orders/<id>`` shows it in this state."""
        return _Teller(self, story).order(state)

    def cart(self, story: OrderStory, step: Step) -> JSON:
        """The cart as a companion plugin's own topic shows it."""
        return _Teller(self, story).cart(step)

    def final(self, story: OrderStory) -> list[Webhook]:
        """The last word about the order alone; nothing where there is no order."""
        if not story.placed:
            return []
        last = story.steps[-1]
        body = encode(_Teller(self, story).order(story.states[-1]))
        return [self.deliver("order.updated", body, story, last.name, last.at)]

    def deliver(self, topic: str, body: bytes, story: OrderStory, step: str, at: int) -> Webhook:
        path, secret = self.hooks[topic]
        number = WEBHOOK_IDS.get(topic, 40)
        resource, _, event = topic.partition(".")
        headers = {
            "User-Agent": f"WooCommerce/{VERSION} Hookshot (WordPress/6.9)",
            "Accept": "*/*",
            "Content-Type": "application/json",
            "X-WC-Webhook-Source": f"{self.url}/",
            "X-WC-Webhook-Topic": topic,
            "X-WC-Webhook-Resource": resource,
            "X-WC-Webhook-Event": event,
            "X-WC-Webhook-Signature": sign(body, secret),
            "X-WC-Webhook-ID": str(number),
            "X-WC-Webhook-Delivery-ID": delivery_id(number, at),
        }
        order_id = None if topic == "cart.updated" else str(story.id)
        return Webhook("woocommerce", topic, headers, body, path, order_id, step, at, story.index)

    def pings(self) -> list[Webhook]:
        """What a webhook sends once, when it is made: a form, and no signature."""
        headers = {
            "User-Agent": f"WooCommerce/{VERSION} Hookshot (WordPress/6.9)",
            "Accept": "*/*",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return [
            Webhook(
                "woocommerce",
                "ping",
                headers,
                f"webhook_id={WEBHOOK_IDS.get(topic, 40)}".encode(),
                path,
                None,
                "ping",
                0,
            )
            for topic, (path, _) in self.hooks.items()
        ]


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def delivery_id(webhook: int, second: int) -> str:
    """The same for everything that one webhook delivers in one second."""
    return md5(f"{webhook}{second}")


class _Teller:
    def __init__(self, shop: WooCommerceShop, story: OrderStory) -> None:
        self.shop = shop
        self.story = story
        self.scale: int = 10 ** (shop.decimals - story.zone.decimals)
        self.micro: int = 10 ** (MICRO - story.zone.decimals)
        self._fixed: JSON = {}

    # What is sent, and when

    def tell(self) -> Iterator[Webhook]:
        for run, steps in self._runs():
            at = (run + 1) * self.shop.cron
            last, state = steps[-1]
            if last.name == "cart":
                if "cart.updated" in self.shop.hooks:
                    yield self.shop.deliver("cart.updated", encode(self.cart(last)), self.story, last.name, at)
                continue
            shown = encode(GONE if last.name == "vanished" else self.order(state))
            for topic in self._topics(steps):
                if topic in self.shop.hooks:
                    body = self._body(topic, shown)
                    yield self.shop.deliver(topic, body, self.story, last.name, at)

    def _body(self, topic: str, shown: bytes) -> bytes:
        if topic == "order.deleted":
            return encode({"id": self.story.id})
        if topic == STATUS_CHANGED:
            return encode({"action": STATUS_CHANGED.partition(".")[2], "arg": self.story.id})
        return shown

    def _runs(self) -> Iterator[tuple[int, list[tuple[Step, State]]]]:
        """Steps by the run of the queue that tells of them. Trash is never told together with anything else."""
        alone = ("cart", "trashed", "restored")
        pending: list[tuple[Step, State]] = []
        run = 0
        for step, state in zip(self.story.steps, self.story.states, strict=True):
            mine = max(run, step.at // self.shop.cron)
            same_kind = bool(pending) and (pending[-1][0].name in alone or step.name in alone)
            both_carts = bool(pending) and pending[-1][0].name == step.name == "cart"
            if pending and step.name != "vanished" and (mine > run or (same_kind and not both_carts)):
                yield run, pending
                pending = []
                mine = max(run + 1, mine) if same_kind else mine
            run = run if step.name == "vanished" else mine
            pending.append((step, state))
        if pending:
            yield run, pending

    def _topics(self, steps: list[tuple[Step, State]]) -> list[str]:
        """Each topic once, by the first step that queued it."""
        topics: dict[str, None] = {}
        for step, state in steps:
            topics |= dict.fromkeys(self._queued(step, state))
        return list(topics)

    def _queued(self, step: Step, state: State) -> list[str]:
        match step.name:
            case "created":
                placed = ["order.created", "order.updated"]
                told = placed[::-1] if self.story.checkout == "blocks" else placed
                return told if self.status(state) == "pending" else [*told, STATUS_CHANGED]
            case "trashed":
                return ["order.deleted"]
            case "restored":  # a store that keeps orders as posts says both
                return ["order.restored", "order.updated"] if self.story.quirk % 3 == 0 else ["order.restored"]
            case "vanished":
                return []
        changed = step.name in ("paid", "fulfilled", "cancelled") or self.status(state) == "refunded"
        return ["order.updated", STATUS_CHANGED] if changed else ["order.updated"]

    def status(self, state: State) -> str:
        if state.draft:
            return "checkout-draft"
        if state.cancelled_at:
            return "cancelled"
        if state.refunds and sum(refund.amount for refund in state.refunds) == self.story.total:
            return "refunded"
        if state.fulfilled_at:
            return "completed"
        if state.paid_at:
            return "processing"
        return {"bank": "on-hold", "cod": "processing", "card": "pending"}[self.story.payment]

    # Small parts

    def text(self, amount: int) -> str:
        return amount_text(amount * self.scale, self.shop.decimals)

    def exact(self, micro: int) -> str:
        """An amount that WooCommerce did not round, without closing zeros."""
        text = amount_text(micro, MICRO).rstrip("0").rstrip(".")
        return text or "0"

    def net(self, amount: int, rate: int) -> int:
        """Without the tax, where prices hold it."""
        return amount - tax_of(amount, rate, True) if self.story.included else amount

    def net_micro(self, amount: int, rate: int) -> int:
        micro = amount * self.micro
        return half_up(micro * 1000, 1000 + rate) if self.story.included else micro

    def tax_micro(self, amount: int, rate: int) -> int:
        micro = amount * self.micro
        if self.story.included:
            return micro - half_up(micro * 1000, 1000 + rate)
        return half_up(micro * rate, 1000)

    def local(self, at: int | None) -> str | None:
        return None if at is None else self.gmt(at + self.story.zone.offset)

    def gmt(self, at: int | None) -> str | None:
        return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")

    def dates(self, name: str, at: int | None) -> JSON:
        return {name: self.local(at), f"{name}_gmt": self.gmt(at)}

    # The order

    def order(self, state: State) -> JSON:
        story = self.story
        if not self._fixed:
            self._fixed = self._shape()
        status = self.status(state)
        due = status in ("pending", "failed", "checkout-draft") and story.total > 0
        card = story.payment == "card" and state.paid_at and story.total
        return self._fixed | {
            "status": status,
            **self.dates("date_created", state.created_at),
            **self.dates("date_modified", state.at),
            **self.dates("date_completed", state.fulfilled_at),
            **self.dates("date_paid", state.paid_at),
            "transaction_id": f"pi_{story.token[:24]}" if card else "",
            "customer_note": NOTES[state.edits % len(NOTES)] if state.edits else story.note or "",
            "meta_data": self._meta(state),
            "refunds": [
                {"id": refund.id, "reason": refund.reason, "total": self.text(-refund.amount)}
                for refund in reversed(state.refunds)
            ],
            "is_editable": status in ("pending", "on-hold"),
            "needs_payment": due,
        }

    def _shape(self) -> JSON:
        """Every key in the store's own order; what the steps change is filled in by `order`."""
        story, buyer = self.story, self.story.buyer
        browser = story.checkout != "rest"
        key = f"wc_order_{story.token[:13]}"
        method, method_title = PAYMENT[story.payment]
        return {
            "id": story.id,
            "parent_id": 0,
            "status": "",
            "currency": story.zone.currency,
            "version": VERSION,
            "prices_include_tax": story.included,
            "date_created": None,
            "date_modified": None,
            **self._sums(),
            "customer_id": buyer.customer_id or 0,
            "order_key": key,
            "billing": self._billing(),
            "shipping": self._address(),
            "payment_method": method,
            "payment_method_title": method_title,
            "transaction_id": "",
            "customer_ip_address": f"192.0.2.{story.quirk}" if browser else "",
            "customer_user_agent": story.user_agent if browser else "",
            "created_via": CREATED_VIA[story.checkout],
            "customer_note": "",
            "date_completed": None,
            "date_paid": None,
            "cart_hash": story.token if browser else "",
            "number": str(story.number),
            "meta_data": [],
            "line_items": [self._line(line) for line in story.lines],
            "tax_lines": self._tax_lines(),
            "shipping_lines": self._shipping_lines(),
            "fee_lines": self._fee_lines(),
            "coupon_lines": self._coupon_lines(),
            "refunds": [],
            "payment_url": f"{self.shop.url}/checkout/order-pay/{story.id}/?pay_for_order=true&key={key}",
            "is_editable": False,
            "needs_payment": False,
            "needs_processing": True,
            "date_created_gmt": None,
            "date_modified_gmt": None,
            "date_completed_gmt": None,
            "date_paid_gmt": None,
            "currency_symbol": story.zone.symbol,
            "_links": self._links(),
        }

    def _sums(self) -> JSON:
        story = self.story
        shipping = story.shipping
        ship_net = self.net(shipping.paid, shipping.rate) if shipping else 0
        ship_tax = shipping.tax if shipping else 0
        before = sum(self.net(line.value, line.rate) for line in story.lines)
        after = sum(self.net(line.paid, line.rate) for line in story.lines)
        tax_before = sum(tax_of(line.value, line.rate, line.included) for line in story.lines)
        tax_after = sum(line.tax for line in story.lines)
        return {
            "discount_total": self.text(before - after),
            "discount_tax": self.text(tax_before - tax_after),
            "shipping_total": self.text(ship_net),
            "shipping_tax": self.text(ship_tax),
            "cart_tax": self.text(tax_after + story.fee_tax),
            "total": self.text(story.total),
            "total_tax": self.text(story.tax),
        }

    def _billing(self) -> JSON:
        buyer = self.story.buyer
        street = self._street(buyer.person.first_name, buyer.person.last_name, "", buyer.place)
        return street | {"email": buyer.email or "", "phone": buyer.phone or ""}

    def _address(self) -> JSON:
        story, person = self.story, self.story.buyer.person
        if story.shipping is None:
            return dict.fromkeys(self._street("", "", "", story.buyer.place), "") | {"phone": ""}
        first, company = ("Pat", "c/o Anyone Ltd.") if story.ship_elsewhere else (person.first_name, "")
        return self._street(first, person.last_name, company, story.buyer.place) | {"phone": ""}

    def _street(self, first_name: str, last_name: str, company: str, place: Place) -> JSON:
        return {
            "first_name": first_name,
            "last_name": last_name,
            "company": company,
            "address_1": place.street,
            "address_2": place.more,
            "city": place.city,
            "state": "",
            "postcode": place.postcode,
            "country": self.story.zone.country,
        }

    def _links(self) -> JSON:
        story, api = self.story, f"{self.shop.url}/wp-json/wc/v3"
        own = f"{api}/orders/{story.id}"
        links: JSON = {
            "self": [{"href": own, "targetHints": {"allow": ["GET", "POST", "PUT", "PATCH", "DELETE"]}}],
            "collection": [{"href": f"{api}/orders"}],
            "email_templates": [{"embeddable": True, "href": f"{own}/actions/email_templates"}],
        }
        if story.buyer.customer_id:
            links["customer"] = [{"href": f"{api}/customers/{story.buyer.customer_id}"}]
        return links

    # Meta

    def _meta(self, state: State) -> list[JSON]:
        """Newer entries have higher ids; the list itself has no order to rely on."""
        story = self.story
        pairs: list[tuple[str, Any]] = []
        if story.checkout == "blocks":
            pairs += [(f"_{what}_hash", story.token) for what in ("shipping", "coupons", "fees", "taxes")]
        if story.checkout != "rest":
            pairs.append(("is_vat_exempt", "no"))
            pairs += self._attribution()
        if not (state.draft and story.quirk % 2):
            pairs += [(META_KEYS.get(name, name), value) for name, value in story.attributes.order]
        if story.quirk % 10 == 0:
            pairs.append(("_plugin_state", {"steps": [1, 2], "done": "🎉"}))
        pairs += [(f"_edited_{edit}", "yes") for edit in range(state.edits)]
        entries = [
            {"id": story.id * 10 + place, "key": key, "value": value} for place, (key, value) in enumerate(pairs)
        ]
        return sorted(entries, key=lambda entry: str(entry["key"])) if story.quirk % 2 else entries

    def _attribution(self) -> list[tuple[str, str]]:
        story = self.story
        if story.quirk % 4 == 0:
            return []
        live = story.attributes.sprii_number is not None
        known = {
            "source_type": "utm" if live else "typein",
            "utm_source": "sprii" if live else "(direct)",
            "session_pages": str(1 + story.quirk % 9),
            "session_count": "1",
            "user_agent": story.user_agent,
            "device_type": "Desktop",
        }
        if story.checkout == "blocks":  # sends the empty ones too
            known = {"referrer": "https://www.sprii.io/" if live else "", "utm_campaign": "", "utm_medium": ""} | known
        return [(f"_wc_order_attribution_{name}", value) for name, value in known.items()]

    def _line_meta(self, line: Line) -> list[JSON]:
        options = line.product.options if line.product else ()
        chosen = zip(options, line.variant_title.split(" / "), strict=False) if line.variant_title else ()
        triples = [(option.lower(), value, option) for option, value in chosen]
        triples += [(name, value, name) for name, value in line.attributes]
        return [
            {"id": line.id * 10 + place, "key": key, "value": value, "display_key": shown, "display_value": value}
            for place, (key, value, shown) in enumerate(triples)
        ]

    # Lines

    def _line(self, line: Line) -> JSON:
        rate = line.rate
        total = self.net_micro(line.paid, rate)
        price = round(total / line.quantity) / 10**MICRO
        variation = line.variant_id if line.variant_title else None
        title = f"{line.title} - {line.variant_title.replace(' / ', ', ')}" if line.variant_title else line.title
        known = line.product is not None
        taxes = {
            "id": RATE_IDS.get(rate, 9),
            "total": self.exact(self.tax_micro(line.paid, rate)),
            "subtotal": self.exact(self.tax_micro(line.value, rate)),
        }
        return {
            "id": line.id,
            "name": title,
            "product_id": line.product_id or 0,
            "variation_id": variation or 0,
            "quantity": line.quantity,
            "tax_class": "" if rate else "zero-rate",
            "subtotal": self.text(self.net(line.value, rate)),
            "subtotal_tax": self.text(tax_of(line.value, rate, line.included)),
            "total": self.text(self.net(line.paid, rate)),
            "total_tax": self.text(line.tax),
            "taxes": [taxes] if rate else [],
            "meta_data": self._line_meta(line),
            "sku": (line.sku or "") if known else None,
            "price": int(price) if price == int(price) else price,
            "image": {"id": line.product_id + 5, "src": f"{self.shop.url}/wp-content/uploads/{line.product_id}.jpg"}
            if line.product_id and self.story.quirk % 3
            else {"id": "", "src": ""},
            "parent_name": line.title if line.variant_title else None,
        }

    def _tax_lines(self) -> list[JSON]:
        story = self.story
        if not story.rate:
            return []
        lines = sum(line.tax for line in story.lines) + story.fee_tax
        return [
            {
                "id": story.id + 36,
                "rate_code": f"{story.zone.country}-{story.zone.tax_name.upper()}-1",
                "rate_id": RATE_IDS.get(story.rate, 9),
                "label": story.zone.tax_name,
                "compound": False,
                "tax_total": self.text(lines),
                "shipping_tax_total": self.text(story.shipping.tax if story.shipping else 0),
                "rate_percent": story.rate // 10,
                "meta_data": [],
            }
        ]

    def _tax_of(self, amount: int) -> list[JSON]:
        rate = self.story.rate
        if not rate:
            return []
        return [{"id": RATE_IDS.get(rate, 9), "total": self.exact(self.tax_micro(amount, rate)), "subtotal": ""}]

    def _shipping_lines(self) -> list[JSON]:
        story, shipping = self.story, self.story.shipping
        if shipping is None:
            return []
        items = ", ".join(f"{line.title} &times; {line.quantity}" for line in story.lines)
        entry = {"id": shipping.id * 10, "key": "Items", "value": items, "display_key": "Items", "display_value": items}
        browser = story.checkout != "rest"
        free = shipping.price > 0 == shipping.paid
        return [
            {
                "id": shipping.id,
                "method_title": shipping.title,
                "method_id": "free_shipping" if free else "flat_rate",
                "instance_id": "1" if browser else "",
                "total": self.text(self.net(shipping.paid, shipping.rate)),
                "total_tax": self.text(shipping.tax),
                "taxes": self._tax_of(shipping.paid),
                "tax_status": "taxable",
                "meta_data": [entry] if browser else [],
            }
        ]

    def _fee_lines(self) -> list[JSON]:
        story = self.story
        if not story.fee:
            return []
        total = self.text(self.net(story.fee, story.rate))
        return [
            {
                "id": story.id + 37,
                "name": "Gift wrap" if story.fee > 0 else "Loyalty discount",
                "tax_class": "",
                "tax_status": "taxable",
                "amount": total if story.checkout != "rest" else "",
                "total": total,
                "total_tax": self.text(story.fee_tax),
                "taxes": self._tax_of(story.fee),
                "meta_data": [],
            }
        ]

    def _coupon_lines(self) -> list[JSON]:
        story, numbers = self.story, count(self.story.id + 32)
        made = []
        for discount in story.discounts:
            net, tax = self._given(discount.target)
            kind = {"line": "fixed_product", "shipping": "percent"}.get(
                discount.target, "percent" if discount.kind == "percentage" else "fixed_cart"
            )
            free = discount.target == "shipping" and story.shipping is not None and not story.shipping.paid
            nominal = 0 if discount.target == "shipping" else self._nominal(discount.value, kind)
            info = json.dumps([16, discount.code, kind, nominal], separators=(",", ":"))
            number = next(numbers)
            made.append(
                {
                    "id": number,
                    "code": discount.code,
                    "discount": self.text(net),
                    "discount_tax": self.text(tax),
                    "meta_data": [
                        {
                            "id": number * 10,
                            "key": "coupon_info",
                            "value": info,
                            "display_key": "coupon_info",
                            "display_value": info,
                        }
                    ],
                    "discount_type": kind,
                    "nominal_amount": nominal,
                    "free_shipping": free,
                }
            )
        return made

    def _nominal(self, value: int, kind: str) -> int | float:
        if kind == "percent" or not self.story.zone.decimals:
            return value
        major = value / 10**self.story.zone.decimals
        return int(major) if major == int(major) else major

    def _given(self, target: str) -> tuple[int, int]:
        """Net and tax that the coupon took off, such that all coupons together give the order's discount."""
        net = tax = 0
        for line in self.story.lines:
            start = line.value if target == "line" else line.value - line.line_discount
            end = line.value - line.line_discount if target == "line" else line.paid
            if target != "shipping":
                net += self.net(start, line.rate) - self.net(end, line.rate)
                tax += tax_of(start, line.rate, line.included) - tax_of(end, line.rate, line.included)
        return net, tax

    # Carts, by a companion plugin's own topic

    def cart(self, step: Step) -> JSON:
        story, buyer = self.story, self.story.buyer
        lines = [line for line in story.lines[: step.lines] if line.product]
        gross = sum(line.value + (0 if line.included else tax_of(line.value, line.rate, False)) for line in lines)
        number = story.attributes.sprii_number if step.lines > 1 or story.quirk % 2 else None
        return {
            "id": str(buyer.customer_id) if buyer.customer_id else f"t_{story.token[:30]}",
            "currency": story.zone.currency,
            "date_gmt": self.gmt(step.at),
            "customer_id": buyer.customer_id or 0,
            "email": (buyer.email or "") if buyer.customer_id else "",
            "total": self.text(gross),
            "items": [
                {
                    "key": hashlib.md5(
                        f"{line.product_id}{line.variant_id}".encode(), usedforsecurity=False
                    ).hexdigest(),
                    "product_id": line.product_id,
                    "variation_id": (line.variant_id or 0) if line.variant_title else 0,
                    "quantity": line.quantity,
                    "line_subtotal": self.exact(self.net_micro(line.value, line.rate)),
                    "line_total": self.exact(self.net_micro(line.value, line.rate)),
                }
                for line in lines
            ],
            "meta_data": [{"key": "sprii_order_no", "value": number or ""}],
        }
