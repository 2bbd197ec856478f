"""What the preview shows is what is sent later, byte for byte: for every provider, under mappings that merchants make.

Requests go over real HTTP to a recorder that takes everything, so that what was expected to go out goes out.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.models import Attempt, Delivery, DeliveryState, Shop
from app.providers.registry import PROVIDERS
from app.services import mapping_draft, mapping_versions
from app.services.budgets import Budgets
from app.services.calls import Call, Caller
from app.services.conversion_words import CONVERSIONS
from app.services.deliver import Deliverer
from app.services.expected import ONLY_THEN
from app.services.fact_shapes import facts
from app.services.mapping_draft import BadMapping, Change, Draft
from app.services.mapping_sources import readable
from app.services.packing import unpack
from app.services.preview import preview
from app.simulators.server import Server
from app.simulators.shops import ShopifyShop, Story, Webhook, WooCommerceShop
from mappings import files, outline
from mappings.data import RuleData
from tests.bodies import woocommerce_order
from tests.rig import CREDENTIALS, Rig
from tests.services.lives import profile

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ACTOR = "account:1"
#: By event, provider and rule: what the preview says.
Told = dict[tuple[int, str, str], dict[str, Any]]


def text_of(value: Any) -> bytes:
    """JSON as it stands in a request."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


# what a merchant makes of a mapping

scalars = st.text(max_size=12) | st.integers(-(10**12), 10**12) | st.floats(-1e9, 1e9) | st.booleans()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


@cache
def sources(provider: str, rule: str) -> tuple[list[str], list[str]]:
    """Paths of facts that a rule could read: at the top, and of the members of lists."""
    given = files.load_default(provider).by_name(rule)
    assert given is not None
    kinds = given["on"] if isinstance(given["on"], list) else [given["on"]]
    shape = facts(kinds, PROVIDERS[provider])
    owner = shape.get("order") or shape.get("cart") or shape["checkout"]
    return sorted(dict(readable(shape))), sorted(dict(readable({"item": owner["lines"][0]})))


@st.composite
def change(draw: st.DrawFn, provider: str, rule: RuleData, path: str) -> Change:
    place = outline.find(rule, path)
    top, members = sources(provider, rule["name"])
    path_of = st.sampled_from([*top, *members] if place and place.inside else top)
    how = draw(st.sampled_from(("from", "first", "list", "value", "each", "leave_out", "default")))
    number = {"from": 1, "each": 1, "first": 3, "list": 3}.get(how, 0)
    return Change(
        how=how,
        paths=tuple(draw(st.lists(path_of, min_size=min(number, 1), max_size=number))),
        value=draw(values),
        conversions=tuple(draw(st.lists(st.sampled_from(sorted(CONVERSIONS)), max_size=2))),
        default=draw(st.none() | scalars),
        keep_empty=draw(st.booleans()),
    )


@st.composite
def drafts(draw: st.DrawFn, provider: str) -> str:
    """The text of an own mapping, made by a few edits; those that cannot be, are passed over."""
    rules = [rule for rule in files.load_default(provider).rules if "fields" in rule]
    text = ""
    for _ in range(draw(st.integers(0, 4))):
        rule = draw(st.sampled_from(rules))
        action = PROVIDERS[provider].actions[rule["action"]]
        known = [place.path for place in outline.outline(rule)]
        own = [f"{each.under}.{each.prefix}mine".lstrip(".") for each in action.custom]
        path = draw(st.sampled_from([*known, *action.fields, *own]))
        try:
            text = mapping_draft.edit(PROVIDERS[provider], text, rule["name"], path, draw(change(provider, rule, path)))
        except BadMapping:
            continue
    return text


# a Tillwire whose every call is taken


