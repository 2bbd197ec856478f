"""``make faults``: rounds of made-up orders, told badly to a Tillwire whose providers fail, and told well to another.

Each round tells the same lives twice: in order to a Tillwire whose providers never fail, and shuffled and repeated to
one whose providers fail one call in ten, killed half-way with ``kill -9`` where asked. At the end every order must be
accounted for, and every provider must have been left in the same state by both.

``python -m bench.faults [--orders N] [--size N] [--kills N] [--again]``; what passed is remembered in
``var/faults.json`` and not repeated, so that it may be stopped at will.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import func, select

from app.db import Database
from app.models import Delivery, Webhook
from app.models.delivery import CLAIMABLE, among
from app.providers.registry import PROVIDERS
from app.simulators.shops import ShopifyShop, Story, WooCommerceShop, expected, shuffle, stream
from app.simulators.shops import Webhook as Sent
from bench import machine
from tests.rig import CREDENTIALS, DOMAIN, SHOPIFY_SECRET, Rig

TOPICS = ("order.created", "order.updated", "order.deleted", "order.restored", "cart.updated")
TOPICS_TOO = (*TOPICS, "action.woocommerce_order_status_changed")
#: Trouble that passes. What a merchant must mend (401) stops a destination, which is tested by itself.
KINDS = ("500", "502", "503", "504", "429", "408", "drop_before", "drop_after", "delay", "slow_drip", "garbage")
RATE = 0.1
SETTLED = 120.0  #: seconds within which a round must come to rest
PROGRESS = Path("var/faults.json")

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
    """What the providers hold of the orders: the same however it was told to them."""
    return {name: _PICTURES[name](rig.simulators.app.state(name)["state"]) for name in PROVIDERS}


def _gameball(state: State) -> State:
    # Which reversal took what depends on what was known when; the sum does not.
    return {
        account: {
            id_: (order["order"]["totalPaid"], round(order["refunded"], 2)) for id_, order in books["orders"].items()
        }
        for account, books in state.items()
    }


def _orders_only(state: State) -> State:
    return {
        account: {key: value for key, value in books.items() if key == "orders"} for account, books in state.items()
    }


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


# --- a round ----------------------------------------------------------------------------------------------------------


def run_round(seed: int, size: int, *, kill: bool) -> float:
    """Run one round; return its seconds, or raise `Failed`."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tillwire-faults-") as folder:
        with Rig(Path(folder) / "well") as rig:
            told, truth = lives(seed, size, prepared(rig))
            for webhook in told:
                send(rig, webhook)
            rig.work(seconds=SETTLED)
            well = picture(rig)
            check_books(rig, truth)
            _no_violations(rig)
        with Rig(Path(folder) / "badly") as rig:
            told, truth = lives(seed, size, prepared(rig))
            for name in PROVIDERS:
                rig.simulators.app.set_faults(
                    name, {"rate": RATE, "seed": seed, "kinds": list(KINDS), "seconds": 0.002}
                )
            shuffled = shuffle(told, seed=seed)
            (tell_and_kill if kill else tell)(rig, shuffled, seed)
            compare(well, picture(rig))
            check_books(rig, truth)
            _no_violations(rig)
    return time.monotonic() - started


def _no_violations(rig: Rig) -> None:
    # A cart of somebody whom eSputnik does not know is dropped there; whom it knows, only it can tell.
    if found := [each for each in rig.violations() if "contacts come first" not in each["sentence"]]:
        raise Failed(f"a provider's contract was broken: {found[:3]}")


def send(rig: Rig, webhook: Sent) -> None:
    answer = rig.client.post(webhook.path, data=webhook.body, headers=webhook.headers)
    if answer.status_code != 200:
        raise Failed(f"{webhook.platform} {webhook.topic}: answered {answer.status_code}")


def tell(rig: Rig, webhooks: Sequence[Sent], seed: int) -> None:
    """Tell all, working now and then, so that deliveries meet orders half told."""
    chance = random.Random(seed)
    for webhook in webhooks:
        send(rig, webhook)
        if chance.random() < 0.05:
            rig.account()
            rig.deliverer.work()
    _rest(rig)


