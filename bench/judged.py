"""What the fault runs tell, and what must be true of it at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from app.db import Database
from app.models import Delivery, Webhook
from app.models.delivery import CLAIMABLE, among
from app.providers.registry import PROVIDERS
from app.simulators.shops import ShopifyShop, Story, WooCommerceShop, expected, stream
from app.simulators.shops import Webhook as Sent
from tests.rig import CREDENTIALS, DOMAIN, SHOPIFY_SECRET, Rig

TOPICS = ("order.created", "order.updated", "order.deleted", "order.restored", "cart.updated")
TOPICS_TOO = (*TOPICS, "action.woocommerce_order_status_changed")

#: Trouble that passes. What a merchant must mend (401) stops a destination, which is tested by itself.
KINDS = ("500", "502", "503", "504", "429", "408", "drop_before", "drop_after", "delay", "slow_drip", "garbage")
RATE = 0.1
SETTLED = 300.0  #: seconds within which a round must come to rest

State = dict[str, Any]


class Failed(Exception):
    """A round ended otherwise than it must."""


# --- what is told -----------------------------------------------------------------------------------------------------


def lives(seed: int, size: int, hooks: dict[str, tuple[str, str]]) -> tuple[list[Sent], list[Any]]:
    """The webhooks of ``size`` orders of each platform, in time's order, and what is true of them at the end."""
    shopify, woocommerce = Story("shopify", seed=seed), Story("woocommerce", seed=seed)
    told = list(stream(ShopifyShop(domain=DOMAIN, secret=SHOPIFY_SECRET), shopify.orders(size)))
    told += stream(WooCommerceShop(hooks=hooks), woocommerce.orders(size))
    truth = [("shopify", expected(each)) for each in shopify.orders(size)]
    truth += [("woocommerce", expected(each)) for each in woocommerce.orders(size)]
    return told, truth


def prepared(rig: Rig) -> dict[str, tuple[str, str]]:
    """Both shops with all providers live; return the places of the WooCommerce webhooks."""
    rig.switch_on(rig.shop())
    store = rig.shop("woocommerce")
    # Other credentials: the two merchants are two accounts at each provider.
    for name, values in CREDENTIALS.items():
        rig.set(store, name, mode="live", **{key: f"{value}-2" for key, value in values.items()})
    return {topic: rig.endpoint(store, topic) for topic in TOPICS_TOO}


# --- what must be ----------------------------------------------------------------------------------------------------


def picture(rig: Rig) -> State:
    """What the providers hold of the orders: the same however it was told to them.

    An account without orders may have been told of a cart, and is as good as none.
    """
    return {name: _held(_PICTURES[name](rig.simulators.app.state(name)["state"])) for name in PROVIDERS}


def _held(accounts: State) -> State:
    return {account: books for account, books in accounts.items() if books}


def _gameball(state: State) -> State:
    # Which reversal took what depends on what was known when; the sum does not.
    return {
        account: {
            id_: (order["order"]["totalPaid"], round(order["refunded"], 2)) for id_, order in books["orders"].items()
        }
        for account, books in state.items()
    }


def _orders_only(state: State) -> State:
    return {account: books["orders"] for account, books in state.items()}


def _esputnik(state: State) -> State:
    # Sent on a change of status or money only, so the words beside them may be those of an earlier moment.
    return {
        account: {
            id_: {name: value for name, value in order.items() if name != "statusDescription"}
            for id_, order in books["orders"].items()
        }
        for account, books in state.items()
    }


def _purchases(state: State) -> State:
    return {account: books["purchases"] for account, books in state.items()}


def _activities(state: State) -> State:
    return {account: books["activities"] for account, books in state.items()}


_PICTURES: dict[str, Callable[[State], State]] = {
    "sprii": _orders_only,
    "spotler": _purchases,
    "seeka": _activities,
    "gameball": _gameball,
    "esputnik": _esputnik,
}


