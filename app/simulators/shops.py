"""Made-up shops that send signed webhooks over HTTP: in order, badly ordered on purpose, once or without end.

`app.simulators.story` tells what happens, the two platforms' modules write it down; here are the wire and the time.
"""

from __future__ import annotations

import heapq
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Protocol

import requests

from app.simulators.shopify_shop import ShopifyShop
from app.simulators.story import Expected, OrderStory, Story, Teller, Webhook, expected, sign
from app.simulators.woocommerce_shop import WooCommerceShop, delivery_id

__all__ = [
    "Expected",
    "OrderStory",
    "ShopSimulator",
    "ShopifyShop",
    "Story",
    "Tally",
    "Webhook",
    "WooCommerceShop",
    "both",
    "drop_all_but_last",
    "expected",
    "run_shop",
    "shuffle",
    "sign",
    "stream",
]

#: Shopify tries eight times more within four hours; here the same number of times within three minutes.
RETRY_GAPS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 45.0, 90.0)
TIMEOUTS = {"shopify": (1.0, 5.0), "woocommerce": (60.0, 60.0)}  # seconds to connect, to answer
#: Bodies that hold no time of the platform's: a receiver can only place them by their arrival.
TIMELESS = frozenset({"order.deleted"})
WHOLE_ORDER = frozenset({"order.created", "order.updated", "order.restored"})
#: Webhooks of an average life, carts included.
PER_LIFE = 7.0
DEMO_PACE = 0.0004
DEMO_CRON = 2
#: Where the numbering of orders without end begins, so that a shop that starts anew goes on where it was.
DEMO_ORIGIN = 1_788_220_800  # 2026-09-01


class Shop(Protocol):
    @property
    def platform(self) -> str: ...

    def webhooks(self, story: OrderStory) -> list[Webhook]: ...


def stream(shop: Shop, stories: Iterable[OrderStory]) -> Iterator[Webhook]:
    """All webhooks of ``stories`` (sorted by their beginning) in the order of time: lives overlap, and so do they."""
    waiting: list[tuple[int, int, Webhook]] = []
    places = count()
    for story in stories:
        begins = story.steps[0].at
        while waiting and waiting[0][0] < begins:
            yield heapq.heappop(waiting)[2]
        for webhook in shop.webhooks(story):
            heapq.heappush(waiting, (webhook.at, next(places), webhook))
    while waiting:
        yield heapq.heappop(waiting)[2]


def both(story: OrderStory, *, whole: bool = False) -> tuple[list[Webhook], list[Webhook]]:
    """The same order as Shopify and as WooCommerce tell it: the last word of each, or the ``whole`` life.

    Made for stories of ``Story("both")``, in which nothing happens that only one of the two can say.
    """
    shopify, woocommerce = ShopifyShop(), WooCommerceShop()
    if whole:
        return shopify.webhooks(story), woocommerce.webhooks(story)
    return shopify.final(story), woocommerce.final(story)


# Badly ordered on purpose


def repeated(webhook: Webhook, later: int) -> Webhook:
    """``webhook`` once more: from Shopify the same request, from WooCommerce the same body in another delivery."""
    if webhook.platform == "shopify" or webhook.topic in TIMELESS:
        return webhook
    at = webhook.at + later
    number = delivery_id(int(webhook.headers["X-WC-Webhook-ID"]), at)
    return replace(webhook, at=at, headers=webhook.headers | {"X-WC-Webhook-Delivery-ID": number})


def shuffle(
    webhooks: Sequence[Webhook],
    *,
    seed: int,
    duplicates: float = 0.1,
    window: int = 40,
    far: float = 0.03,
    only_last: bool = False,
) -> list[Webhook]:
    """``webhooks`` with repeats and out of order, within orders and across them.

    Args:
        duplicates: share of webhooks that come twice, the second time anywhere later.
        window: how many places a webhook may move either way.
        far: share of webhooks that may move anywhere, so that old states come late.
        only_last: keep the last state of each order alone (`drop_all_but_last`) before any of that.

    Nothing of one order is moved across its ``order.deleted``, whose place in time nothing but its arrival tells.
    """
    chance = Random(seed)  # noqa: S311
    given = drop_all_but_last(webhooks) if only_last else list(webhooks)
    placed: list[tuple[float, int, Webhook]] = []
    for place, webhook in enumerate(given):
        anywhere = chance.random() < far
        key = chance.uniform(0, len(given)) if anywhere else place + chance.uniform(-window, window)
        placed.append((key, place, webhook))
        if chance.random() < duplicates:
            placed.append((chance.uniform(key, len(given) + 1), place, repeated(webhook, chance.randrange(1, 90))))
    placed.sort(key=lambda each: each[:2])
    return _in_epochs([(place, webhook) for _, place, webhook in placed], _epochs(given))