class Recorder:
    """Takes every request with 202, and keeps its body."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []  #: provider and body
        self._server = Server(self._take)
        self.url = self._server.url

    def close(self) -> None:
        self._server.close()

    def _take(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        self.bodies.append((environ["PATH_INFO"].split("/")[1], body))
        start_response("202 Accepted", [("Content-Type", "application/json"), ("Content-Length", "2")])
        return [b"{}"]


class World:
    """A rig that delivers to a recorder, and notes which deliveries share a call."""

    def __init__(self, rig: Rig, recorder: Recorder) -> None:
        self.rig, self.recorder = rig, recorder
        self.calls: list[Call] = []
        self._deliverer = Deliverer(
            rig.db.of_clerks(),
            rig.parts.router,
            Budgets(1000.0),
            caller=Caller(lambda target: f"{recorder.url}/{target.provider}", allow_private=True),
            scale=1000.0,
        )
        self._start = self._deliverer.caller.start
        self._deliverer.caller.start = self._noted  # type: ignore[method-assign]
        self._shops = 0

    def close(self) -> None:
        self._deliverer.close()

    def _noted(self, calls: Sequence[Call]) -> None:
        self.calls += calls
        self._start(calls)

    def shop(self, platform: str) -> int:
        self._shops += 1
        name = f"shop-{self._shops}"
        return self.rig.shop(platform, f"{name}.myshopify.com" if platform == "shopify" else f"https://{name}.example")

    def tell(self, shop: int, platform: str, webhooks: Iterable[Webhook]) -> None:
        for each in webhooks:
            if platform == "shopify":
                self.rig.shopify(each.topic, each.body, domain=f"shop-{self._shops}.myshopify.com")
            else:
                self.rig.woocommerce(shop, each.topic, each.body)
        self.rig.account()

    def previewed(self, shop: int, own: dict[str, str] | None = None) -> Told:
        """By the command line's preview; under ``own`` mappings, where these are not saved yet."""
        told: Told = {}
        with self.rig.db.read() as session:
            row, router = session.get_one(Shop, shop), self.rig.parts.router
            for name, provider in PROVIDERS.items():
                draft = (own[name], mapping_draft.SOURCE) if own is not None else None
                for each in preview(session, router, row, provider, draft, last=1000):
                    outcome = each["now"] if own is None else each["then"]
                    if outcome is not None:
                        told[each["event"], name, each["rule"]] = outcome
        return told

    def refunds(self, shop: int) -> Counter[str | None]:
        """How many Gameball was told of, by order."""
        mine = (Delivery.shop_id == shop, Delivery.action == "refund", Delivery.state == DeliveryState.DELIVERED)
        with self.rig.db.read() as session:
            return Counter(session.scalars(select(Delivery.subject).where(*mine, Delivery.provider == "gameball")))

    def deliver(self) -> None:
        """Until nothing moves any more; what waits behind something held, stays."""
        until, quiet = time.monotonic() + 30, 0
        while quiet < 3:
            assert time.monotonic() < until
            moved = self._deliverer.work()
            quiet = quiet + 1 if not moved and self._deliverer.settle() else 0
            time.sleep(0.001)

    def compare(self, shop: int, told: Told, since: int, recorded: int, calls: int) -> int:
        """What was sent after the attempt ``since`` against what was ``told`` before; how many payloads that were."""
        with self.rig.db.read() as session:
            rows = session.execute(
                select(Delivery, Attempt.payload)
                .join(Attempt, Attempt.delivery_id == Delivery.id)
                .where(Delivery.shop_id == shop, Attempt.id > since)
            ).all()
            others = session.scalars(
                select(Delivery).where(Delivery.shop_id == shop, Delivery.id.not_in([row[0].id for row in rows]))
            ).all()
        expected: dict[int, Any] = {}
        for delivery, packed in rows:
            expected[delivery.id] = told[delivery.event_id, delivery.provider, delivery.rule]["payload"]
            assert text_of(unpack(packed)) == text_of(expected[delivery.id])
        wire = Counter(self.recorder.bodies[recorded:])
        assert wire == Counter(
            (call.target.provider, text_of(_request(call, [expected[item.delivery_id] for item in call.items])))
            for call in self.calls[calls:]
        )
        for delivery in others:
            self._explained(delivery, told)
        return len(rows)

    def _explained(self, delivery: Delivery, told: Told) -> None:
        """Why a delivery was not sent is what the preview said, or shows only when it is sent."""
        outcome = told.get((delivery.event_id, delivery.provider, delivery.rule), {})
        if delivery.state == DeliveryState.SKIPPED and delivery.reason not in ONLY_THEN:
            assert outcome == {"skip": delivery.reason}
        if delivery.state == DeliveryState.HELD:
            assert outcome == {"error": delivery.reason}
        assert delivery.state in (*SETTLED, DeliveryState.PENDING)


SETTLED = (DeliveryState.SKIPPED, DeliveryState.HELD, DeliveryState.DELIVERED)


def _request(call: Call, payloads: Sequence[Any]) -> Any:
    return call.action.request(payloads, call.target.settings).json


@pytest.fixture
def world(rig: Rig) -> Iterator[World]:
    recorder = Recorder()
    world = World(rig, recorder)
    yield world
    world.close()
    recorder.close()


# the property


