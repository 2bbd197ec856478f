"""Words for what mappings are made of: paths of facts, conditions, where a field's value comes from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from flask_babel import gettext as _

from app.providers.base import Provider
from app.services.conversion_words import CONVERSIONS
from app.services.reasons import SKIPPED
from app.services.said import said
from connectors.events import LIVE_NUMBER, Kind

ARROW = " → "

#: The beginnings of paths.
ROOTS: Mapping[str, str] = {
    "order": "Order",
    "refund": "Refund",
    "remaining": "Order after refunds",
    "reversal": "What is taken back",
    "cart": "Cart",
    "checkout": "Checkout",
    "item": "Each line",
    "event": "Event",
    "shop": "Store",
    "options": "Settings",
}

#: Facts whose own name says too little, or too much for a merchant.
FACTS: Mapping[str, str] = {
    "id": "id",
    "number": "number on the receipt",
    "name": "name",
    "email": "e-mail address",
    "phone": "phone number",
    "sku": "SKU",
    "occurred_at": "time of the event",
    "created_at": "time it was placed",
    "updated_at": "time of the last change",
    "paid_at": "time it was paid",
    "cancelled_at": "time it was cancelled",
    "completed_at": "time it was completed",
    "total": "total",
    "current_total": "total after edits and refunds",
    "buyer_total": "total in the buyer's currency",
    "refunded": "amount given back",
    "refunded_in_full": "given back in full",
    "tax": "tax",
    "lines_tax": "tax of the lines",
    "discount": "discount, as the store shows it",
    "discount_net": "discount without tax",
    "discount_gross": "discount with tax",
    "unassigned_discount": "discount that stands on no line",
    "shipping_net": "shipping without tax",
    "shipping_tax": "tax of the shipping",
    "shipping_gross": "shipping with tax",
    "unit_price": "price of one, as the store shows it",
    "unit_net": "price of one, without tax, before discounts",
    "unit_gross": "price of one, with tax, before discounts",
    "unit_net_paid": "price of one, without tax, after discounts",
    "unit_gross_paid": "price of one, with tax, after discounts",
    "total_net": "whole line, without tax",
    "total_gross": "whole line, with tax",
    "tax_rate": "tax rate",
    "unit_id": "id of the variant, or of the product",
    "custom_id": "id of a line without product",
    "variant_id": "id of the variant",
    "product_id": "id of the product",
    "line_id": "id of the line",
    "cart_id": "id of the cart",
    "checkout_id": "id of the checkout",
    "customer_id": "id of the customer",
    "attributes": "attached fields",
    "title": "name of the product",
    "variant_title": "name of the variant",
    "vendor": "brand",
    "image_url": "address of the picture",
    "line1": "street and number",
    "line2": "second line",
    "region": "state or province",
    "region_code": "code of the state or province",
    "country_code": "code of the country",
    "text": "in one line",
    LIVE_NUMBER: "Sprii number",
    "value": "value",
    "others": "other numbers that were there",
    "place": "where it was found",
    "seeka_profile_id": "Seeka profile",
    "tcf_consent": "consent (IAB TCF)",
    "spotler_cookie": "Spotler cookie",
    "accepts_marketing": "wants marketing",
    "locale": "language",
    "kind": "kind",
    "status": "status in the store",
    "financial_status": "state of the payment",
    "fulfilment_status": "state of the shipping",
    "lines": "lines",
    "domain": "address",
    "at": "time",
    "full": "all of it",
    "amount": "amount",
    "amount_source": "how the amount was found",
    "test": "is a test order",
    "channel": "sold online or at the till",
    "content": "what is in it, as a code",
    "due": "time to report it",
    "order_due": "to be reported at all",
    "unwanted_test": "a test order that is not wanted",
    "unwanted_pos": "a sale at the till that is not wanted",
    "unwanted_guest": "a guest who is not wanted",
    "may_create_contact": "a contact may be created",
    "left": "amounts after refunds",
    "status_note": "words on the status",
    "guest": "has no account in the store",
    "guest_id": "id of a guest",
    "points_hold": "reference of held points",
    "coupons_lock": "reference of locked coupons",
    "order_activity_id": "activity id of the order",
    "cart_activity_id": "activity id of the cart",
    "checkout_activity_id": "activity id of the checkout",
    "order_event": "name of the event",
    "channels": "e-mail address and phone number",
    "source": "online or offline",
    "language_code": "language",
}


def label(path: str, provider: Provider) -> str:
    """A path of facts in words: ``Order → e-mail address``."""
    owner, bracket, rest = path.partition("[")
    if rest.startswith('"'):
        name, _quote, rest = rest[1:].partition('"]')
        return ARROW.join([label(owner, provider), f"“{name}”", *(_fact(each) for each in rest.split(".") if each)])
    if bracket:
        key, _bracket, rest = rest.partition("]")
        named = _("as set under “%(setting)s”", setting=_setting(key, provider))
        return ARROW.join([label(owner, provider), named, *(_fact(each) for each in rest.split(".") if each)])
    root, *names = path.split(".")
    if root == "options" and names:
        return ARROW.join([_option(names[0], provider), *map(_fact, names[1:])])
    return ARROW.join([root_of(root), *map(_fact, names)])


def root_of(name: str) -> str:
    """The beginning of a path in words."""
    return said(ROOTS.get(name)) or name


def _fact(name: str) -> str:
    return said(FACTS.get(name, name.replace("_", " ")))


def _setting(path: str, provider: Provider) -> str:
    root, _dot, name = path.partition(".")
    return label(path, provider) if root != "options" else _title(name, provider) or _fact(name)


def _option(name: str, provider: Provider) -> str:
    """A setting goes by its label; what the provider's declaration works out, by its name."""
    title = _title(name, provider)
    return ARROW.join([_("Settings"), title] if title else [_("Worked out"), _fact(name)])


