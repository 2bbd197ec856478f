"""The lives of made-up orders, told without any platform: `Story` is a shop's, `OrderStory` one order's.

Everything follows from a seed: the same seed, platform and index give the same order, whatever was asked for before.
Amounts are whole minor units (cents, øre, yen) as the shop shows them, so with tax inside where prices include it.
Tax is rounded half up on each line. What a person could say of the order afterwards is `expected`: it reads the story
alone, never a body that some platform's renderer made of it.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from random import Random
from typing import Literal

from app.simulators.catalogue import (
    COUPONS,
    CUSTOM_LINES,
    GIFT_CARD,
    NOTES,
    PEOPLE,
    PLACES,
    PRODUCTS,
    REASONS,
    SHIPPING,
    SPRII_NAMES,
    USER_AGENTS,
    ZONES,
    Person,
    Place,
    Product,
    Zone,
)

#: "both": only what either platform can say, so that the two tellings can be compared.
Teller = Literal["shopify", "woocommerce", "both"]

START = 1772442900  # 2026-03-02T09:15:00Z
#: First ids. Shopify's are long, WooCommerce's short; an order told by both has one set.
ORDER_IDS = {"shopify": 6_100_000_000_000, "woocommerce": 1_000, "both": 6_100_000_000_000}
PRODUCT_IDS = {"shopify": 8_200_000_000_000, "woocommerce": 0, "both": 8_200_000_000_000}
IDS_PER_ORDER = 40


def half_up(number: int, divisor: int) -> int:
    """``number / divisor`` to the nearest whole, halves away from zero."""
    sign = -1 if number < 0 else 1
    return sign * ((2 * abs(number) + divisor) // (2 * divisor))


def tax_of(amount: int, rate: int, included: bool) -> int:
    """The tax in ``amount``, or on it; ``rate`` per mille."""
    return half_up(amount * rate, 1000 + rate if included else 1000)


def amount_text(amount: int, decimals: int) -> str:
    """Minor units as a decimal string: -5 is "-0.05"."""
    if not decimals:
        return str(amount)
    whole, part = divmod(abs(amount), 10**decimals)
    return f"{'-' if amount < 0 else ''}{whole}.{part:0{decimals}d}"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One request from a shop, ready to be sent."""

    platform: str
    topic: str
    headers: dict[str, str]
    body: bytes
    path: str
    order_id: str | None  #: None for carts and for checkouts without an order
    step: str
    at: int  #: when the platform sends it, in seconds since 1970
    story: int = 0  #: index of the order's story


def sign(body: bytes, secret: str) -> str:
    """What stands in ``X-Shopify-Hmac-Sha256``, and in ``X-WC-Webhook-Signature`` too."""
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


@dataclass(slots=True)
class Line:
    id: int
    product: Product | None  #: None for a custom line
    product_id: int | None
    variant_id: int | None
    title: str
    variant_title: str  #: "" where there is none
    sku: str | None
    unit: int  #: before discounts
    quantity: int
    rate: int  #: tax per mille
    included: bool
    line_discount: int = 0  #: given to this line alone
    order_discount: int = 0  #: its share of the order's
    attributes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def value(self) -> int:
        return self.unit * self.quantity

    @property
    def paid(self) -> int:
        return self.value - self.line_discount - self.order_discount

    @property
    def tax(self) -> int:
        return tax_of(self.paid, self.rate, self.included)

    @property
    def gift_card(self) -> bool:
        return self.product is GIFT_CARD


@dataclass(frozen=True, slots=True)
class Discount:
    target: Literal["order", "line", "shipping"]
    kind: Literal["percentage", "fixed_amount"]
    value: int  #: per cent, or minor units
    amount: int  #: what it came to
    code: str
    automatic: bool = False  #: given without a code, where the platform can


@dataclass(frozen=True, slots=True)
class Shipping:
    id: int
    title: str
    code: str
    price: int
    discount: int
    rate: int
    included: bool

    @property
    def paid(self) -> int:
        return self.price - self.discount

    @property
    def tax(self) -> int:
        return tax_of(self.paid, self.rate, self.included)