@given(st.data())
@profile(10, 50)
def test_what_the_preview_shows_is_sent_byte_for_byte(world: World, data: st.DataObject) -> None:
    platform = data.draw(st.sampled_from(("shopify", "woocommerce")))
    shop = world.shop(platform)
    switch_on(world.rig, shop, data)
    webhooks = story(platform, data.draw(st.integers(1, 10**6)))
    half = data.draw(st.integers(0, len(webhooks)))
    own = {name: data.draw(drafts(name), label=name) for name in PROVIDERS}

    world.tell(shop, platform, webhooks[:half])
    told = world.previewed(shop, own)
    save(world.rig, shop, own)
    assert text_of(list(world.previewed(shop).items())) == text_of(list(told.items()))
    sent = send(world, shop, told)

    world.tell(shop, platform, webhooks[half:])
    sent += send(world, shop, world.previewed(shop))
    # Afterwards, too, the preview shows what was sent.
    assert world.compare(shop, world.previewed(shop), 0, len(world.recorder.bodies), len(world.calls)) == sent


def switch_on(rig: Rig, shop: int, data: st.DataObject) -> None:
    more = {
        "sprii": {},
        "spotler": {"send_carts": "true", "send_checkouts": "true", "send_refunds": "true"},
        "seeka": {"send_carts": "true", "send_checkouts": "true", "send_refunds": "true"},
        "gameball": {"send_carts": "true", "cart_items": "true"},
        "esputnik": {"order_route": data.draw(st.sampled_from(("orders", "event"))), "create_contacts": "always"},
    }
    for name in PROVIDERS:
        rig.set(shop, name, mode="live", **CREDENTIALS[name], **more[name])


def story(platform: str, seed: int) -> list[Webhook]:
    """A few orders' lives, one after the other; among them one of which something is taken back twice, if there is."""
    teller = ShopifyShop() if platform == "shopify" else WOOCOMMERCE
    told = list(Story("shopify" if platform == "shopify" else "woocommerce", seed=seed).orders(60))
    twice = [each for each in told if sum(step.name in {"refunded", "cancelled"} for step in each.steps) > 1]
    return [webhook for order in (*told[:2], *twice[:2]) for webhook in teller.webhooks(order)]


WOOCOMMERCE = WooCommerceShop("https://made-up.example", {}, 60)


def save(rig: Rig, shop: int, own: dict[str, str]) -> None:
    for name, text in own.items():
        with rig.db.write() as session:
            row, draft = session.get_one(Shop, shop), Draft(text=text, version=0)
            mapping_versions.save(session, row, PROVIDERS[name], draft, actor=ACTOR)


def send(world: World, shop: int, told: Told) -> int:
    """Deliver all that is due, and compare it with what was told; how many payloads went out."""
    with world.rig.db.read() as session:
        since = session.scalar(select(Attempt.id).order_by(Attempt.id.desc()).limit(1)) or 0
    recorded, calls = len(world.recorder.bodies), len(world.calls)
    world.deliver()
    return world.compare(shop, told, since, recorded, calls)


@st.composite
def taken_back(draw: st.DrawFn, platform: str) -> list[Webhook]:
    """The lives of orders of which something is taken back again and again, with lines (Shopify) and without."""
    if platform == "shopify":
        told = Story("shopify", seed=draw(st.integers(1, 10**6))).orders(200)
        often = [each for each in told if sum(step.name in {"refunded", "cancelled"} for step in each.steps) > 1]
        return [webhook for order in often[:3] for webhook in ShopifyShop().webhooks(order)]
    found: list[Webhook] = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        refunds = [
            (index, f"{draw(st.integers(1, 2600)) / 100:.2f}") for index in range(1, draw(st.integers(2, 3)) + 1)
        ]
        lives: list[dict[str, Any]] = [{"refunds": tuple(refunds[:count])} for count in range(len(refunds) + 1)]
        if draw(st.booleans()):
            lives.append({"refunds": tuple(refunds), "status": "cancelled"})
        for edited in lives[draw(st.integers(1, len(lives))) :]:
            edited["total"] = "95.00"
        found += [body_of(number, minute, life) for minute, life in enumerate(lives)]
    return found


def body_of(number: int, minute: int, life: dict[str, Any]) -> Webhook:
    body = json.dumps(woocommerce_order(number, customer_id=number, minute=minute, **life)).encode()
    return Webhook("woocommerce", "order.updated", {}, body, "", str(number), "updated", minute)