def _epochs(webhooks: Sequence[Webhook]) -> list[int]:
    """For each place, how many timeless webhooks of the same order came before; the timeless have one to themselves."""
    seen: Counter[str | None] = Counter()
    epochs = []
    for webhook in webhooks:
        if webhook.topic in TIMELESS:
            seen[webhook.order_id] += 2
            epochs.append(seen[webhook.order_id] - 1)
        else:
            epochs.append(seen[webhook.order_id])
    return epochs


def _in_epochs(placed: Sequence[tuple[int, Webhook]], epochs: Sequence[int]) -> list[Webhook]:
    """Sort the webhooks of each order by epoch, among the places that they hold already."""
    timeless = {webhook.order_id for _, webhook in placed if webhook.topic in TIMELESS}
    queues: dict[str | None, deque[Webhook]] = {}
    for order_id in timeless:
        own = [(epochs[place], webhook) for place, webhook in placed if webhook.order_id == order_id]
        queues[order_id] = deque(webhook for _, webhook in sorted(own, key=lambda each: each[0]))
    return [queues[webhook.order_id].popleft() if webhook.order_id in queues else webhook for _, webhook in placed]


def drop_all_but_last(webhooks: Iterable[Webhook]) -> list[Webhook]:
    """For each order its last body that shows the whole order, and an ``order.deleted`` after it; nothing else."""
    last: dict[str, list[Webhook]] = {}
    for webhook in webhooks:
        if webhook.order_id is None:
            continue
        if webhook.topic.startswith("orders/") or webhook.topic in WHOLE_ORDER:
            last[webhook.order_id] = [webhook]
        elif webhook.topic in TIMELESS:
            last.setdefault(webhook.order_id, []).append(webhook)
    return [webhook for kept in last.values() for webhook in kept]


def unsettled(webhooks: Iterable[Webhook], *, seed: int, duplicates: float, late: float = 0.1) -> Iterator[Webhook]:
    """The same without end: some webhooks come again after a while, some come up to half a minute late."""
    chance = Random(seed)  # noqa: S311
    waiting: list[tuple[int, int, Webhook]] = []
    places = count()
    for webhook in webhooks:
        delay = chance.randrange(1, 30) if chance.random() < late and webhook.topic not in TIMELESS else 0
        heapq.heappush(waiting, (webhook.at + delay, next(places), webhook))
        if chance.random() < duplicates:
            later = chance.randrange(1, 20)
            heapq.heappush(waiting, (webhook.at + delay + later, next(places), repeated(webhook, later)))
        while waiting and waiting[0][0] <= webhook.at:
            due, _, ready = heapq.heappop(waiting)
            yield replace(ready, at=due)


# Over the wire


@dataclass
class Tally:
    """What came of the sending so far."""

    requests: int = 0
    accepted: int = 0  #: webhooks whose request, or one of whose retries, was taken
    retried: int = 0
    given_up: list[Webhook] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)  #: by status, or by the name of what went wrong

    def line(self) -> str:
        answers = ", ".join(f"{answer}: {times}" for answer, times in sorted(self.answers.items()))
        return f"{self.accepted} accepted, {len(self.given_up)} given up, {self.requests} requests ({answers})"