@dataclass(frozen=True, slots=True)
class RefundLine:
    id: int
    line: int  #: position among the order's lines
    quantity: int
    subtotal: int  #: as the shop shows prices
    tax: int


@dataclass(frozen=True, slots=True)
class Refund:
    id: int
    at: int
    reason: str
    amount: int  #: what the buyer got back; 0 where things were only put back in stock
    lines: tuple[RefundLine, ...] = ()
    shipping: int = 0  #: as the shop shows prices
    shipping_tax: int = 0
    other: int = 0  #: the rest of the amount; negative where the lines are worth more than was paid back


@dataclass(frozen=True, slots=True)
class Step:
    """cart, checkout, created, paid, updated, fulfilled, refunded, cancelled, trashed, restored or vanished."""

    name: str
    at: int
    pays: bool = False
    refund: Refund | None = None
    lines: int = 0  #: how many lines a cart has by now
    reason: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """An order after one of its steps."""

    step: str
    at: int
    draft: bool = True
    created_at: int = 0
    paid_at: int | None = None
    fulfilled_at: int | None = None
    cancelled_at: int | None = None
    cancel_reason: str = ""
    trashed: bool = False
    refunds: tuple[Refund, ...] = ()
    edits: int = 0

    def after(self, step: Step) -> State:
        state = replace(self, step=step.name, at=step.at)
        if step.pays:
            state = replace(state, paid_at=step.at)
        if step.refund:
            state = replace(state, refunds=(*self.refunds, step.refund))
        match step.name:
            case "created":
                return replace(state, draft=False, created_at=step.at)
            case "updated":
                return replace(state, edits=self.edits + 1)
            case "fulfilled":
                return replace(state, fulfilled_at=step.at)
            case "cancelled":
                return replace(state, cancelled_at=step.at, cancel_reason=step.reason)
            case "trashed" | "restored":
                return replace(state, trashed=step.name == "trashed")
        return state


@dataclass(frozen=True, slots=True)
class Buyer:
    customer_id: int | None  #: None for a guest
    person: Person
    email: str | None
    phone: str | None
    place: Place
    accepts_marketing: bool
    orders_before: int


@dataclass(slots=True)
class Attributes:
    """What storefront code left on the order, and where the truth about it is."""

    order: list[tuple[str, str]] = field(default_factory=list)
    sprii_number: str | None = None
    sprii_place: str | None = None  #: "order" or "line"
    seeka_profile_id: str | None = None
    spotler_cookie: str | None = None