def test_what_is_expected_to_be_taken_back_is_taken_back(world: World) -> None:
    """However much of it is still to be sent while the next one is told, and whatever was taken back before."""
    again: Counter[str] = Counter()  #: orders of which something was taken back more than once

    @given(st.data())
    @profile(16, 50)
    def lived(data: st.DataObject) -> None:
        world.deliver()  # what a life left behind that was too long to be drawn to its end
        platform = data.draw(st.sampled_from(("shopify", "woocommerce")))
        shop = world.shop(platform)
        switch_on(world.rig, shop, data)
        webhooks, sent = data.draw(taken_back(platform)), 0
        while webhooks:
            part = data.draw(st.integers(1, len(webhooks)))
            world.tell(shop, platform, webhooks[:part])
            webhooks = webhooks[part:]
            if not webhooks or data.draw(st.booleans()):
                sent += send(world, shop, world.previewed(shop))
        assert world.compare(shop, world.previewed(shop), 0, len(world.recorder.bodies), len(world.calls)) == sent
        again[platform] += sum(number > 1 for number in world.refunds(shop).values())

    lived()
    assert min(again["shopify"], again["woocommerce"]) >= 5


# what a reversal takes back


LIFE = (
    {},
    {"minute": 1, "refunds": ((9, "10.00"),)},
    {"minute": 2, "refunds": ((9, "10.00"),), "status": "cancelled"},
)


def told_life(rig: Rig) -> int:
    """An order of 80.00 that was paid, refunded in part, and cancelled, all of it before anything is sent."""
    shop = rig.shop("woocommerce")
    for part in LIFE:
        rig.woocommerce(shop, "order.updated", woocommerce_order(7, customer_id=5, **part))
    return shop


def amounts(rig: Rig, shop: int) -> list[Any]:
    """What Gameball is expected to take back, refund by refund; or the word for what is expected instead."""
    with rig.db.read() as session:
        rows = preview(session, rig.parts.router, session.get_one(Shop, shop), PROVIDERS["gameball"], None, last=50)
    found = [each["now"] for each in rows if each["rule"] == "refund"]
    return [each["payload"]["refundAmount"] if "payload" in each else each for each in found]


def test_what_is_still_to_be_sent_counts_as_sent(rig: Rig) -> None:
    shop = told_life(rig)
    rig.switch_on(shop, "gameball")
    rig.account()
    assert amounts(rig, shop) == [10, 70]
    rig.work()
    assert [each.get("refundAmount") for each in rig.received("gameball")] == [None, 10, 70]
    assert amounts(rig, shop) == [10, 70]
    assert rig.violations() == []


@pytest.mark.parametrize("mode", ["off", "shadow"])
def test_before_going_live_reversals_are_those_of_a_provider_that_was_told_all(rig: Rig, mode: str) -> None:
    shop = told_life(rig)
    rig.switch_on(shop, "gameball", mode=mode)
    rig.account()
    assert amounts(rig, shop) == [10, 70]
    rig.work()
    assert amounts(rig, shop) == [10, 70]


def test_what_a_person_gave_up_is_not_taken_for_sent(rig: Rig) -> None:
    shop = told_life(rig)
    rig.switch_on(shop, "gameball")
    rig.account()
    with rig.db.write() as session:
        refund = session.scalars(select(Delivery).where(Delivery.action == "refund").order_by(Delivery.id)).first()
        assert refund
        refund.state = DeliveryState.DEAD
    assert amounts(rig, shop) == [10, 80]
    rig.work()
    assert [each.get("refundAmount") for each in rig.received("gameball")] == [None, 80]


def test_what_a_setting_would_hold_back_is_expected_to_wait(rig: Rig) -> None:
    shop = told_life(rig)
    rig.switch_on(shop, "gameball", account_currency="EUR")
    rig.account()
    assert amounts(rig, shop) == [{"error": "the order is in DKK, the Gameball account in EUR"}] * 2


def test_a_condition_that_cannot_be_asked_is_an_error_and_breaks_no_preview(rig: Rig) -> None:
    shop = told_life(rig)
    rig.switch_on(shop, "gameball")
    rig.account()
    own = '[[rules]]\nname = "refund"\nwhen = [{ path = "order.number.part", is = 1 }]\n'
    with rig.db.read() as session:
        row, draft = session.get_one(Shop, shop), (own, mapping_draft.SOURCE)
        rows = preview(session, rig.parts.router, row, PROVIDERS["gameball"], draft, last=50)
    said = 'your mapping: rule "refund": when: order.number.part: leads through text, not through an object'
    assert [each["then"] for each in rows if each["rule"] == "refund"] == [{"error": said}] * 2
