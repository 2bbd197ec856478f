"""A simulated store's webhooks: made and changed by REST, delivered when its cron runs, switched off without a word.

Written from WooCommerce 9.9.5, github.com/woocommerce/woocommerce, plugins/woocommerce/includes: class-wc-webhook.php,
wc-webhook-functions.php, rest-api/Controllers/Version1/class-wc-rest-webhooks-v1-controller.php.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.simulators.story import sign
from app.simulators.woocommerce_shop import JSON, delivery_id, encode, error_object
from app.simulators.wp_books import Books, User
from app.simulators.wp_wire import HOOKSHOT, Unreachable, Wire

MOST_FAILURES = 5  #: more than this many counted, and the next failure switches the webhook off
PING_TIMEOUT, DELIVERY_TIMEOUT = 5.0, 60.0  # seconds
RESOURCES = frozenset({"coupon", "customer", "order", "product"})
EVENTS = frozenset({"created", "updated", "deleted", "restored"})
#: The actions behind each topic, as REST shows them.
ACTIONS = {
    "order.created": ["woocommerce_new_order"],
    "order.updated": ["woocommerce_update_order", "woocommerce_order_refunded"],
    "order.deleted": ["wp_trash_post", "woocommerce_trash_order"],
    "order.restored": ["untrashed_post", "woocommerce_untrash_order"],
    "cart.updated": ["wc_tillwire_cart_updated"],
}
#: What WordPress turns back before it uses a secret: ``a&amp;b`` signs as ``a&b``.
ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#039;", "'"), ("&amp;", "&"))


@dataclass
class Hook:
    id: int
    name: str
    topic: str  #: empty where WooCommerce did not recognise it: such a webhook never fires
    delivery_url: str
    secret: str
    login: str  #: whose rights its payloads are built with
    created_at: int
    modified_at: int
    status: str = "active"  #: active, paused or disabled
    failures: int = 0  #: consecutive; no REST route shows it
    foreign: bool = False  #: made by hand in wp-admin, not by a caller of the REST API

    @property
    def resource(self) -> str:
        return self.topic.partition(".")[0]

    @property
    def event(self) -> str:
        return self.topic.partition(".")[2]


@dataclass(frozen=True)
class Job:
    """A delivery that cron will make. One hook never has two pending for one argument."""

    hook: int
    arg: int | str


@dataclass(frozen=True)
class Delivery:
    """What became of one job."""

    hook: int
    topic: str
    url: str
    headers: dict[str, str]
    body: bytes
    status: int | None  #: None where no answer came, or where it was lost on purpose
    lost: bool = False  #: by `Hooks.lose_next`: never sent, and not counted as a failure

    @property
    def good(self) -> bool:
        """A redirect counts as delivered, although nothing follows it."""
        return self.status is not None and 200 <= self.status < 303


class Hooks:
    """
    Args:
        payload: the body that a hook's argument stands for, read with a user's rights at the moment of sending.
    """

    def __init__(self, books: Books, wire: Wire, payload: Callable[[Hook, int | str, User | None], JSON]) -> None:
        self._books = books
        self._wire = wire
        self._payload = payload
        self.all: dict[int, Hook] = {}
        self.jobs: list[Job] = []
        self.deliveries: list[Delivery] = []
        self._to_lose = 0
        self._to_repeat = 0
        self.on_job: Callable[[], object] = lambda: None  #: called when something waits to be sent

    # Topics

    def is_topic(self, topic: str) -> bool:
        if topic.startswith(("action.woocommerce_", "action.wc_")):
            return True
        resource, _, event = topic.partition(".")
        own = {"cart"} if self._books.habits.plugin else set()
        return resource in RESOURCES | own and event in EVENTS

    def stored_topic(self, topic: str) -> str:
        """A topic in capitals passes the check of REST, and then is not recognised when it is stored."""
        return topic if self.is_topic(topic) else ""

    def actions(self, hook: Hook) -> list[str]:
        return [hook.event] if hook.resource == "action" else ACTIONS.get(hook.topic, [])

    # Making and changing

    def add(self, *, name: str, topic: str, delivery_url: str, secret: str, login: str, foreign: bool = False) -> Hook:
        with self._books.lock:
            now, number = int(self._books.clock()), next(self._books.numbers)
            hook = Hook(number, name, self.stored_topic(topic), delivery_url, secret, login, now, now, foreign=foreign)
            self.all[number] = hook
            return hook

    def ping(self, hook: Hook) -> None:
        """Sent by REST when a webhook is made or moved: a form without a signature, whose answer is ignored."""
        headers = {"User-Agent": HOOKSHOT, "Content-Type": "application/x-www-form-urlencoded"}
        body = f"webhook_id={hook.id}".encode()
        try:
            status: int | None = self._wire.post(hook.delivery_url, body, headers, timeout=PING_TIMEOUT, redirects=True)
        except Unreachable:
            status = None
        with self._books.lock:
            self.deliveries.append(Delivery(hook.id, "ping", hook.delivery_url, headers, body, status))

    # Queue and delivery

    def happened(self, topic: str, arg: int | str) -> None:
        """Queue a job for every active webhook of ``topic``, unless the same one waits already."""
        with self._books.lock:
            for hook in self.all.values():
                job = Job(hook.id, arg)
                if hook.topic == topic and hook.status == "active" and job not in self.jobs:
                    self.jobs.append(job)
        self.on_job()

    def lose_next(self, deliveries: int = 1) -> None:
        """Let so many deliveries vanish: never sent, not counted, not repeated."""
        with self._books.lock:
            self._to_lose += deliveries

    def repeat_next(self, deliveries: int = 1) -> None:
        """Send so many twice, as two runs of cron at one time do."""
        with self._books.lock:
            self._to_repeat += deliveries

    def run(self) -> list[Delivery]:
        """Send what waits, one after another. What is queued meanwhile waits for the next run."""
        with self._books.lock:
            due, self.jobs = self.jobs, []
        made = []
        for job in due:
            hook = self.all.get(job.hook)
            if hook is None:
                continue  # deleted since; one that was switched off is still sent
            made += [self._deliver(hook, job.arg) for _ in range(self._times())]
        return made

    def _times(self) -> int:
        with self._books.lock:
            twice = self._to_repeat > 0
            self._to_repeat -= twice
            return 1 + twice

    def _deliver(self, hook: Hook, arg: int | str) -> Delivery:
        with self._books.lock:
            body = encode(self.body(hook, arg))
            headers, url = self._headers(hook, body), hook.delivery_url
            lost = self._to_lose > 0
            self._to_lose -= lost
        status = None
        if not lost:
            try:
                status = self._wire.post(url, body, headers, timeout=DELIVERY_TIMEOUT)
            except Unreachable:
                status = None
        made = Delivery(hook.id, hook.topic, url, headers, body, status, lost)
        with self._books.lock:
            self.deliveries.append(made)
            self._count(hook, made)
        return made

    def body(self, hook: Hook, arg: int | str) -> JSON:
        """The payload as it would be sent now."""
        if hook.resource == "action":
            return {"action": hook.event, "arg": arg}
        if hook.event == "deleted":
            return {"id": arg}
        return self._payload(hook, arg, self._books.users.get(hook.login))

    def _headers(self, hook: Hook, body: bytes) -> dict[str, str]:
        return {
            "User-Agent": HOOKSHOT,
            "Content-Type": "application/json",
            "X-WC-Webhook-Source": f"{self._books.home}/",
            "X-WC-Webhook-Topic": hook.topic,
            "X-WC-Webhook-Resource": hook.resource,
            "X-WC-Webhook-Event": hook.event,
            "X-WC-Webhook-Signature": sign(body, _decoded(hook.secret)),
            "X-WC-Webhook-ID": str(hook.id),
            "X-WC-Webhook-Delivery-ID": delivery_id(hook.id, int(self._books.clock())),
        }

    def _count(self, hook: Hook, made: Delivery) -> None:
        if made.lost:
            return
        if made.good:
            hook.failures = 0
        elif hook.failures > MOST_FAILURES:
            hook.status = "disabled"
        else:
            hook.failures += 1


class Cron:
    """Runs the queue in the background, soon after something joins it."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._due = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="made-up-cron")
        hooks.on_job = self._due.set
        self._thread.start()

    def _work(self) -> None:
        while self._due.wait() and not self._ended:
            self._due.clear()
            self._hooks.run()

    def end(self) -> None:
        self._ended = True
        self._due.set()
        self._thread.join(DELIVERY_TIMEOUT)


