"""Amounts as Shopify writes them: in the shop's currency inside a ``*_set``, and beside it as a bare number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal

from connectors.events import ZERO
from connectors.reading import LARGEST, Reader

LARGEST_AMOUNT = Decimal(10) ** LARGEST
RECKONABLE = "amounts of a size that can be reckoned with"


def shop_amount(place: Reader, name: str) -> Decimal | None:
    """``<name>_set.shop_money.amount``; where a body lacks the set, the bare ``<name>``, which has the same currency.

    Source: shopify.dev/docs/api/admin-rest/latest/resources/order (``*_set``)
    """
    holder = place.value
    if isinstance(holder, dict) and holder.get(f"{name}_set") is not None:
        found = _in_set(place, f"{name}_set").decimal_or_none()
        if found is not None:
            return found
    return place[name].decimal_or_none()


def _in_set(place: Reader, name: str) -> Reader:
    """``place[name]["shop_money"]["amount"]`` in one step where all is as it should be: it is asked for very often."""
    try:
        return Reader(place.value[name]["shop_money"]["amount"], place, f"{name}.shop_money.amount")
    except (KeyError, TypeError, IndexError):
        return place[name]["shop_money"]["amount"]


def shop_money(place: Reader, name: str) -> Decimal:
    """As `shop_amount`; absent is 0."""
    return shop_amount(place, name) or ZERO


def total_of(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, ZERO)


def tax_of(place: Reader) -> Decimal:
    """The sum of a line's taxes."""
    return total_of([shop_money(tax, "price") for tax in place["tax_lines"].items()])


def rates_of(place: Reader) -> Decimal:
    """The sum of a line's tax rates: 0.21."""
    return total_of([tax["rate"].money() for tax in place["tax_lines"].items()])


def allocated(place: Reader) -> Decimal | None:
    """What discounts took off a line, those on the whole order too; None where nothing is allocated to it."""
    shares = [shop_money(share, "amount") for share in place["discount_allocations"].items()]
    return total_of(shares) if shares else None


def currency_of(place: Reader, name: str) -> str | None:
    """The shop's currency, as ``<name>_set`` names it."""
    code = place[f"{name}_set"]["shop_money"].text_at("currency_code")
    return code.upper() if code else None


def product_of(place: Reader, price: Decimal, quantity: Decimal) -> Decimal:
    """``price`` x ``quantity``, where that is an amount at all."""
    found = price * quantity
    if abs(found) >= LARGEST_AMOUNT:
        raise place.wrong(RECKONABLE)
    return found


@contextmanager
def reckoning(place: Reader) -> Iterator[None]:
    """Turn what nothing can be reckoned with (a division by next to nothing) into a complaint about ``place``."""
    try:
        yield
    except ArithmeticError:
        raise place.wrong(RECKONABLE) from None
