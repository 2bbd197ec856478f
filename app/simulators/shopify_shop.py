"""A made-up Shopify shop: turns an order's story into the webhooks that Shopify would send about it.

Bodies have the shape of the REST order, refund, cart and checkout resources in their 2026-10 form, whatever the topic.
Sources: shopify.dev/docs/api/webhooks (topics and sample bodies), shopify.dev/docs/api/admin-rest (resources),
shopify.dev/docs/apps/build/webhooks (headers, signature, retries). Not published, so assumed: a tip stands in
``total_tip_received`` and on no line; where prices include tax, the subtotals of refunded lines and shipping do too.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from random import Random
from typing import Any

from app.simulators.catalogue import COUNTRY_NAMES, NOTES, Person, Place
from app.simulators.story import (
    Discount,
    Line,
    OrderStory,
    Refund,
    State,
    Step,
    Webhook,
    amount_text,
    half_up,
    sign,
    tax_of,
)

API_VERSION = "2026-10"
PATH = "/webhooks/shopify"
GATEWAYS = {"card": "shopify_payments", "bank": "Bank Deposit", "cod": "Cash on Delivery (COD)"}

ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))

JSON = dict[str, Any]


def encode(document: JSON) -> bytes:
    """As Rails writes JSON: UTF-8, but no bare ``&``, ``<`` or ``>``."""
    return ENCODER.encode(document).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").encode()


@dataclass
class ShopifyShop:
    domain: str = "made-up.myshopify.com"
    secret: str = "shpss_made_up"  # noqa: S105
    #: Our app hears of carts and checkouts only where it subscribed to them.
    carts: bool = True
    shop_id: int = field(init=False)

    platform = "shopify"

    def __post_init__(self) -> None:
        self.shop_id = 60_000_000_000 + zlib.crc32(self.domain.encode())

    def webhooks(self, story: OrderStory) -> list[Webhook]:
        """Every delivery about ``story``, in the order in which Shopify would send them."""
        return list(_Teller(self, story).tell())

    def final(self, story: OrderStory) -> list[Webhook]:
        """The last word about the order alone: one ``orders/updated``; nothing where there is no order."""
        if not story.placed:
            return []
        teller = _Teller(self, story)
        return [teller.webhook("orders/updated", teller.order(story.states[-1]), story.steps[-1])]


class _Teller:
    def __init__(self, shop: ShopifyShop, story: OrderStory) -> None:
        self.shop = shop
        self.story = story
        self.chance = Random(f"{shop.domain}/{story.token}")  # noqa: S311
        self.zone = timezone(timedelta(seconds=story.zone.offset))
        self.decimals = story.zone.decimals
        self.currency = story.zone.currency
        self.buyer_currency, self.buyer_decimals, self.exchange = story.foreign or (self.currency, self.decimals, 0)
        self._money: dict[int, JSON] = {}
        self.cart_token = f"hWN{story.token[:26]}"
        self.line_json = [self._line(line) for line in story.lines]

    # What is sent, and when

    def tell(self) -> Iterator[Webhook]:
        carts = 0
        checkouts = 0
        for step, state in zip(self.story.steps, self.story.states, strict=True):
            if step.name in ("cart", "checkout") and not self.shop.carts:
                continue
            match step.name:
                case "cart":
                    told = [("carts/update" if carts else "carts/create", self.cart(step))]
                    carts += 1
                case "checkout":
                    told = [("checkouts/update" if checkouts else "checkouts/create", self.checkout(step))]
                    checkouts += 1
                case _:
                    told = self._order_step(step, state)
            event = self._uuid()
            for place, (topic, document) in enumerate(told):
                yield self.webhook(topic, document, step, event, lag=place // 2)

    def _order_step(self, step: Step, state: State) -> list[tuple[str, bytes]]:
        """The topics of a step, all with the same body except the refund's."""
        body = self.order(state)
        told = [("orders/updated", body)]
        match step.name:
            case "created":
                told.insert(0, ("orders/create", body))
            case "fulfilled":
                told.insert(0, ("orders/fulfilled", body))
            case "cancelled":
                told.insert(0, ("orders/cancelled", body))
        if step.pays:
            told.insert(1, ("orders/paid", body))
        if step.refund:
            told.insert(0, ("refunds/create", encode(self.refund(step.refund))))
        if self.chance.random() < 0.15:  # no order is promised, and orders/updated does overtake orders/create
            told.insert(0, told.pop())
        return told

    def webhook(self, topic: str, body: bytes, step: Step, event: str = "", lag: int = 0) -> Webhook:
        moment = datetime.fromtimestamp(step.at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Shopify-Captain-Hook",
            "Accept": "*/*",
            "X-Shopify-Topic": topic,
            "X-Shopify-Hmac-Sha256": sign(body, self.shop.secret),
            "X-Shopify-Shop-Domain": self.shop.domain,
            "X-Shopify-API-Version": API_VERSION,
            "X-Shopify-Webhook-Id": self._uuid(),
            "X-Shopify-Event-Id": event or self._uuid(),
            "X-Shopify-Triggered-At": f"{moment}.{self.chance.randrange(10**9):09d}Z",
            "X-Shopify-Test": "false",
        }
        order_id = None if step.name in ("cart", "checkout") else str(self.story.id)
        at = step.at + lag
        return Webhook("shopify", topic, headers, body, PATH, order_id, step.name, at, self.story.index)

    def _uuid(self) -> str:
        digits = f"{self.chance.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    # Small parts

    def time(self, at: int | None) -> str | None:
        return None if at is None else datetime.fromtimestamp(at, self.zone).isoformat()

    def text(self, amount: int) -> str:
        return amount_text(amount, self.decimals)

    def foreign(self, amount: int) -> int:
        """In the buyer's currency, in its minor units."""
        if not self.exchange:
            return amount
        scale = 10 ** max(0, self.decimals - self.buyer_decimals)
        return half_up(amount * self.exchange * 10 ** max(0, self.buyer_decimals - self.decimals), 1_000_000 * scale)

    def money(self, amount: int) -> JSON:
        known = self._money.get(amount)
        if known is None:
            known = self._money[amount] = {
                "shop_money": {"amount": self.text(amount), "currency_code": self.currency},
                "presentment_money": {
                    "amount": amount_text(self.foreign(amount), self.buyer_decimals),
                    "currency_code": self.buyer_currency,
                },
            }
        return known

    def both(self, name: str, amount: int) -> JSON:
        return {name: self.text(amount), f"{name}_set": self.money(amount)}

    def gid(self, kind: str, number: int) -> str:
        return f"gid://shopify/{kind}/{number}"

    def tax_line(self, amount: int, rate: int) -> JSON:
        title = self.story.zone.tax_name
        liable = None if self.story.quirk % 5 == 0 else False
        return {"channel_liable": liable, **self.both("price", amount), "rate": rate / 1000, "title": title}

    def address(self, person: Person, place: Place, phone: str | None) -> JSON:
        country = self.story.zone.country
        return {
            "first_name": person.first_name,
            "address1": place.street,
            "phone": phone,
            "city": place.city,
            "zip": place.postcode,
            "province": None,
            "country": COUNTRY_NAMES[country],
            "last_name": person.last_name,
            "address2": place.more or None,
            "company": None,
            "latitude": place.latitude,
            "longitude": place.longitude,
            "name": f"{person.first_name} {person.last_name}",
            "country_code": country,
            "province_code": None,
        }

    # Lines

    def _line(self, line: Line) -> JSON:
        product = line.product
        draft = self.story.source == "draft"
        by_line = line.line_discount if draft else 0  # filled for drafts and by APIs only; the allocations say it all
        taxed = bool(line.rate) and not line.gift_card
        return {
            "id": line.id,
            "admin_graphql_api_id": self.gid("LineItem", line.id),
            "attributed_staffs": [],
            "current_quantity": line.quantity,
            "fulfillable_quantity": line.quantity,
            "fulfillment_service": "manual",
            "fulfillment_status": None,
            "gift_card": line.gift_card,
            "grams": product.grams if product else 0,
            "name": f"{line.title} - {line.variant_title}" if line.variant_title else line.title,
            **self.both("price", line.unit),
            "product_exists": product is not None,
            "product_id": line.product_id,
            "properties": [{"name": name, "value": value} for name, value in line.attributes],
            "quantity": line.quantity,
            "requires_shipping": not line.gift_card,
            "sku": line.sku,
            "taxable": not line.gift_card,
            "title": line.title,
            **self.both("total_discount", by_line),
            "variant_id": line.variant_id,
            "variant_inventory_management": "shopify" if product else None,
            "variant_title": line.variant_title or None,
            "vendor": product.vendor if product else None,
            "tax_lines": [self.tax_line(line.tax, line.rate)] if taxed else [],
            "duties": [],
            "discount_allocations": self._allocations(line),
        }

    def _allocations(self, line: Line) -> list[JSON]:
        shares: list[JSON] = []
        for place, discount in enumerate(self.story.discounts):
            if discount.target == "line":
                share = line.line_discount
            else:
                share = line.order_discount if discount.target == "order" else 0
            if share:
                shares.append({**self.both("amount", share), "discount_application_index": place})
        return shares

    def _lines_now(self, state: State) -> bytes:
        """The lines as JSON: what no step changes is encoded once, for these are the larger part of a body."""
        back = dict.fromkeys(range(len(self.line_json)), 0)
        for refund in state.refunds:
            for each in refund.lines:
                back[each.line] += each.quantity
        done = state.fulfilled_at is not None
        status = b'"fulfilled"' if done else b"null"
        lines = []
        for place, (line, text) in enumerate(zip(self.story.lines, self._line_texts, strict=True)):
            left = line.quantity - back[place]
            changing = b',"current_quantity":%d,"fulfillable_quantity":%d,"fulfillment_status":%s}'
            lines.append(text + changing % (left, 0 if done else left, status))
        return b"[" + b",".join(lines) + b"]"

    @cached_property
    def _line_texts(self) -> list[bytes]:
        """Each line as JSON up to where `_lines_now` goes on."""
        changing = ("current_quantity", "fulfillable_quantity", "fulfillment_status")
        return [encode({key: line[key] for key in line if key not in changing})[:-1] for line in self.line_json]

    def _application(self, discount: Discount) -> JSON:
        percentage = discount.kind == "percentage"
        value = f"{discount.value}.0" if percentage else self.text(discount.value)
        which = "all" if discount.target != "line" else "entitled"
        common = {
            "target_type": "shipping_line" if discount.target == "shipping" else "line_item",
            "type": "automatic" if discount.automatic else "discount_code",
            "value": value,
            "value_type": discount.kind,
            "allocation_method": "across" if discount.target == "order" else "each",
            "target_selection": which,
        }
        return common | ({"title": "Show price"} if discount.automatic else {"code": discount.code})

    def _discount_codes(self) -> list[JSON]:
        return [
            {
                "code": each.code,
                "amount": self.text(each.amount),
                "type": "shipping" if each.target == "shipping" else each.kind,
            }
            for each in self.story.discounts
            if not each.automatic
        ]

    def _shipping_lines(self) -> list[JSON]:
        shipping = self.story.shipping
        if shipping is None:
            return []
        place = next((n for n, each in enumerate(self.story.discounts) if each.target == "shipping"), 0)
        return [
            {
                "id": shipping.id,
                "carrier_identifier": None,
                "code": shipping.code,
                **self.both("discounted_price", shipping.paid),
                "is_removed": False,
                "phone": None,
                **self.both("price", shipping.price),
                "requested_fulfillment_service_id": None,
                "source": "shopify",
                "title": shipping.title,
                "tax_lines": [self.tax_line(shipping.tax, shipping.rate)] if shipping.rate else [],
                "discount_allocations": [
                    {**self.both("amount", shipping.discount), "discount_application_index": place}
                ]
                if shipping.discount
                else [],
            }
        ]

    # The order

    def order(self, state: State) -> bytes:
        lines = self._lines_now(state)
        changing = self._now(state) | {"refunds": [self.refund(refund) for refund in state.refunds]}
        sent = self._fulfillment(state)
        fulfillments = b"[" + encode(sent)[:-1] + b',"line_items":' + lines + b"}]" if sent else b"[]"
        parts = (self._always[:-1], encode(changing)[1:-1], b'"line_items":' + lines, b'"fulfillments":' + fulfillments)
        return b",".join(parts) + b"}"

    @cached_property
    def _always(self) -> bytes:
        """What no step changes, encoded once: these bodies are large, and there are many."""
        return encode(self._identity() | self._placed_money() | self._people())

    def _identity(self) -> JSON:
        story = self.story
        web = story.source == "web"
        token = story.token
        source = {"web": "web", "pos": "pos", "draft": "shopify_draft_order"}[story.source]
        referral = web and story.attributes.sprii_number is not None
        return {
            "id": story.id,
            "admin_graphql_api_id": self.gid("Order", story.id),
            "app_id": {"web": 580111, "pos": 129785, "draft": 1354745}[story.source],
            "browser_ip": f"192.0.2.{story.quirk}" if web else None,
            "cart_token": self.cart_token if web else None,
            "checkout_token": token if web else None,
            "client_details": self._client() if web else None,
            "company": None,
            "confirmation_number": token[:9].upper(),
            "confirmed": True,
            "currency": self.currency,
            "current_total_additional_fees_set": None,
            "current_total_duties_set": None,
            "customer_locale": story.zone.locale if story.quirk % 7 else story.zone.locale[:2],
            "device_id": None,
            "discount_codes": self._discount_codes(),
            "discount_applications": [self._application(each) for each in story.discounts],
            "duties_included": False,
            "estimated_taxes": False,
            "landing_site": "/?utm_source=sprii&utm_medium=live" if referral else ("/" if web else None),
            "landing_site_ref": None,
            "location_id": 73_000_000_001 if story.source == "pos" else None,
            "merchant_business_entity_id": "MTU0ODM4MDAwOQ",
            "merchant_of_record_app_id": None,
            "name": f"#{story.number}",
            "note_attributes": [{"name": name, "value": value} for name, value in story.attributes.order],
            "number": story.number - 1000,
            "order_number": story.number,
            "order_status_url": f"https://{self.shop.domain}/{self.shop.shop_id}/orders/{token}/authenticate?key={token[::-1]}",
            "original_total_additional_fees_set": None,
            "original_total_duties_set": None,
            "payment_gateway_names": ["bogus"] if story.test else [GATEWAYS[story.payment]],
            "payment_terms": None,
            "po_number": None,
            "presentment_currency": self.buyer_currency,
            "reference": token if web else None,
            "referring_site": "https://www.sprii.io/" if referral else ("" if web else None),
            "source_identifier": token if web else None,
            "source_name": source,
            "source_url": None,
            "tax_exempt": story.rate == 0,
            "taxes_included": story.included,
            "test": story.test,
            "token": token,
            "total_weight": sum((line.product.grams if line.product else 0) * line.quantity for line in story.lines),
            "user_id": None if web else 87_000_000_001,
            "shipping_lines": self._shipping_lines(),
        }

    def _client(self) -> JSON:
        return {
            "accept_language": self.story.zone.locale,
            "browser_height": None,
            "browser_ip": f"192.0.2.{self.story.quirk}",
            "browser_width": None,
            "session_hash": None,
            "user_agent": self.story.user_agent if self.story.quirk % 8 else None,
        }

    def _placed_money(self) -> JSON:
        story = self.story
        lines = sum(line.value for line in story.lines)
        discounts = sum(each.amount for each in story.discounts)
        return {
            **self.both("subtotal_price", sum(line.paid for line in story.lines)),
            "tax_lines": [self.tax_line(story.tax, story.rate)] if story.rate else [],
            "total_cash_rounding_payment_adjustment_set": self.money(0),
            "total_cash_rounding_refund_adjustment_set": self.money(0),
            **self.both("total_discounts", discounts),
            **self.both("total_line_items_price", lines),
            **self.both("total_price", story.total),
            "total_shipping_price_set": self.money(story.shipping.paid if story.shipping else 0),
            **self.both("total_tax", story.tax),
            "total_tip_received": self.text(story.tip),
        }

    def _people(self) -> JSON:
        story, buyer = self.story, self.story.buyer
        nowhere = story.source == "pos"
        person = buyer.person
        told = story.teller == "both" or story.quirk % 3 != 0
        billing = None if nowhere else self.address(person, buyer.place, buyer.phone if told else None)
        shipping = None
        if story.shipping:
            shipping = self.address(person, buyer.place, None)
            if story.ship_elsewhere:
                shipping |= {"first_name": "Pat", "name": f"Pat {person.last_name}", "company": "c/o Anyone Ltd."}
        return {
            "buyer_accepts_marketing": buyer.accepts_marketing,
            "contact_email": buyer.email,
            "email": buyer.email or "",
            "phone": buyer.phone if buyer.phone and buyer.phone.startswith("+") and not told else None,
            "billing_address": billing,
            "shipping_address": shipping,
            "customer": self._customer(),
        }

    def _customer(self) -> JSON | None:
        story, buyer = self.story, self.story.buyer
        if buyer.customer_id is None:
            return None
        consent = {
            "state": "subscribed" if buyer.accepts_marketing else "not_subscribed",
            "opt_in_level": "single_opt_in",
            "consent_updated_at": None,
        }
        sms = bool(buyer.phone and buyer.phone.startswith("+") and story.quirk % 4 == 0) or None
        home = self.address(buyer.person, buyer.place, buyer.phone)
        del home["latitude"], home["longitude"]
        return {
            "id": buyer.customer_id,
            "email": buyer.email,
            "created_at": self.time(1_700_000_000),
            "updated_at": self.time(story.steps[0].at),
            "first_name": buyer.person.first_name,
            "last_name": buyer.person.last_name,
            "state": "enabled" if buyer.orders_before else "disabled",
            "note": None,
            "verified_email": True,
            "multipass_identifier": None,
            "tax_exempt": False,
            "phone": sms and buyer.phone,
            "email_marketing_consent": consent,
            "sms_marketing_consent": consent | {"consent_collected_from": "SHOPIFY"} if sms else None,
            "tags": "",
            "currency": self.currency,
            "tax_exemptions": [],
            "admin_graphql_api_id": self.gid("Customer", buyer.customer_id),
            "default_address": {
                "id": buyer.customer_id + 1,
                "customer_id": buyer.customer_id,
                **home,
                "country_name": home["country"],
                "default": True,
            },
        }

    def _now(self, state: State) -> JSON:
        """What the steps change."""
        story = self.story
        refunded = sum(refund.amount for refund in state.refunds)
        lines_back = sum(each.subtotal for refund in state.refunds for each in refund.lines)
        ship_tax = sum(refund.shipping_tax for refund in state.refunds)
        tax_back = sum(each.tax for refund in state.refunds for each in refund.lines) + ship_tax
        off_back = sum(self._discount_of(refund) for refund in state.refunds)
        off = sum(each.amount for each in story.discounts)
        paid = state.paid_at is not None
        restocked = story.restocked is not None and state.cancelled_at is not None
        closed = state.cancelled_at or (state.fulfilled_at if paid else None)
        return {
            "cancel_reason": state.cancel_reason or None,
            "cancelled_at": self.time(state.cancelled_at),
            "closed_at": self.time(closed),
            "created_at": self.time(state.created_at),
            "processed_at": self.time(state.created_at),
            "updated_at": self.time(state.at),
            **self.both("current_subtotal_price", sum(line.paid for line in story.lines) - lines_back),
            **self.both("current_total_discounts", off - off_back),
            **self.both("current_total_price", 0 if restocked else story.total - refunded),
            **self.both("current_total_tax", story.tax - tax_back),
            "financial_status": self.financial_status(state, refunded),
            "fulfillment_status": "fulfilled" if state.fulfilled_at else None,
            "note": NOTES[state.edits % len(NOTES)] if state.edits else story.note,
            "tags": ", ".join(["live", "edited"][: state.edits]),
            "total_outstanding": self.text(0 if paid or state.cancelled_at else story.total),
        }

    def _discount_of(self, refund: Refund) -> int:
        """The discounts of what came back."""
        shares = 0
        for each in refund.lines:
            line = self.story.lines[each.line]
            shares += half_up((line.line_discount + line.order_discount) * each.quantity, line.quantity)
        return shares

    def financial_status(self, state: State, refunded: int) -> str:
        if state.paid_at is None:
            authorized = self.story.payment == "card" and self.story.quirk % 2
            if state.cancelled_at:
                return "voided"
            return "authorized" if authorized else "pending"
        if not refunded:
            return "paid"
        return "refunded" if refunded == self.story.total else "partially_refunded"

    def _fulfillment(self, state: State) -> JSON | None:
        """The one parcel, but for its lines."""
        if state.fulfilled_at is None:
            return None
        story = self.story
        number = f"3S{story.token[:12].upper()}"
        address = f"https://track.example.com/{number}"
        moment = self.time(state.fulfilled_at)
        return {
            "id": story.id + 30,
            "admin_graphql_api_id": self.gid("Fulfillment", story.id + 30),
            "created_at": moment,
            "location_id": 73_000_000_001,
            "name": f"#{story.number}.1",
            "order_id": story.id,
            "origin_address": {},
            "receipt": {},
            "service": "manual",
            "shipment_status": None,
            "status": "success",
            "tracking_company": "PostNL",
            "tracking_number": number,
            "tracking_numbers": [number],
            "tracking_url": address,
            "tracking_urls": [address],
            "updated_at": moment,
        }

    # Refunds

    def refund(self, refund: Refund) -> JSON:
        story = self.story
        moment = self.time(refund.at)
        return {
            "id": refund.id,
            "admin_graphql_api_id": self.gid("Refund", refund.id),
            "created_at": moment,
            "note": refund.reason or None,
            "order_id": story.id,
            "processed_at": moment,
            "restock": bool(refund.lines),
            "total_additional_fees_set": self.money(0),
            "total_duties_set": self.money(0),
            "user_id": 87_000_000_001,
            "return": None,
            "order_adjustments": self._adjustments(refund),
            "transactions": [self._transaction(refund)] if refund.amount else [],
            "refund_line_items": [
                {
                    "id": each.id,
                    "line_item_id": story.lines[each.line].id,
                    "location_id": 73_000_000_001,
                    "quantity": each.quantity,
                    "restock_type": "return",
                    "subtotal": self._number(each.subtotal),
                    "subtotal_set": self.money(each.subtotal),
                    "total_tax": self._number(each.tax),
                    "total_tax_set": self.money(each.tax),
                    "line_item": self.line_json[each.line],
                }
                for each in refund.lines
            ],
            "refund_shipping_lines": self._refunded_shipping(refund),
            "duties": [],
            "additional_fees": [],
        }

    def _number(self, amount: int) -> float | int:
        return amount if not self.decimals else amount / 10**self.decimals

    def _refunded_shipping(self, refund: Refund) -> list[JSON]:
        """Absent from the bodies of older shops, which know the adjustment alone."""
        if not refund.shipping or (self.story.quirk % 4 == 0 and not self.story.foreign):
            return []
        return [
            {
                "id": refund.id + 1_000_000_000,
                "subtotal_amount_set": self.money(refund.shipping),
                "tax_amount_set": self.money(refund.shipping_tax),
                "shipping_line": self._shipping_lines()[0],
            }
        ]

    def _adjustments(self, refund: Refund) -> list[JSON]:
        """Negative for what went out. Of shipping, ``amount`` is without the tax that stands beside it."""
        made = []
        if refund.shipping:
            net = refund.shipping - (refund.shipping_tax if self.story.included else 0)
            made.append(("shipping_refund", "Shipping refund", -net, -refund.shipping_tax))
        if refund.other:
            made.append(("refund_discrepancy", "Refund discrepancy", -refund.other, 0))
        return [
            {
                "id": refund.id + 2_000_000_000 + place,
                **self.both("amount", amount),
                "kind": kind,
                "order_id": self.story.id,
                "reason": reason,
                "refund_id": refund.id,
                **self.both("tax_amount", tax),
            }
            for place, (kind, reason, amount, tax) in enumerate(made)
        ]

    def _transaction(self, refund: Refund) -> JSON:
        story = self.story
        moment = self.time(refund.at)
        number = refund.id + 3_000_000_000
        return {
            "id": number,
            "admin_graphql_api_id": self.gid("OrderTransaction", number),
            "amount": amount_text(self.foreign(refund.amount), self.buyer_decimals),
            "amount_rounding": None,
            "authorization": None,
            "created_at": moment,
            "currency": self.buyer_currency,
            "device_id": None,
            "error_code": None,
            "gateway": "bogus" if story.test else GATEWAYS[story.payment],
            "kind": "refund",
            "location_id": None,
            "manual_payment_gateway": story.payment != "card",
            "message": None if story.quirk % 2 else "Refunded",
            "order_id": story.id,
            "parent_id": story.id + 4_000_000_000,
            "payment_id": f"#{story.number}.2",
            "processed_at": moment,
            "receipt": {},
            "source_name": "1830279",
            "status": "success",
            "test": story.test,
            "total_unsettled_set": {  # these two say "currency" where all others say "currency_code"
                "shop_money": {"amount": self.text(0), "currency": self.currency},
                "presentment_money": {"amount": amount_text(0, self.buyer_decimals), "currency": self.buyer_currency},
            },
            "user_id": None if story.quirk % 2 else 87_000_000_001,
        }

    # Carts and checkouts

    def cart(self, step: Step) -> bytes:
        """Lines, a note and two times: no currency at the top, no attributes, nobody's name."""
        began = self.story.steps[0].at
        lines = [self._cart_line(line) for line in self.story.lines[: step.lines] if line.product]
        return encode(
            {
                "id": self.cart_token,
                "token": self.cart_token,
                "line_items": lines,
                "note": None,
                "updated_at": self._utc(step.at),
                "created_at": self._utc(began),
            }
        )

    def _utc(self, at: int) -> str:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.chance.randrange(1000):03d}Z"

    def _cart_line(self, line: Line) -> JSON:
        value = line.value
        product = line.product
        return {
            "id": line.variant_id,
            "properties": dict(line.attributes) if line.attributes else None,
            "quantity": line.quantity,
            "variant_id": line.variant_id,
            "key": f"{line.variant_id}:{self.story.token}",
            "discounted_price": self.text(line.unit),
            "discounts": [],
            "gift_card": line.gift_card,
            "grams": product.grams if product else 0,
            "line_price": self.text(value),
            "original_line_price": self.text(value),
            "original_price": self.text(line.unit),
            "price": self.text(line.unit),
            "product_id": line.product_id,
            "sku": line.sku or "",
            "taxable": not line.gift_card,
            "title": f"{line.title} - {line.variant_title}" if line.variant_title else line.title,
            "total_discount": self.text(0),
            "vendor": product.vendor if product else "",
            "discounted_price_set": self.money(line.unit),
            "line_price_set": self.money(value),
            "original_line_price_set": self.money(value),
            "price_set": self.money(line.unit),
            "total_discount_set": self.money(0),
            "parent_relationship": None,
        }

    def checkout(self, step: Step) -> bytes:
        """The first place with attributes. Before discounts and shipping, which the buyer has yet to choose."""
        story, buyer = self.story, self.story.buyer
        first = next(each.at for each in story.steps if each.name == "checkout")
        known = step.at > first  # the address is typed after the first webhook went out
        value = sum(line.value for line in story.lines)
        tax = sum(tax_of(line.value, line.rate, line.included) for line in story.lines)
        token = story.token
        address = self.address(buyer.person, buyer.place, buyer.phone) if known else []
        recovery = f"https://{self.shop.domain}/{self.shop.shop_id}/checkouts/ac/{self.cart_token}/recover?key={token}"
        return encode(
            {
                "id": story.id + 39,
                "token": token,
                "cart_token": self.cart_token,
                "email": buyer.email if known else None,
                "gateway": None,
                "buyer_accepts_marketing": buyer.accepts_marketing,
                "buyer_accepts_sms_marketing": False,
                "sms_marketing_phone": None,
                "created_at": self.time(first),
                "updated_at": self.time(step.at),
                "landing_site": "/",
                "note": "",
                "note_attributes": [{"name": name, "value": text} for name, text in story.attributes.order],
                "referring_site": "",
                "shipping_lines": [],
                "billing_address": address,
                "shipping_address": address,
                "customer": self._customer() if known else None,
                "taxes_included": story.included,
                "total_weight": 0,
                "currency": self.currency,
                "completed_at": None,
                "phone": None,
                "customer_locale": story.zone.locale,
                "line_items": [self._checkout_line(line) for line in story.lines],
                "name": f"#{story.id + 39}",
                "abandoned_checkout_url": f"{recovery}&locale={story.zone.locale}",
                "discount_codes": [],
                "tax_lines": [],
                "presentment_currency": self.buyer_currency,
                "source_name": "web",
                "total_line_items_price": self.text(value),
                "total_tax": self.text(tax),
                "total_discounts": self.text(0),
                "subtotal_price": self.text(value),
                "total_price": self.text(value if story.included else value + tax),
                "total_duties": self.text(0),
                "device_id": None,
                "user_id": None,
                "location_id": None,
                "source_identifier": None,
                "source_url": None,
                "source": None,
                "closed_at": None,
            }
        )

    def _checkout_line(self, line: Line) -> JSON:
        product = line.product
        return {
            "key": f"{line.variant_id or line.id}",
            "fulfillment_service": "manual",
            "gift_card": line.gift_card,
            "grams": product.grams if product else 0,
            "presentment_title": line.title,
            "presentment_variant_title": line.variant_title,
            "product_id": line.product_id,
            "quantity": line.quantity,
            "requires_shipping": not line.gift_card,
            "sku": line.sku or "",
            "tax_lines": [],
            "taxable": not line.gift_card,
            "title": line.title,
            "variant_id": line.variant_id,
            "variant_title": line.variant_title,
            "variant_price": self.text(line.unit),
            "vendor": product.vendor if product else "",
            "unit_price_measurement": {
                "measured_type": None,
                "quantity_value": None,
                "quantity_unit": None,
                "reference_value": None,
                "reference_unit": None,
            },
            "compare_at_price": None,
            "line_price": self.text(line.value),
            "price": self.text(line.unit),
            "applied_discounts": [],
            "destination_location_id": None,
            "user_id": None,
            "rank": None,
            "origin_location_id": None,
            "properties": dict(line.attributes),
        }