@dataclass
class OrderStory:
    teller: Teller
    index: int
    id: int
    number: int
    zone: Zone
    included: bool  #: prices include tax
    rate: int
    lines: list[Line]
    discounts: list[Discount]
    shipping: Shipping | None
    buyer: Buyer
    attributes: Attributes
    source: Literal["web", "pos", "draft"]
    checkout: Literal["blocks", "classic", "rest"]  #: how it was placed, where the shop is WooCommerce
    payment: Literal["card", "bank", "cod"]
    steps: list[Step]
    token: str  #: 32 hex digits, for everything that needs one
    user_agent: str
    note: str | None
    ship_elsewhere: bool
    tip: int = 0  #: untaxed; Shopify
    fee: int = 0  #: like a price, taxed at the shop's rate, perhaps negative; WooCommerce
    test: bool = False
    #: The buyer's own currency with its decimals, and how much of it one unit of the shop's is, in millionths.
    foreign: tuple[str, int, int] | None = None
    restocked: Refund | None = None  #: an unpaid order's lines put back at its cancellation, no money moved; Shopify
    quirk: int = 0  #: 0-99: decides the small things that renderers vary

    @property
    def fee_tax(self) -> int:
        return tax_of(self.fee, self.rate, self.included)

    @cached_property
    def total(self) -> int:
        """What the buyer owes."""
        shown = sum(line.paid for line in self.lines) + (self.shipping.paid if self.shipping else 0)
        return shown + self.tip + self.fee + (0 if self.included else self.tax)

    @cached_property
    def tax(self) -> int:
        return sum(line.tax for line in self.lines) + (self.shipping.tax if self.shipping else 0) + self.fee_tax

    @cached_property
    def states(self) -> list[State]:
        """One state for each step."""
        states: list[State] = []
        for step in self.steps:
            before = states[-1] if states else State(step="", at=step.at, created_at=self.steps[0].at)
            states.append(before.after(step))
        return states

    @property
    def placed(self) -> bool:
        return any(step.name == "created" for step in self.steps) and not self.vanished

    @property
    def vanished(self) -> bool:
        """Deleted for good before any webhook about it was sent."""
        return any(step.name == "vanished" for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The truth about an order at the end of its story, in major units."""

    order_id: str
    number: str
    currency: str
    placed: bool  #: it became an order at all, and stayed one long enough to be told of
    purchase: bool  #: placed, paid at some time, and no test: a provider of ours ought to know of it
    paid: bool  #: also if refunded or cancelled since
    fulfilled: bool
    cancelled: bool
    trashed: bool
    test: bool
    total: Decimal  #: at placement
    tax: Decimal
    refunds: dict[str, Decimal]  #: by refund id; only those with money in them
    refunded: Decimal
    refunded_in_full: bool
    quantities: dict[str, int]  #: by line id, as bought
    sprii_number: str | None
    sprii_place: str | None
    seeka_profile_id: str | None
    spotler_cookie: str | None
    email: str | None
    customer_id: str | None
    updated_at: int  #: seconds since 1970, of the newest state


def expected(story: OrderStory) -> Expected:
    """What is true of ``story`` when it is over."""
    last = story.states[-1]
    attributes, buyer = story.attributes, story.buyer

    def major(amount: int) -> Decimal:
        return Decimal(amount).scaleb(-story.zone.decimals)

    refunds = {str(refund.id): major(refund.amount) for refund in last.refunds if refund.amount}
    paid = story.placed and last.paid_at is not None
    refunded = sum(refunds.values(), Decimal(0))
    return Expected(
        order_id=str(story.id),
        number=str(story.number),
        currency=story.zone.currency,
        placed=story.placed,
        purchase=paid and not story.test,
        paid=paid,
        fulfilled=last.fulfilled_at is not None,
        cancelled=last.cancelled_at is not None,
        trashed=last.trashed,
        test=story.test,
        total=major(story.total),
        tax=major(story.tax),
        refunds=refunds,
        refunded=refunded,
        refunded_in_full=0 < story.total == sum(refund.amount for refund in last.refunds),
        quantities={str(line.id): line.quantity for line in story.lines},
        sprii_number=attributes.sprii_number,
        sprii_place=attributes.sprii_place,
        seeka_profile_id=attributes.seeka_profile_id,
        spotler_cookie=attributes.spotler_cookie,
        email=buyer.email,
        customer_id=str(buyer.customer_id) if buyer.customer_id else None,
        updated_at=last.at,
    )


@dataclass(frozen=True)
class Story:
    """One shop's orders, without end.

    Args:
        pace: scales every pause in an order's life; at 1 a life takes days, at 0.0005 a minute or so.
        every: seconds from one order to the next.
        currency, taxes_included: the shop's, by the seed unless given.
    """

    platform: Teller
    seed: int = 1
    start: float = START
    pace: float = 1.0
    every: float = 90.0
    currency: str | None = None
    taxes_included: bool | None = None

    @cached_property
    def zone(self) -> Zone:
        return ZONES[self.currency or Random(self.seed).choice(("EUR", "EUR", "DKK", "DKK", "JPY"))]  # noqa: S311

    @cached_property
    def included(self) -> bool:
        return Random(self.seed + 1).random() < 0.6 if self.taxes_included is None else self.taxes_included  # noqa: S311

    def order(self, index: int) -> OrderStory:
        """The order of this index, from 0."""
        return _Teller(self, index).tell()

    def orders(self, count: int, first: int = 0) -> Iterator[OrderStory]:
        return (self.order(index) for index in range(first, first + count))


class _Teller:
    """Makes up one order. The pieces draw from one source of chance in a fixed order, hence the class."""

    def __init__(self, shop: Story, index: int) -> None:
        self.shop = shop
        self.index = index
        self.zone = shop.zone
        self.included = shop.included
        self.chance = Random(f"{shop.platform}/{shop.seed}/{index}")  # noqa: S311
        self.id = ORDER_IDS[shop.platform] + (shop.seed % 1000) * 4_000_000 + index * IDS_PER_ORDER
        self.last_id = self.id
        self.now = int(shop.start + index * shop.every)
        self.steps: list[Step] = []
        self.woo = shop.platform == "woocommerce"
        self.shopify = shop.platform == "shopify"

    def one_in(self, odds: float) -> bool:
        return self.chance.random() < 1 / odds

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def price(self, euro_cents: int) -> int:
        """In the shop's currency, with the odd cents that shops like."""
        if self.zone.currency == "EUR":
            return euro_cents
        if self.zone.decimals == 0:
            return max(1, half_up(euro_cents * self.zone.per_euro, 10_000))
        return max(5, half_up(euro_cents * self.zone.per_euro, 10_000) * 100 - 5)

    def tell(self) -> OrderStory:
        chance = self.chance
        self.rate = 0 if self.one_in(12) else self.zone.tax
        source = self._source()
        lines = self._lines()
        shipping_price, way = self._shipping_price(source)
        discounts = self._discount(lines, shipping_price)
        shipping = None
        if way is not None:
            off = sum(each.amount for each in discounts if each.target == "shipping")
            shipping = Shipping(self.next_id(), way[0], way[1], shipping_price, off, self.rate, self.included)
        number = 1001 + self.index
        self.story = OrderStory(
            teller=self.shop.platform,
            index=self.index,
            id=self.id,
            number=self.id if self.woo else number,
            zone=self.zone,
            included=self.included,
            rate=self.rate,
            lines=lines,
            discounts=discounts,
            shipping=shipping,
            buyer=self._buyer(source),
            attributes=Attributes(),
            source=source,
            checkout=chance.choice(("blocks", "blocks", "classic", "rest")) if not self.shopify else "classic",
            payment=chance.choice(("card", "card", "card", "bank", "cod")) if source == "web" else "card",
            steps=self.steps,
            token=f"{chance.getrandbits(128):032x}",
            user_agent=chance.choice(USER_AGENTS),
            note=chance.choice(NOTES) if self.one_in(6) else None,
            ship_elsewhere=self.one_in(8),
            quirk=chance.randrange(100),
        )
        self._extras()
        self._attributes()
        self._live()
        return self.story

    def _source(self) -> Literal["web", "pos", "draft"]:
        draw = self.chance.random()
        if not self.shopify or draw > 0.09:
            return "web"
        return "pos" if draw < 0.06 else "draft"

    # What was bought

    def _lines(self) -> list[Line]:
        chance = self.chance
        goods = [each for each in PRODUCTS if len(each.options) == 1] if self.shop.platform == "both" else PRODUCTS
        lines = [self._product(product) for product in chance.sample(goods, chance.choice((1, 1, 1, 2, 2, 3, 4)))]
        if self.one_in(14):
            title, cents = chance.choice(CUSTOM_LINES)
            unit = self.price(cents) if cents else 0
            lines.append(Line(self.next_id(), None, None, None, title, "", None, unit, 1, self.rate, self.included))
        if self.one_in(20) and self.shop.platform != "both":
            lines.append(self._product(GIFT_CARD))
        return lines

    def _product(self, product: Product) -> Line:
        variant = self.chance.choice(product.variants)
        base = PRODUCT_IDS[self.shop.platform]
        gift = product is GIFT_CARD
        return Line(
            id=self.next_id(),
            product=product,
            product_id=base + product.id,
            variant_id=base + variant.id if product.options or self.shopify else None,
            title=product.title,
            variant_title=variant.title,
            sku=None if self.one_in(25) else variant.sku,
            unit=self.price(product.price),
            quantity=1 if gift else self.chance.choice((1, 1, 1, 2, 2, 3, 7)),
            rate=0 if gift else self.rate,
            included=self.included,
        )

    def _shipping_price(self, source: str) -> tuple[int, tuple[str, str] | None]:
        if source == "pos" or self.one_in(10):
            return 0, None
        title, code, cents = self.chance.choice(SHIPPING)
        return (0 if self.one_in(8) else self.price(cents)), (title, code)

    def _discount(self, lines: list[Line], shipping: int) -> list[Discount]:
        """Give none, one or two discounts, and share them out over ``lines``."""
        chance, given = self.chance, []
        if self.one_in(6):
            line = lines[0]
            line.line_discount = max(1, half_up(line.value * chance.choice((5, 10, 20)), 100)) if line.value else 0
            automatic = self.shopify and self.one_in(2)
            amount = line.line_discount
            if amount:
                given.append(Discount("line", "fixed_amount", amount, amount, "DRESS-UP", automatic))
        if self.one_in(4):
            given += self._order_discount(lines)
        if shipping and self.one_in(9):
            off = shipping if self.shop.platform != "shopify" or self.one_in(2) else half_up(shipping, 2)
            percent = 100 if off == shipping else 50
            given.append(Discount("shipping", "percentage", percent, off, "FREESHIP"))
        return given

    def _order_discount(self, lines: list[Line]) -> list[Discount]:
        chance, code = self.chance, self.chance.choice(COUPONS)
        goods = [line for line in lines if not line.gift_card]
        base = sum(line.paid for line in goods)
        if chance.random() < 0.6:
            percent = 100 if self.one_in(30) else chance.choice((5, 10, 15, 33))
            for line in goods:
                line.order_discount = half_up(line.paid * percent, 100)
            amount = sum(line.order_discount for line in goods)
            return [Discount("order", "percentage", percent, amount, code)] if amount else []
        amount = min(self.price(1000), base)
        spread = 0
        before = 0
        for line, paid in [(line, line.paid) for line in goods]:
            before += paid
            share = half_up(amount * before, base) - spread if base else 0
            line.order_discount = share
            spread += share
        return [Discount("order", "fixed_amount", amount, amount, code)] if amount else []

    # Who bought, and what the storefront left behind

    def _buyer(self, source: str) -> Buyer:
        chance = self.chance
        guest = source == "pos" or chance.random() < 0.4
        member = chance.randrange(1, 4000)
        person = PEOPLE[(member * 7) % len(PEOPLE)]
        domain = ("example.com", "example.org", "shop.example.net")[member % 3]
        email: str | None = f"{person.ascii}.{self.index if guest else member}@{domain}"
        if (guest and self.one_in(12)) or source == "pos":
            email = None
        digits = {
            "NL": f"6{chance.randrange(10_000_000, 99_999_999)}",
            "DK": f"{chance.randrange(20_000_000, 31_999_999)}",
        }
        local = digits.get(self.zone.country, f"90{chance.randrange(10_000_000, 99_999_999)}")
        phone = self.zone.dial + local if chance.random() < 0.6 else None
        if phone and self.one_in(3):
            phone = f"{local[:2]} {local[2:]}" if self.zone.country == "DK" else f"0{local}"
        base = 7_300_000_000_000 if self.shop.platform != "woocommerce" else 0
        place = chance.choice(PLACES[self.zone.country])
        return Buyer(None if guest else base + member, person, email, phone, place, self.one_in(4), member % 5)

    def _extras(self) -> None:
        """A tip, a fee, a foreign currency, a test order."""
        story = self.story
        if self.woo and self.one_in(12):
            goods = sum(line.paid for line in story.lines)
            story.fee = self.price(250) if self.one_in(2) else -min(half_up(goods, 10), self.price(500))
        if self.shopify and self.one_in(20):
            story.tip = self.price(300)
        if self.shopify and story.source == "web":
            story.test = self.one_in(40)
            if self.one_in(16) and not story.tip:
                story.foreign = ("USD", 2, 1_083_217) if self.zone.currency == "EUR" else ("EUR", 2, 133_912)
                if self.zone.currency == "JPY":
                    story.foreign = ("EUR", 2, 6_121)

    def _attributes(self) -> None:
        story, chance = self.story, self.chance
        found = story.attributes
        web = story.source == "web"
        if web and chance.random() < 0.55:
            self._sprii()
        if web and chance.random() < 0.6:
            found.seeka_profile_id = f"sk.1.{story.index + 1_772_000_000_000}.{chance.randrange(10**9, 10**10)}"
            found.order.append(("seeka_pid", found.seeka_profile_id))
        if web and chance.random() < 0.4:
            found.spotler_cookie = f"sqzl{chance.getrandbits(80):020x}"
            found.order.append(("sqzl_cookie", found.spotler_cookie))
        if self.one_in(5):
            found.order.append(("gift", ""))
        if self.one_in(5):
            chance.choice(story.lines).attributes.append(("Engraving", "For Åse & Bram <3"))

    def _sprii(self) -> None:
        story, chance = self.story, self.chance
        found = story.attributes
        number = f"{chance.randrange(1000, 1_000_000)}-{chance.randrange(1, 500)}"
        name = chance.choices(list(SPRII_NAMES), weights=list(SPRII_NAMES.values()))[0]
        found.sprii_number, found.sprii_place = number, "line" if self.one_in(4) else "order"
        if found.sprii_place == "line":
            for line in story.lines if self.one_in(2) else story.lines[:1]:
                line.attributes.append((name, number))
            return
        if self.woo and self.one_in(20):  # an older value under the same name: the newer one counts
            found.order.append((name, f"{chance.randrange(1000, 9999)}-1"))
        found.order.append((name, f" {number} " if self.one_in(30) else number))
        if self.one_in(30):  # a line that disagrees: the order's own value counts
            story.lines[0].attributes.append((name, f"{chance.randrange(1000, 9999)}-2"))

    # What became of it

    def step(
        self, name: str, *, pays: bool = False, refund: Refund | None = None, lines: int = 0, reason: str = ""
    ) -> None:
        self.steps.append(Step(name, self.now, pays, refund, lines, reason))

    def wait(self, least: float, most: float, *, pause: int = 0) -> None:
        """Let time pass, scaled; at least ``pause`` seconds in any case."""
        self.now += max(pause, int(self.chance.uniform(least, most) * self.shop.pace))

    def _live(self) -> None:
        story, chance = self.story, self.chance
        if story.source == "web" and not self._browse():
            return
        settled = story.source == "pos" or story.total == 0
        paid = settled or (story.payment == "card" and chance.random() < 0.85)
        self.step("created", pays=paid)
        if self.woo and self.one_in(100):
            return self.step("vanished")
        self._edit()
        if not paid and story.payment == "cod" and chance.random() < 0.85:
            self.wait(3600, 90_000, pause=1)
            self.step("fulfilled", pays=True)
        elif not paid:
            if chance.random() < 0.35:
                return self._never_paid()
            self.wait(*((0, 30) if self.one_in(4) else (60, 100_000)))
            self.step("paid", pays=True)
        self._edit()
        self._serve()
        self._trash()

    def _browse(self) -> bool:
        """Fill a cart and begin a checkout; False where nothing was bought in the end."""
        story, chance = self.story, self.chance
        abandoned = self.one_in(10)
        if chance.random() < 0.6 or abandoned:
            for filled in range(1, len(story.lines) + 1):
                self.step("cart", lines=filled)
                self.wait(5, 200, pause=1)
        drafts = not self.woo or story.checkout == "blocks"
        for _ in range(chance.choice((0, 1, 1, 2, 3)) if drafts else 0):
            self.step("checkout", lines=len(story.lines))
            self.wait(5, 120, pause=1)
        if not self.steps:
            return True
        return not abandoned

    def _edit(self) -> None:
        if self.one_in(6):
            self.wait(5, 9000, pause=1)
            self.step("updated")

    def _never_paid(self) -> None:
        if self.chance.random() < 0.5:
            return
        self.wait(600, 200_000, pause=1)
        story = self.story
        if self.shopify and self.one_in(3):
            lines = tuple(self._refund_line(place, line.quantity, {}) for place, line in enumerate(story.lines))
            story.restocked = Refund(self.next_id(), self.now, "", 0, lines)
        self.step("cancelled", refund=story.restocked, reason=self.chance.choice(("customer", "inventory", "other")))

    def _serve(self) -> None:
        """Fulfil, refund, cancel: what happens to an order that was paid."""
        story, chance = self.story, self.chance
        fulfilled = any(step.name == "fulfilled" for step in self.steps)
        if not fulfilled and self.one_in(9):
            self.wait(100, 90_000, pause=1)
            refund = self._refund_all({}, 0) if story.total and self.one_in(2) else None
            return self.step("cancelled", refund=refund, reason=chance.choice(("customer", "fraud", "staff")))
        if not fulfilled and chance.random() < 0.75:
            self.wait(0, 200_000)
            self.step("fulfilled")
            self._edit()
        if story.total and self.one_in(3.5):
            self._refunds()
        return None

    def _trash(self) -> None:
        if not (self.woo and self.one_in(25)):
            return
        self.wait(4000, 90_000, pause=3)
        self.step("trashed")
        if self.chance.random() < 0.6:
            self.wait(4000, 90_000, pause=3)
            self.step("restored")

    # Money going back

    def _refund_line(self, place: int, quantity: int, taken: dict[int, int]) -> RefundLine:
        """So many units of a line; shares are cut so that all of them together give the whole line."""
        line, before = self.story.lines[place], taken.get(place, 0)
        taken[place] = before + quantity

        def share(amount: int) -> int:
            return half_up(amount * taken[place], line.quantity) - half_up(amount * before, line.quantity)

        return RefundLine(self.next_id(), place, quantity, share(line.paid), share(line.tax))

    def _build(self, lines: Sequence[RefundLine], shipping: bool, amount: int | None) -> Refund:
        """A refund of ``lines`` and perhaps shipping; ``amount`` where it is not simply what these are worth."""
        ship = self.story.shipping if shipping else None
        ship_paid, ship_tax = (ship.paid, ship.tax) if ship else (0, 0)
        worth = sum(each.subtotal for each in lines) + ship_paid
        if not self.included:
            worth += sum(each.tax for each in lines) + ship_tax
        total = worth if amount is None else amount
        reason = self.chance.choice(REASONS)
        return Refund(self.next_id(), self.now, reason, total, tuple(lines), ship_paid, ship_tax, total - worth)

    def _refund_all(self, taken: dict[int, int], refunded: int, *, shipping: bool = True) -> Refund:
        """Everything that is left."""
        left = [(place, line.quantity - taken.get(place, 0)) for place, line in enumerate(self.story.lines)]
        lines = [self._refund_line(place, quantity, taken) for place, quantity in left if quantity]
        return self._build(lines, shipping, self.story.total - refunded)

    def _refunds(self) -> None:
        story, chance = self.story, self.chance
        taken: dict[int, int] = {}
        refunded, shipping_left = 0, True
        # A buyer who paid in another currency gets one refund of one kind: then its worth in the shop's currency
        # follows from its parts, and need not be guessed from a transaction in the buyer's.
        rounds = 1 if story.foreign else chance.choice((1, 1, 2))
        for past in range(rounds):
            self.wait(0 if self.one_in(8) else 600, 300_000, pause=min(past, 1))
            kind = chance.choice(("lines", "lines", "shipping", "amount", "all"))
            if kind == "all":
                refund = self._refund_all(taken, refunded, shipping=shipping_left)
            else:
                refund = self._some(kind, taken, shipping_left)
            if not 0 < refund.amount <= story.total - refunded:
                return
            refunded += refund.amount
            shipping_left = shipping_left and not refund.shipping
            self.step("refunded", refund=refund)

    def _some(self, kind: str, taken: dict[int, int], shipping_left: bool) -> Refund:
        story, chance = self.story, self.chance
        if kind == "amount":
            return self._build((), False, max(1, half_up(story.total * chance.choice((3, 10, 25)), 100)))
        if kind == "shipping" and shipping_left and story.shipping and story.shipping.paid:
            return self._build((), True, None)
        place = chance.randrange(len(story.lines))
        left = story.lines[place].quantity - taken.get(place, 0)
        if not left:
            return self._build((), False, 0)
        return self._build([self._refund_line(place, chance.randint(1, left), taken)], False, None)