class _Pace:
    """Lets through so many a second, evenly."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate if rate > 0 else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, stop: threading.Event) -> None:
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            mine = max(self._next, now)
            self._next = mine + self._gap
        stop.wait(mine - now)


class ShopSimulator:
    """Sends webhooks to ``url`` as their platform would, from several threads.

    All webhooks of one order pass through the same thread, so that what was put in order is sent in order. A webhook
    that Shopify has to repeat lets the others pass meanwhile.

    Args:
        rate: requests a second in all; 0 for as many as possible.
        retry_gaps: seconds before each retry that Shopify makes. WooCommerce makes none.
        stop: set it to end early; what was not sent then stays unsent.
    """

    def __init__(
        self,
        url: str,
        *,
        threads: int = 4,
        rate: float = 0.0,
        retry_gaps: Sequence[float] = RETRY_GAPS,
        stop: threading.Event | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.tally = Tally()
        self.stop = stop or threading.Event()
        self.retry_gaps = retry_gaps
        self.pace = _Pace(rate)
        self._lock = threading.Lock()
        self._threads = threads

    def send(self, webhooks: Iterable[Webhook], *, live: bool = False) -> Tally:
        """Send ``webhooks``, ``live`` each at its own time of the clock; return when all are accepted or given up."""
        lanes = [_Lane(self) for _ in range(self._threads)]
        for lane in lanes:
            lane.start()
        try:
            for webhook in webhooks:
                if live:
                    self.stop.wait(max(0.0, webhook.at - time.time()))
                if self.stop.is_set():
                    break
                lanes[(webhook.story if webhook.order_id else webhook.at) % len(lanes)].put(webhook)
        except BaseException:
            self.stop.set()
            raise
        finally:
            for lane in lanes:
                lane.finish()
            for lane in lanes:
                lane.join()
        return self.tally

    def attempt(self, session: requests.Session, webhook: Webhook, past: int) -> float | None:
        """Send once; the seconds until it has to be sent again, or None where it has not."""
        self.pace.wait(self.stop)
        answer = post(session, self.url, webhook)
        accepted = taken(webhook.platform, answer)
        retry = webhook.platform == "shopify" and not accepted and past < len(self.retry_gaps)
        with self._lock:
            self.tally.requests += 1
            self.tally.answers[answer] += 1
            self.tally.accepted += accepted
            self.tally.retried += retry
            if not accepted and not retry:
                self.tally.given_up.append(webhook)
        return self.retry_gaps[past] if retry else None


def post(session: requests.Session, url: str, webhook: Webhook) -> str:
    """The status as text, or the name of what went wrong."""
    try:
        with session.post(
            url + webhook.path,
            data=webhook.body,
            headers=webhook.headers,
            timeout=TIMEOUTS[webhook.platform],
            allow_redirects=False,
        ) as response:
            return str(response.status_code)
    except requests.RequestException as error:
        return type(error).__name__


def taken(platform: str, answer: str) -> bool:
    """Whether the platform counts this as delivered: WooCommerce takes a redirect for a success."""
    if not answer.isdigit():
        return False
    return 200 <= int(answer) <= (302 if platform == "woocommerce" else 299)


class _Lane(threading.Thread):
    """One sending thread, with its queue and its retries."""

    MOST = 64  #: waiting, before the one who feeds has to wait too

    def __init__(self, simulator: ShopSimulator) -> None:
        super().__init__(daemon=True)
        self._simulator = simulator
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, int, Webhook]] = []  # due, place, retries past, webhook
        self._places = count()
        self._finished = False

    def put(self, webhook: Webhook) -> None:
        with self._changed:
            while len(self._waiting) >= self.MOST and not self._simulator.stop.is_set():
                self._changed.wait(0.2)
            self._push(0.0, 0, webhook)

    def finish(self) -> None:
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def _push(self, due: float, past: int, webhook: Webhook) -> None:
        heapq.heappush(self._waiting, (due, next(self._places), past, webhook))
        self._changed.notify_all()

    def _take(self) -> tuple[int, Webhook] | None:
        """The next one that is due, when it is; None when there will be no more."""
        with self._changed:
            while not self._simulator.stop.is_set():
                if self._waiting:
                    pause = self._waiting[0][0] - time.monotonic()
                    if pause <= 0:
                        _, _, past, webhook = heapq.heappop(self._waiting)
                        self._changed.notify_all()
                        return past, webhook
                    self._changed.wait(min(pause, 0.2))
                elif self._finished:
                    return None
                else:
                    self._changed.wait(0.2)
            return None

    def run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False  # no proxies on the way to ourselves
            while taken_up := self._take():
                past, webhook = taken_up
                gap = self._simulator.attempt(session, webhook, past)
                if gap is not None:
                    with self._changed:
                        self._push(time.monotonic() + gap, past + 1, webhook)


# From the command line


def open_shop(
    platform: str, *, domain: str, secret: str | None, webhooks: Mapping[str, tuple[str, str]] | None, cron: int = 60
) -> ShopifyShop | WooCommerceShop:
    """
    Raises:
        ValueError: nothing to sign with, or no such platform.
    """
    if platform == "shopify":
        if not secret:
            raise ValueError("a Shopify shop signs with the app's secret: none given")
        return ShopifyShop(domain, secret)
    if platform == "woocommerce":
        if not webhooks:
            raise ValueError("a WooCommerce store sends to its webhooks' own paths: none given")
        url = domain if "://" in domain else f"https://{domain}"
        return WooCommerceShop(url.rstrip("/"), webhooks, cron)
    raise ValueError(f"no such platform: {platform}")


def run_shop(
    platform: str,
    *,
    url: str,
    secret: str | None,
    domain: str,
    webhooks: Mapping[str, tuple[str, str]] | None,
    orders: int | None,
    rate: float,
    seed: int,
    duplicates: float,
    shuffle: bool,
) -> None:
    """Be a shop until ``orders`` lives are told, or without end; a line on standard output for each.

    Args:
        url: where Tillwire is.
        secret: the app's secret; Shopify.
        webhooks: path and secret by topic, as registered; WooCommerce.
        orders: None for no end: then lives of a minute or two run by the clock, with their carts and checkouts.
        rate: requests a second; without end, about what all lives together come to. 0: as many as possible.
        duplicates: share of webhooks that come twice.
        shuffle: out of order, too.
    """
    live = orders is None
    shop = open_shop(platform, domain=domain, secret=secret, webhooks=webhooks, cron=DEMO_CRON if live else 60)
    teller: Teller = "woocommerce" if isinstance(shop, WooCommerceShop) else "shopify"
    simulator = ShopSimulator(url, rate=0.0 if live else rate)
    try:
        if orders is None:
            every = max(0.5, PER_LIFE / rate) if rate > 0 else 3.0
            endless = Story(teller, seed, start=DEMO_ORIGIN, pace=DEMO_PACE, every=every)
            first = max(0, int((time.time() - DEMO_ORIGIN) / every))
            told = stream(shop, announced((endless.order(index) for index in count(first)), say))
            late = 0.1 if shuffle else 0.0
            simulator.send(unsettled(told, seed=seed, duplicates=duplicates, late=late), live=True)
        else:
            say(simulator.send(once(shop, teller, orders, seed, duplicates, disorder=shuffle)).line())
    except KeyboardInterrupt:
        say(f"\n{simulator.tally.line()}")


def once(
    shop: ShopifyShop | WooCommerceShop,
    teller: Teller,
    orders: int,
    seed: int,
    duplicates: float,
    *,
    disorder: bool,
) -> Iterable[Webhook]:
    """A number of lives, told one after another; a shuffled telling is made up in full beforehand."""
    told = stream(shop, announced(Story(teller, seed).orders(orders), say))
    if not disorder and not duplicates:
        return told
    if disorder:
        return shuffle(list(told), seed=seed, duplicates=duplicates)
    return shuffle(list(told), seed=seed, duplicates=duplicates, window=0, far=0.0)


def announced(stories: Iterable[OrderStory], tell: Callable[[str], object]) -> Iterator[OrderStory]:
    """Pass ``stories`` on, with a line for each that names nobody."""
    for story in stories:
        known = expected(story)
        paying = {step.name for step in story.steps if step.pays} - {"paid"}
        names = dict.fromkeys(step.name for step in story.steps)
        steps = ", ".join(f"{name} and paid" if name in paying else name for name in names)
        number = f", sprii {known.sprii_number}" if known.sprii_number else ""
        tell(f"{story.teller} order {known.order_id} #{known.number} {known.total} {known.currency}{number}: {steps}")
        yield story


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