def check_books(rig: Rig, truth: Sequence[tuple[str, Any]]) -> None:
    """Every order is accounted for: purchases once, refunds to the cent, nothing open, dead or in doubt."""
    odd = [each for each in rig.deliveries() if each["state"] not in {"delivered", "skipped"} and not _allowed(each)]
    if odd:
        words = [(each["provider"], each["action"], each["order"], each["state"], each["reason"]) for each in odd[:5]]
        raise Failed(f"not finished: {words}")
    shops = {"shopify": 1, "woocommerce": 2}
    events: dict[tuple[int, str], list[str]] = {}
    for event in rig.events(state="understood"):
        events.setdefault((event["shop"], event["order"]), []).append(event["kind"])
    for platform, each in truth:
        kinds = events.get((shops[platform], each.order_id), [])
        wanted = {
            "order.placed": int(each.placed),
            "order.paid": int(each.paid and each.placed),
            "order.cancelled": int(each.cancelled and each.placed),
            "order.refunded": len(each.refunds) if each.placed else 0,
        }
        found = {kind: kinds.count(kind) for kind in wanted}
        if found != wanted:
            raise Failed(f"{platform} order {each.order_id}: events {found}, expected {wanted}")


#: After a lost answer these are left to a person: a repeat would count twice and nobody can be asked.
_LEFT_TO_A_PERSON = {("gameball", "event"), ("spotler", "cart"), ("spotler", "checkout")}


def _allowed(delivery: State) -> bool:
    return delivery["state"] == "unknown" and (delivery["provider"], delivery["action"]) in _LEFT_TO_A_PERSON


def compare(well: State, badly: State) -> None:
    for name in well:
        if well[name] != badly[name]:
            raise Failed(f"{name} was left otherwise: {_difference(well[name], badly[name])}")


def _difference(one: Any, other: Any, path: str = "") -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *other]:
            if one.get(key) != other.get(key):
                return _difference(one.get(key), other.get(key), f"{path}.{key}")
    return f"{path}: {one!r} told well, {other!r} told badly"


#: A cart of somebody whom eSputnik does not know is dropped there; whom it knows, only it can tell.
_NOT_OURS = ("contacts come first",)
#: Who is cut off does not know that a provider is still at it; here the next try comes milliseconds later.
CUT_OFF = "another request of the same customer is in progress"


def check_violations(rig: Rig, *explained: str) -> None:
    not_ours = (*_NOT_OURS, *explained)
    if found := [each for each in rig.violations() if not any(words in each["sentence"] for words in not_ours)]:
        raise Failed(f"a provider's contract was broken: {found[:3]}")


def still_open(db: Database) -> int:
    with db.read() as session:
        webhooks = session.scalar(select(func.count()).where(Webhook.state == "pending")) or 0
        return webhooks + (session.scalar(select(func.count()).where(among(Delivery.state, CLAIMABLE))) or 0)


# --- the two tellings -------------------------------------------------------------------------------------------------


def told_well(folder: Path, seed: int, size: int) -> State:
    """What providers that never fail hold at the end, where all is told once and in order."""
    with Rig(folder) as rig:
        told, truth = lives(seed, size, prepared(rig))
        for webhook in told:
            send(rig, webhook)
        rig.work(seconds=SETTLED)
        well = picture(rig)
        check(rig, truth, well)
    return well


def disturb(rig: Rig, seed: int, *, slow: float = 0.0) -> None:
    """Let providers fail one call in ten.

    Args:
        slow: seconds that the others take.
    """
    for name in PROVIDERS:
        failing = {"rate": RATE, "seed": seed, "kinds": list(KINDS), "seconds": 0.002}
        rig.simulators.app.set_faults(name, [failing, {"kinds": ["delay"], "seconds": slow}] if slow else failing)


def check(rig: Rig, truth: Sequence[tuple[str, Any]], well: State, *explained: str) -> None:
    """Raise `Failed` unless all ended as ``well``, with every order accounted for.

    Args:
        explained: complaints of providers that what happened explains.
    """
    compare(well, picture(rig))
    check_books(rig, truth)
    check_violations(rig, *explained)


def send(rig: Rig, webhook: Sent) -> None:
    answer = rig.client.post(webhook.path, data=webhook.body, headers=webhook.headers)
    if answer.status_code != 200:
        raise Failed(f"{webhook.platform} {webhook.topic}: answered {answer.status_code}")
