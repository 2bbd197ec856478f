"""A made-up WooCommerce store as a platform: WordPress pages, wc-auth, REST ``wc/v3`` and webhooks, over real HTTP.

Written from WooCommerce 9.9.5 (github.com/woocommerce/woocommerce), from its documentation
(developer.woocommerce.com/docs/apis/rest-api) and from what a store of that version was seen to do. The parts:
`wp_books` people, keys and the record of callers; `wp_keys` who is calling; `wp_rest`, `wp_list`, `wp_webhooks` the
REST API; `wp_hooks` deliveries and their switch-off; `wp_orders`, `wp_refunds` what is sold; `wp_auth`, `wp_admin`,
`wp_html` pages for people; `wp_link` Tillwire's own plugin; `wp_wire` calls from the store; `wp_certificate` TLS.
"""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from app.simulators.catalogue import ZONES
from app.simulators.faults import FaultPlan, Faults, read_plan
from app.simulators.server import Server
from app.simulators.woocommerce_shop import JSON
from app.simulators.wp_admin import Admin
from app.simulators.wp_auth import Auth
from app.simulators.wp_books import Books, Habits, Key
from app.simulators.wp_browser import Browser
from app.simulators.wp_certificate import make_certificate
from app.simulators.wp_hooks import Cron, Delivery, Hook, Hooks
from app.simulators.wp_html import Sessions
from app.simulators.wp_link import Link
from app.simulators.wp_orders import Orders
from app.simulators.wp_rest import Rest
from app.simulators.wp_site import Site
from app.simulators.wp_webhooks import Webhooks
from app.simulators.wp_wire import Wire

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@dataclass(kw_only=True, eq=False)
class WooCommercePlatform(Habits):
    """One store. It serves from the moment that it is made until it is closed; a context manager.

    ``url`` is where it answers and ``home`` what it believes its address to be: they are the same unless given. What
    it is like is set by the fields of `Habits`, each of which may be changed while it runs (``store.maintenance =
    True``). People: ``admin``, ``manager`` and ``shopper``, password ``password``. Nothing is delivered until
    `run_cron`, unless ``auto_cron``. What a careful client would not have done stands in `violations`.

    Attributes:
        clock: the store's time, in seconds since 1970; moved by tests.
        port: 0 takes a free one.
        tls: speak https with a certificate that only ``ca_file`` vouches for. ``insecure_url`` then answers every
            plain request with a redirect to https.
        name: the host in ``url``, where it is a name of the store's own: see `known_as`.
        base_path: the folder that WordPress lives in, such as ``/shop``.
        home: where it differs from ``url``, in scheme, host or port.
        names: more host names that the certificate is good for.
        currency, seed: which orders its shoppers make up.
        offset: of its time zone, seconds east of Greenwich; by default its country's.
        auto_cron: run cron in the background, soon after each change.
        trust: certificate authority for the https addresses that the store calls.
    """

    clock: Callable[[], float] = time.time
    port: int = 0
    host: InitVar[str] = "127.0.0.1"
    tls: bool = False
    name: InitVar[str] = ""
    base_path: str = ""
    home: str = ""
    names: tuple[str, ...] = ()
    currency: InitVar[str] = "DKK"
    seed: InitVar[int] = 1
    offset: int | None = None
    auto_cron: bool = False
    trust: InitVar[str | None] = None
    ca_file: str | None = field(default=None, init=False)
    url: str = field(default="", init=False)
    insecure_url: str | None = field(default=None, init=False)

    def __post_init__(self, host: str, name: str, currency: str, seed: int, trust: str | None) -> None:
        shown = self.canonical_host or name or host
        self._folder = tempfile.TemporaryDirectory(prefix="made-up-store-") if self.tls else None
        context = None
        if self._folder:
            certificate, context = make_certificate(Path(self._folder.name), (host, shown, *self.names))
            self.ca_file = str(certificate)
        self._ending = threading.Event()
        self._server = Server(self._serve, port=self.port, host=host, tls=context)
        self.port = self._server.port
        self.url = f"{'https' if self.tls else 'http'}://{shown}:{self.port}{self.base_path}"
        self.home = self.home or self.url
        self._furnish(currency, seed, trust)
        self._delegate()
        self._plain = Server(self._site.upgrade, host=host) if self.tls else None
        self.insecure_url = f"{self._plain.url}{self.base_path}" if self._plain else None
        self._cron = Cron(self.hooks) if self.auto_cron else None

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._site(environ, start_response)

    def _furnish(self, currency: str, seed: int, trust: str | None) -> None:
        offset = ZONES[currency].offset if self.offset is None else self.offset
        self.books = Books(self, self.clock, self.url, self.home, offset)
        self.wire = Wire(self.books, trust)
        self.orders = Orders(self.books, currency=currency, seed=seed)
        self.hooks = Hooks(self.books, self.wire, self.orders.payload)
        self.orders.hooks = self.hooks
        self.sessions = Sessions(self.books)
        self.link = Link(self.books)
        self.auth = Auth(self.books, self.wire, self.sessions)
        self.admin = Admin(self.books, self.sessions, self.link)
        rest = Rest(self.books, self.orders, Webhooks(self.books, self.hooks), self.link)
        self._site = Site(self.books, self.base_path, rest, self.auth, self.admin, self._ending.wait)

    def _delegate(self) -> None:
        """What the parts do for tests, under the store's own name; the parts say what each does."""
        orders, hooks, browser = self.orders, self.hooks, Browser(self.sessions, self.ca_file)
        self.place_order, self.finish_order, self.fill_cart = orders.place, orders.finish, orders.fill_cart
        self.play = orders.play
        self.pay, self.change_status, self.edit = orders.pay, orders.change_status, orders.edit
        self.refund, self.delete_refund = orders.refund, orders.delete_refund
        self.trash, self.restore, self.delete = orders.trash, orders.restore, orders.delete
        self.run_cron, self.lose_next, self.repeat_next = hooks.run, hooks.lose_next, hooks.repeat_next
        self.approve, self.deny = browser.approve, browser.deny

    def close(self) -> None:
        """Stop serving; closing twice does no harm."""
        self._ending.set()
        if self._cron:
            self._cron.end()
        for server in (self._server, self._plain):
            if server:
                server.close()
        if self._folder:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def known_as(self, *names: str) -> Iterator[None]:
        """Within this process, let ``names`` resolve to the store, on any port that is asked for.

        For addresses without a port, such as ``https://shop.example``. A client that looks a name up once and then
        connects to the address that it found goes past this, and needs the store's own port in the address.
        """
        real = socket.getaddrinfo

        def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            text = host.decode() if isinstance(host, bytes) else host
            if text in names:
                return real(self._server.host, self._server.port, *args, **kwargs)
            return real(host, port, *args, **kwargs)

        socket.getaddrinfo = resolve
        try:
            yield
        finally:
            socket.getaddrinfo = real

    # The record

    def violations(self) -> list[dict[str, Any]]:
        """What the store's callers did that a careful client does not: ``n``, ``method``, ``path``, ``sentence``."""
        with self.books.lock:
            return list(self.books.violations)

    def sentences(self) -> list[str]:
        return [violation["sentence"] for violation in self.violations()]

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        """Requests after number ``since``, keys masked: ``n``, ``method``, ``path``, ``query``, ``agent``, ``status``
        and ``auth``, which is how a key was proved: basic, query, oauth or None."""
        with self.books.lock:
            return [dict(call) for call in self.books.calls[since:]]

    def set_faults(self, plan: FaultPlan) -> None:
        """Put faults in force, in place of those before; an empty list ends them. See `app.simulators.faults`.

        Raises:
            ValueError: the plan cannot be read.
        """
        self._site.faults = Faults(read_plan(plan))

    # People and keys

    def make_key(self, user: str = "admin", permissions: str = "read_write", description: str = "By hand") -> Key:
        """A key as a merchant makes it in WooCommerce > Settings > Advanced > REST API."""
        return self.books.make_key(user, description, permissions)

    def api_keys(self) -> list[Key]:
        with self.books.lock:
            return list(self.books.keys.values())

    def revoke(self, key_id: int) -> None:
        with self.books.lock:
            del self.books.keys[key_id]

    @property
    def keys_url(self) -> str:
        """The page in wp-admin on which keys are made."""
        return self.admin.keys_url()

    def demote(self, user: str = "admin") -> None:
        """Take the right to manage the shop: REST answers 403, webhooks carry error objects."""
        self.books.users[user].role = "customer"

    def promote(self, user: str = "admin") -> None:
        self.books.users[user].role = "administrator"

    def delete_user(self, user: str) -> None:
        """Its keys stay, and stand for nobody: REST answers 401."""
        with self.books.lock:
            del self.books.users[user]

    def cookie(self, user: str = "admin") -> dict[str, str]:
        """What the browser of somebody holds who is logged in."""
        return self.sessions.cookie(user)

    def send_callbacks(self) -> list[int]:
        """Send what `Habits.callback_late` held back; the statuses of the answers."""
        return self.auth.send_late()

    def forge_callback(self, callback_url: str, user_id: str, key: Key | None = None) -> int:
        """What anybody can send to a callback; the answer's status.

        Args:
            key: such as another store's; otherwise one that no store has ever made.
        """
        made = key or Key(1, "nobody", "", "read_write", f"ck_{'0' * 40}", f"cs_{'0' * 40}")
        return self.auth.send(self.auth.callback(callback_url, user_id, made))

    # Webhooks

    def webhooks(self) -> list[Hook]:
        """Also what REST hides: secrets and counts of failures."""
        with self.books.lock:
            return sorted(self.hooks.all.values(), key=lambda hook: hook.id)

    def add_webhook(self, topic: str, delivery_url: str, secret: str, *, name: str = "By hand") -> Hook:
        """One that somebody else made in wp-admin: a caller of the REST API that touches it violates its bounds."""
        return self.hooks.add(
            name=name, topic=topic, delivery_url=delivery_url, secret=secret, login="admin", foreign=True
        )

    def pause(self, webhook_id: int) -> None:
        """As the merchant does it."""
        self.hooks.all[webhook_id].status = "paused"

    def deliveries(self) -> list[Delivery]:
        """All so far, pings included."""
        with self.books.lock:
            return list(self.hooks.deliveries)

    def pending(self) -> int:
        """How many deliveries wait for cron."""
        return len(self.hooks.jobs)

    def order(self, order_id: int) -> JSON:
        """As REST shows it now."""
        with self.books.lock:
            return self.orders.body(self.orders.get(order_id))

    # The plugin

    def plugin_link(self, user_id: int = 1, **claims: Any) -> str:
        """A signed sign-in link for a WordPress user; see `app.simulators.wp_link.Link.sign`.

        Raises:
            LookupError: Tillwire has given the store no key.
        """
        return self.link.url(self.link.sign(user_id, **claims))
