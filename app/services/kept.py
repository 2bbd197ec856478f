"""What stays of an order once its buyer is erased: closed lists of fields, and a last look for what identifies them.

The lists name what is kept, not what is personal: whatever a platform, a plugin or a merchant's mapping adds later goes
as well. An object is entered only where its own name is on the list, so ``name`` of a line stays and ``name`` below
``customer`` goes with ``customer``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: Free text among what is kept: a product may be called after its buyer.
_TEXTS = frozenset(
    {
        "name",
        "title",
        "variant_title",
        "presentment_title",
        "presentment_variant_title",
        "parent_name",
        "method_title",
        "label",
        "vendor",
        "sku",
        "category",
        "image_url",
    }
)
_MONEY = "amount currency currency_code shop_money presentment_money"

_SHOPIFY = (
    # what it is, and when
    "id admin_graphql_api_id order_id line_item_id parent_id shop_id shop_domain data_request number order_number name"
    " created_at updated_at processed_at cancelled_at closed_at completed_at currency presentment_currency"
    " financial_status fulfillment_status status shipment_status kind test confirmed taxes_included duties_included"
    # lines
    " line_items line_item key product_id variant_id sku title variant_title presentment_title"
    " presentment_variant_title vendor quantity current_quantity fulfillable_quantity grams gift_card taxable"
    " requires_shipping product_exists is_removed rank price price_set variant_price line_price line_price_set"
    " discounted_price discounted_price_set original_price original_line_price original_line_price_set"
    " compare_at_price total_discount total_discount_set discount_allocations discount_application_index amount_set"
    " tax_lines rate channel_liable duties"
    # totals
    " subtotal_price subtotal_price_set total_price total_price_set total_tax total_tax_set total_discounts"
    " total_discounts_set total_line_items_price total_line_items_price_set total_shipping_price_set"
    " total_outstanding total_tip_received total_weight total_duties total_duties_set total_additional_fees_set"
    " total_cash_rounding_payment_adjustment_set total_cash_rounding_refund_adjustment_set"
    " current_subtotal_price current_subtotal_price_set current_total_price current_total_price_set"
    " current_total_tax current_total_tax_set current_total_discounts current_total_discounts_set"
    " current_total_duties_set current_total_additional_fees_set original_total_duties_set"
    " original_total_additional_fees_set additional_fees shipping_lines"
    # refunds, payments, parcels
    " refunds refund_line_items refund_shipping_lines shipping_line_id subtotal subtotal_set subtotal_amount_set"
    " tax_amount tax_amount_set order_adjustments restock restock_type transactions total_unsettled_set fulfillments"
    f" order_edit hidden_by {_MONEY}"
)
_WOOCOMMERCE = (
    "id parent_id number status currency currency_symbol version prices_include_tax created_via action arg"
    " date_created date_created_gmt date_modified date_modified_gmt date_paid date_paid_gmt date_completed"
    " date_completed_gmt date_gmt discount_total discount_tax shipping_total shipping_tax cart_tax total total_tax"
    " needs_payment needs_processing is_editable"
    # lines
    " line_items items product_id variation_id quantity tax_class subtotal subtotal_tax taxes sku price name"
    " parent_name key line_subtotal line_total line_tax tax_lines rate_code rate_id label compound tax_total"
    " shipping_tax_total rate_percent shipping_lines method_id method_title instance_id tax_status fee_lines amount"
    " coupon_lines discount discount_type nominal_amount free_shipping refunds"
)
#: See `connectors.events`; and what `app.services.ledger` keeps beside an order.
_FACTS = (
    "order cart checkout refund remaining erased mark refunds given given_refunds counts cancelled trashed trips"
    " started placed paid fulfilled updated"
    " id number name channel test status financial_status fulfilment_status draft created_at updated_at paid_at"
    " cancelled_at completed_at currency buyer_currency buyer_total taxes_included total current_total discount"
    " discount_net unassigned_discount tax lines_tax shipping_net shipping_tax shipping_gross lines shipping_lines"
    " refunded refunded_in_full fulfilments"
    # lines
    " line_id key kind product_id variant_id unit_id custom_id sku title variant_title vendor category image_url"
    " gift_card quantity current_quantity unit_price unit_net unit_gross unit_net_paid unit_gross_paid discount_gross"
    " tax_rate total_net total_gross net gross content"
    # refunds
    " amount shipping lines_known amount_source"
)
#: Of what providers are sent, whichever of them it is, by the names in their own vocabularies.
_PAYLOADS = (
    "id orderId orderid externalOrderId orderIdentifier orderNumber spriiOrderNumber eventTypeKey event activityName"
    " activityId status date orderDate transactionTime time timestamp last_updated_at currency currencyCode"
    " currency_code refundTransactionId reverseTransactionId params payload commerce metadata extra additionalInfo"
    # lines
    " items lineItems products cart_items product_id productId productIdentifier productName variantIdentifier"
    " variantName externalItemId sku name title category vendor imageUrl quantity price unitPrice cost taxes discount"
    # totals
    " orderTotal totalPaid totalPrice totalDiscount totalShipping totalTax totalCost totalShippingPrice totalvalue"
    " refundAmount custom_refund_value shipping cart_total total_price total_items unique_items"
)
#: Names below which ids stand as names: what is under them is kept by value alone.
_BY_ID = frozenset({"given_refunds", "counts"})


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The fields of one kind of JSON that say nothing of a person."""

    fields: frozenset[str]
    texts: frozenset[str] | None = _TEXTS  #: those that anybody may have written; None: all of them

    def keep(self, value: Any, traces: Traces) -> Any:
        """``value`` without what is not on the list, and without ``traces`` in what is."""
        return self._kept(value, traces, "")

    def _kept(self, value: Any, traces: Traces, name: str) -> Any:
        if isinstance(value, Mapping):
            if name in _BY_ID or (name == "refunds" and _ids(value)):
                return {key: self._kept(each, traces, "") for key, each in value.items()}
            return {key: self._kept(each, traces, key) for key, each in value.items() if key in self.fields}
        if isinstance(value, list):
            return [self._kept(each, traces, name) for each in value]
        if isinstance(value, str):
            return traces.out_of(value, everywhere=self.texts is None or name in self.texts)
        return value