def _decoded(secret: str) -> str:
    for entity, character in ENTITIES:
        secret = secret.replace(entity, character)
    return secret


def forbidden(user: User | None, message: str = "Sorry, you cannot view this resource.") -> JSON:
    """What stands in place of data for somebody without the right to it: 401 for nobody, 403 for a known user."""
    return error_object("woocommerce_rest_cannot_view", message, 403 if user else 401)


def shown(hook: Hook, hooks: Hooks, books: Books, stamp: Callable[[int], dict[str, Any]]) -> JSON:
    """A webhook as REST shows it: neither its secret, nor its failures, nor its owner."""
    route = books.rest_url("wc/v3/webhooks")
    created, modified = stamp(hook.created_at), stamp(hook.modified_at)
    return {
        "id": hook.id,
        "name": hook.name,
        "status": hook.status,
        "topic": hook.topic,
        "resource": hook.resource,
        "event": hook.event,
        "hooks": hooks.actions(hook),
        "delivery_url": hook.delivery_url,
        "date_created": created["local"],
        "date_created_gmt": created["gmt"],
        "date_modified": modified["local"],
        "date_modified_gmt": modified["gmt"],
        "_links": {"self": [{"href": f"{route}/{hook.id}"}], "collection": [{"href": route}]},
    }