def _title(name: str, provider: Provider) -> str | None:
    return next((said(each.label) for each in provider.settings if each.name == name), None)


def conditions(given: Iterable[Mapping[str, Any]], provider: Provider) -> tuple[str, ...]:
    """Conditions of a rule or a field, a sentence each."""
    return tuple(_condition(each, provider) for each in given)


def _condition(given: Mapping[str, Any], provider: Provider) -> str:
    name = label(given["path"], provider)
    match given:
        case {"is": bool(value)}:
            return f"{name}: {shown(value)}"
        case {"not": bool(value)}:
            return f"{name}: {shown(not value)}"
        case {"present": bool(present)}:
            return str(_("%(name)s is there", name=name) if present else _("%(name)s is missing", name=name))
        case {"same": str(other)}:
            return str(_("%(name)s is the same as %(other)s", name=name, other=label(other, provider)))
        case {"in": list(values)}:
            return str(_("%(name)s is one of %(values)s", name=name, values=_listed(values)))
        case {"not": list(values)}:
            return str(_("%(name)s is none of %(values)s", name=name, values=_listed(values)))
        case {"not": value}:
            return str(_("%(name)s is not %(value)s", name=name, value=shown(value)))
    return str(_("%(name)s is %(value)s", name=name, value=shown(given["is"])))


def skips(rule: Mapping[str, Any], provider: Provider) -> tuple[str, ...]:
    """What a rule leaves out, and why, a sentence each."""
    found = [reason(rule["skip"])] if "skip" in rule else []
    for each in rule.get("skip_when", ()):
        found.append(f"{_condition(each, provider)}: {reason(each['reason'])}")
    for paths, why in rule.get("skip_without", {}).items():
        names = f" {_('or')} ".join(label(path.strip(), provider) for path in paths.split("|"))
        found.append(_("No %(names)s: %(reason)s", names=names, reason=reason(why)))
    return tuple(found)


def kinds(rule: Mapping[str, Any]) -> tuple[str, ...]:
    """The kinds of events that a rule listens to, in life's order."""
    on = rule["on"]
    return tuple(str(kind) for kind in Kind if kind in (on if isinstance(on, list) else [on]))


def reason(name: str) -> str:
    """A reason of a skip as a sentence; a merchant's own as it is written."""
    return said(SKIPPED.get(name)) or name


def origin(how: str, labels: tuple[str, ...], spec: Mapping[str, Any]) -> str:
    """Where a field's value comes from, in one sentence."""
    words: str = {
        "from": labels[0] if labels else "",
        "list": _("%(values)s together", values=", ".join(labels)),
        "first": _("The first that is there of: %(values)s", values=", ".join(labels)),
        "value": _("Always %(value)s", value=shown(spec.get("value"))),
        "each": _("A list: one for each of %(list)s", list=labels[0] if labels else ""),
        "fields": _("The fields below together"),
        "none": _("Not sent"),
    }[how]
    words += "".join(f", {said(CONVERSIONS[name].label)}" for name in converted(spec))
    if spec.get("default") is not None:
        words += "; " + _("%(value)s where there is none", value=shown(spec["default"]))
    elif spec.get("keep_empty"):
        words += "; " + _("sent also where it is empty")
    return words


def converted(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a field's conversions."""
    given = spec.get("as", ())
    return (given,) if isinstance(given, str) else tuple(given)


def shown(value: Any) -> str:
    """A constant as it is told: yes, no, a text in quotes, anything else as JSON."""
    match value:
        case True:
            return str(_("yes"))
        case False:
            return str(_("no"))
        case str():
            return f"“{value}”"
    return json.dumps(value, ensure_ascii=False)


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(shown, values))