def _rest(rig: Rig) -> None:
    """Work until nothing moves; asked waits (Retry-After) are not waited for."""
    until = time.monotonic() + SETTLED
    while True:
        rig.account()
        while rig.deliverer.work():
            pass
        if not _open(rig.db):
            return
        if time.monotonic() > until:
            raise Failed(f"not at rest after {SETTLED:.0f} s")
        time.sleep(0.01)
        rig.hurry()


def tell_and_kill(rig: Rig, webhooks: Sequence[Sent], seed: int) -> None:
    """Tell all to a process of its own, kill it with -9 somewhere in the middle, start it anew, tell the rest."""
    chance = random.Random(seed)
    cut = chance.randrange(len(webhooks) // 4, len(webhooks) * 3 // 4)
    with Server(rig) as server:
        server.send(webhooks[:cut])
        time.sleep(chance.uniform(0.0, 0.5))
    with Server(rig, stop=signal.SIGTERM) as server:
        server.send(webhooks[cut:])
        until = time.monotonic() + SETTLED
        while _open(rig.db):
            if time.monotonic() > until:
                raise Failed(f"not at rest {SETTLED:.0f} s after the kill")
            rig.hurry()
            time.sleep(0.05)


class Server:
    """`tillwire serve` in a process of its own, on the rig's database; ended as told, by default with -9."""

    def __init__(self, rig: Rig, *, stop: signal.Signals = signal.SIGKILL) -> None:
        self._rig = rig
        self._stop = stop
        self._stack = ExitStack()

    def __enter__(self) -> Server:
        port = machine.free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = {**os.environ, **self._rig.environment, "LOG_LEVEL": "ERROR"}
        self._process = self._stack.enter_context(
            machine.running(machine.tillwire(port), f"{self.url}/readyz", settings)
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(self._stop)
        self._process.wait(60)
        self._stack.close()

    def send(self, webhooks: Sequence[Sent]) -> None:
        with requests.Session() as session:
            for webhook in webhooks:
                answer = session.post(self.url + webhook.path, data=webhook.body, headers=webhook.headers, timeout=30)
                if answer.status_code != 200:
                    raise Failed(f"{webhook.platform} {webhook.topic}: answered {answer.status_code}")


def _open(db: Database) -> int:
    with db.read() as session:
        webhooks = session.scalar(select(func.count()).where(Webhook.state == "pending")) or 0
        return webhooks + (session.scalar(select(func.count()).where(among(Delivery.state, CLAIMABLE))) or 0)


# --- all of them ------------------------------------------------------------------------------------------------------


def code() -> str:
    """What the remembered rounds hold for: any change of the code makes them worthless."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for top in ("app", "bench", "connectors", "mappings", "tests/rig.py"):
        paths = [root / top] if top.endswith(".py") else sorted((root / top).rglob("*"))
        for path in paths:
            if path.suffix in {".py", ".toml"}:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.faults")
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=10, help="orders of each platform in a round")
    parser.add_argument("--kills", type=int, default=10, help="how many of the rounds are killed half-way")
    parser.add_argument("--again", action="store_true", help="forget what passed before")
    given = parser.parse_args(arguments)
    rounds = -(-given.orders // (2 * given.size))
    killed = set(random.Random(1).sample(range(rounds), min(given.kills, rounds)))
    known = json.loads(PROGRESS.read_text()) if PROGRESS.exists() and not given.again else {}
    done = set(known["rounds"]) if known.get("code") == code() else set()
    for number in range(rounds):
        name = f"{number}:{given.size}:{'kill' if number in killed else 'faults'}"
        if name in done:
            continue
        try:
            seconds = run_round(number, given.size, kill=number in killed)
        except Failed as error:
            print(f"round {name}: FAILED: {error}", flush=True)
            return 1
        done.add(name)
        PROGRESS.parent.mkdir(exist_ok=True)
        PROGRESS.write_text(json.dumps({"code": code(), "rounds": sorted(done)}))
        print(f"round {name}: {2 * given.size} orders, {seconds:.1f} s", flush=True)
    print(f"{rounds} rounds, {rounds * 2 * given.size} orders, {len(killed)} kills: every order accounted for")
    return 0


if __name__ == "__main__":
    sys.exit(main())