def _ids(value: Mapping[str, Any]) -> bool:
    """Whether these are the refunds that came by themselves, by their ids."""
    return all(isinstance(each, Mapping) and each.get("id") == key for key, each in value.items())


BODIES = {
    "shopify": Vocabulary(frozenset(_SHOPIFY.split())),
    "woocommerce": Vocabulary(frozenset(_WOOCOMMERCE.split())),
}
FACTS = Vocabulary(frozenset(_FACTS.split()))
PAYLOADS = Vocabulary(frozenset(_PAYLOADS.split()), texts=None)

#: Headers that name the webhook; proxies and plugins add others.
_HEADERS = ("x-shopify-", "shopify-", "x-wc-webhook-")
_PLAIN_HEADERS = frozenset({"content-type", "content-length", "host"})


def headers(given: Mapping[str, str], traces: Traces) -> dict[str, str]:
    """The headers that are kept."""
    return {
        name: traces.out_of(value, everywhere=False)
        for name, value in given.items()
        if name in _PLAIN_HEADERS or name.startswith(_HEADERS)
    }


_LONG = 6  #: characters from which a text is nobody else's by chance
_LONG_NUMBER = 8


class Traces:
    """What identifies one person, to be taken out of texts.

    Addresses, phones, street lines and long ids go wherever they stand. A first name is also a word of its own: it goes
    from free texts alone, and only as a whole word. Short numbers stand for too much else and stay.
    """

    def __init__(self, strong: Iterable[str], weak: Iterable[str]) -> None:
        strong, weak = {each.strip() for each in strong}, {each.strip() for each in weak}
        long = {each for each in strong if len(each) >= (_LONG_NUMBER if each.isdecimal() else _LONG)}
        short = {each for each in (strong - long) | weak if len(each) > 1 and not each.isdecimal()}
        self._strong = _any(long, "", "")
        self._weak = _any(short, r"(?<!\w)", r"(?!\w)")

    def out_of(self, text: str, *, everywhere: bool = True) -> str:
        """``text`` without them.

        Args:
            everywhere: whether it is a free text; what a platform's machine wrote loses the unmistakable ones alone.
        """
        if self._strong is not None:
            text = self._strong.sub("", text)
        if everywhere and self._weak is not None:
            text = self._weak.sub("", text)
        return text


def _any(texts: set[str], before: str, after: str) -> re.Pattern[str] | None:
    """One pattern for all of them, the longest first; None for none."""
    if not texts:
        return None
    parts = "|".join(re.escape(each) for each in sorted(texts, key=len, reverse=True))
    return re.compile(f"{before}(?:{parts}){after}", re.IGNORECASE)
