"""A simulated Shopify: many made-up shops, their admin, token endpoints, Admin API and webhooks, over real HTTP.

Written from what Shopify publishes, never from Tillwire's own client. Whatever breaks the published rules is answered
as Shopify would answer it, and is kept in `ShopifyPlatform.violations` besides.

`shopify_state` holds what is remembered; `shopify_oauth` the tokens; `shopify_admin` the Admin API, with
`shopify_graphql` (answers), `shopify_schema`, `shopify_search` (pages and costs), `shopify_subscriptions`,
`shopify_orders` and `shopify_refunds` (what an order looks like there); `shopify_webhooks` and `shopify_notices` the
deliveries; `shopify_life` what happens in a shop; `shopify_pages` and `shopify_bridge` what a browser sees;
`shopify_wire` faults and the way here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from werkzeug import Request, Response

from app.simulators.faults import FaultPlan, Faults, read_plan
from app.simulators.server import Dripped, Server
from app.simulators.shopify_admin import Admin
from app.simulators.shopify_life import Life
from app.simulators.shopify_notices import customer_redaction, data_request, read_app_toml, shop_resource
from app.simulators.shopify_oauth import OAuth, make_id_token
from app.simulators.shopify_pages import Pages
from app.simulators.shopify_state import JSON, VERSIONS, Shop, State, Subscription, approval
from app.simulators.shopify_webhooks import Delivery, Webhooks
from app.simulators.shopify_wire import Rerouted, distorted, stand_in
from app.simulators.story import OrderStory
from app.simulators.wp_certificate import make_certificate

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ADMIN_HOST, CDN_HOST = "admin.shopify.com", "cdn.shopify.com"
GRAPHQL = re.compile(r"/admin/api/(?:([^/]+)/)?graphql\.json")
REDACTION_DELAY = 48 * 3600  #: seconds from the uninstall to shop/redact
SCOPES = ("read_orders",)


class ShopifyPlatform:
    """One platform with many shops and one app; a context manager.

    A request's shop is known by its Host header (``S.myshopify.com``) or by a path that begins with
    ``/shops/S.myshopify.com``. `url` is plain HTTP; with ``tls`` there is `tls_url` too, and a browser that is given
    `host_rules` and takes any certificate sees the real addresses.

    Attributes:
        state: everything remembered, for tests that look closer.
        webhooks: deliveries: ``waiting``, ``done``, ``lost``, ``given_up``.
        pages: ``user_id`` is the staff member who uses the browser.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        *,
        previous_secret: str | None = None,
        app_url: str,
        clock: Callable[[], float] = time.time,
        port: int = 0,
        tls: bool = False,
        handle: str = "tillwire",
        scopes: Sequence[str] = SCOPES,
        redirect_urls: Sequence[str] = (),
        subscriptions: Iterable[Mapping[str, Any]] = (),
        webhooks_version: str = VERSIONS[-1],
        routes: Mapping[str, str] | None = None,
    ) -> None:
        """Listen at once.

        Args:
            client_secret: give it 32 characters at least, as Shopify's own have, or signing ID tokens gives a warning.
            previous_secret: an older secret that is not revoked yet; it is the one that signs.
            app_url: the app's ``application_url``.
            clock: seconds since 1970, by which tokens expire, buckets fill and retries fall due.
            scopes: as declared in the app's TOML; what an install grants.
            redirect_urls: addresses that the authorization code grant may return to.
            subscriptions: as in the TOML's ``[[webhooks.subscriptions]]``.
            routes: where addresses with these beginnings are really served, for webhooks.
        """
        secrets = [previous_secret, client_secret] if previous_secret else [client_secret]
        self.state = State(client_id, secrets, app_url, clock)
        self.scopes = tuple(scopes)
        self.webhooks = Webhooks(self.state, routes or {})
        self.webhooks.declare(subscriptions, webhooks_version)
        self._oauth = OAuth(self.state, list(redirect_urls))
        self._admin = Admin(self.state)
        self._life = Life(self.state, self.webhooks)
        self.pages = Pages(self.state, self._oauth, handle)
        self._faults = Faults()
        self._requests: list[JSON] = []
        self._server = Server(self, port=port)
        self._secure = self._secure_server() if tls else None

    def _secure_server(self) -> Server:
        with TemporaryDirectory() as folder:
            _, context = make_certificate(Path(folder), ("*.myshopify.com", ADMIN_HOST, CDN_HOST))
        return Server(self, tls=context)

    # Where it is

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def tls_url(self) -> str:
        """
        Raises:
            ValueError: made without ``tls``.
        """
        if self._secure is None:
            raise ValueError("this platform was made without tls")
        return self._secure.url

    def host_rules(self) -> dict[str, str]:
        """For a browser: which names lead here."""
        port = urlsplit(self.tls_url).port
        return dict.fromkeys((ADMIN_HOST, CDN_HOST, *self.state.shops), f"127.0.0.1:{port}")

    def transport(self) -> Rerouted:
        """For httpx: leads ``https://S.myshopify.com`` here."""
        return Rerouted(self.url)

    def admin_url(self, domain: str, path: str = "") -> str:
        """The app's address within the admin of a shop; ``path`` is one of the app's own."""
        return f"https://{ADMIN_HOST}{self.pages.address(self.shop(domain), 'apps')}{path}"

    def listing_url(self, domain: str) -> str:
        """Where a merchant of this shop finds the app and installs it."""
        return f"https://{ADMIN_HOST}{self.pages.address(self.shop(domain), 'listing')}"

    def close(self) -> None:
        for server in (self._server, self._secure):
            if server:
                server.close()
        self.webhooks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The app

    def deploy(self, toml: str) -> None:
        """Take scopes, redirect URLs and subscriptions from the text of a ``shopify.app.toml``.

        Shops that have the app keep the scopes that they granted.

        Raises:
            ValueError: the command line would refuse to deploy this.
        """
        told = read_app_toml(toml)
        self.scopes = tuple(told["scopes"])
        self._oauth.redirect_urls = list(told["redirect_urls"])
        self.webhooks.declare(told["subscriptions"], told["api_version"])
        for shop in self.state.shops.values():
            if not shop.installed:
                shop.scopes = self.scopes

    @property
    def secret(self) -> str:
        """The newest client secret."""
        return self.state.secrets[-1]

    def rotate_secret(self, secret: str | None = None) -> str:
        """Add a newer secret, made up unless given; the older one goes on signing, and works, until it is revoked."""
        self.state.secrets.append(secret or f"shpss_{token_hex(16)}")
        return self.secret

    def revoke_old_secret(self, *, lag: float = 0.0) -> None:
        """End the oldest secret: it proves nothing any more, and the tokens that it minted are dead.

        Args:
            lag: seconds for which webhooks and ID tokens are still signed with it; Shopify takes up to an hour.
        """
        with self.state.lock:
            gone = self.state.secrets.pop(0)
            self.state.signing = (gone, self.state.clock() + lag)

    @property
    def allowlist(self) -> bool:
        """Whether the app's IP allowlist lets our calls in."""
        return self.state.allowlist

    @allowlist.setter
    def allowlist(self, value: bool) -> None:
        self.state.allowlist = value

    # Shops

    def add_shop(
        self,
        domain: str,
        *,
        id: int | None = None,
        plan: str = "basic",
        currency: str = "EUR",
        timezone: str = "Europe/Copenhagen",
        scopes: Sequence[str] | None = None,
        pcd: int | Collection[str] = 2,
        name: str | None = None,
    ) -> Shop:
        """Open a shop, without the app.

        Args:
            domain: ``S.myshopify.com``, or S alone.
            plan: basic, grow, advanced or plus; decides the rate limit.
            currency: EUR, DKK or JPY.
            scopes: what an install will grant, where that is not what the app declares.
            pcd: approval for protected customer data: 0 none, 1 level 1, 2 everything, or level 1 and these of the
                groups name, address, email, phone.
        """
        whole = domain if domain.endswith(".myshopify.com") else f"{domain}.myshopify.com"
        number = id or 60_000_000_000 + len(self.state.shops) + 1
        shop = Shop(
            domain=whole,
            id=number,
            plan=plan,
            currency=currency,
            timezone=timezone,
            scopes=tuple(self.scopes if scopes is None else scopes),
            approved=approval(pcd),
            name=name or whole.partition(".")[0].replace("-", " ").title(),
            email=f"owner@{whole.partition('.')[0]}.example",
        )
        self.state.shops[whole] = shop
        return shop

    def shop(self, domain: str) -> Shop:
        """
        Raises:
            KeyError: there is no such shop.
        """
        return self.state.shops[domain if domain.endswith(".myshopify.com") else f"{domain}.myshopify.com"]

    def install(self, domain: str, scopes: Sequence[str] | None = None, *, spared: bool = False) -> None:
        """Install the app, as a click in the admin does. Shopify tells the app nothing of it.

        Args:
            spared: take back the ``shop/redact`` of an uninstall before, which comes all the same by default.
        """
        shop = self.shop(domain)
        with self.state.lock:
            shop.scopes = shop.scopes if scopes is None else tuple(scopes)
            self.state.install(shop)
            if spared:
                self.webhooks.cancel(shop, "shop/redact")

    def uninstall(self, domain: str) -> None:
        """Remove the app: tokens and shop-specific subscriptions are gone at once, ``app/uninstalled`` is queued, and
        ``shop/redact`` for two days later."""
        shop = self.shop(domain)
        with self.state.lock:
            self.webhooks.queue(shop, "app/uninstalled", shop_resource(shop))
            head = {"shop_id": shop.id, "shop_domain": shop.domain}
            self.webhooks.queue(shop, "shop/redact", head, delay=REDACTION_DELAY)
            self.state.uninstall(shop)

    def reinstall(self, domain: str) -> None:
        """Remove the app and install it again at once: the news of the first comes after the second."""
        self.uninstall(domain)
        self.install(domain)

    def change_scopes(self, domain: str, scopes: Sequence[str]) -> None:
        """Grant other scopes; living tokens have them at once, and ``app/scopes_update`` is queued."""
        shop = self.shop(domain)
        with self.state.lock:
            previous, shop.scopes = shop.scopes, tuple(scopes)
            moment = datetime.fromtimestamp(int(self.state.clock()), UTC).isoformat()
            body = {"id": shop.id, "previous": [*previous], "current": [*scopes], "updated_at": moment}
            self.webhooks.queue(shop, "app/scopes_update", body)

    def approve(self, domain: str, pcd: int | Collection[str]) -> None:
        """Change the approval for protected customer data; as in `add_shop`."""
        self.shop(domain).approved = approval(pcd)

    # Tokens and addresses

    def id_token(
        self, domain: str, user_id: int = 87_000_000_001, *, secret: str | None = None, age: float = 0, **claims: Any
    ) -> str:
        """An ID token; forged, stale or wrong as wanted: ``claims`` replace its own, None takes one away."""
        return make_id_token(self.state, self.shop(domain), user_id, secret=secret, age=age, claims=claims)

    def app_address(self, domain: str, path: str = "", *, id_token: str | None = None) -> str:
        """The address that the admin loads into its frame: the app's, with a signed query and an ID token."""
        return self.pages.app_address(self.shop(domain), path, id_token)

    def mint_token(self, domain: str, *, expiring: bool = True) -> JSON:
        """A token answer without asking for it: for tests of what comes after."""
        with self.state.lock:
            return self.state.mint(self.shop(domain), self.secret, expiring=expiring)

    def kill_tokens(self, domain: str) -> None:
        """End all tokens of a shop, access and refresh."""
        shop = self.shop(domain)
        with self.state.lock:
            self.state.access = {text: each for text, each in self.state.access.items() if each.shop != shop.domain}
            self.state.refresh = {text: each for text, each in self.state.refresh.items() if each.shop != shop.domain}

    # Orders

    def place_order(
        self,
        domain: str,
        *,
        until: str | None = "paid",
        want: Callable[[OrderStory], bool] = lambda _: True,
        quiet: bool = False,
        **changes: Any,
    ) -> JSON:
        """A new order; its REST body, which the webhooks carry and GraphQL tells alike.

        Args:
            until: how far its life goes at once: created, paid, fulfilled, refunded, cancelled; None to the end.
            want: picks among the stories.
            quiet: tell nobody: Shopify lost the webhooks, or the app came later.
            changes: fields of the body that differ from the story, such as ``note_attributes``.

        Raises:
            LookupError: no story is like that.
        """
        return self._life.place(self.shop(domain), until=until, want=want, changes=changes, quiet=quiet)

    def continue_order(self, domain: str, order_id: int, *, until: str | None = None, quiet: bool = False) -> JSON:
        """Let an order's life go on to the step ``until``, or to its end.

        Raises:
            KeyError, LookupError: there is no such order, or no such step ahead.
        """
        shop = self.shop(domain)
        return self._life.go_on(shop, shop.orders[order_id], until=until, quiet=quiet)

    def edit_order(self, domain: str, order_id: int, *, quiet: bool = False, **changes: Any) -> JSON:
        """Change fields of an order's body; it counts as updated now."""
        shop = self.shop(domain)
        return self._life.edit(shop, shop.orders[order_id], changes, quiet=quiet)

    # Webhooks

    def send_webhook(self, domain: str, topic: str, body: JSON, *, names_shop: bool = True) -> None:
        """Queue any webhook for those who are subscribed to its topic."""
        self.webhooks.queue(self.shop(domain), topic, body, names_shop=names_shop)

    def request_data(self, domain: str, customer: JSON, orders: Sequence[int] = (), **how: Any) -> None:
        """Queue ``customers/data_request``."""
        shop = self.shop(domain)
        body = data_request(shop, customer, orders, next(self.state.numbers))
        self.webhooks.queue(shop, "customers/data_request", body, **how)

    def redact_customer(self, domain: str, customer: JSON, orders: Sequence[int] = (), **how: Any) -> None:
        """Queue ``customers/redact``."""
        shop = self.shop(domain)
        self.webhooks.queue(shop, "customers/redact", customer_redaction(shop, customer, orders), **how)

    def redact_shop(self, domain: str, **how: Any) -> None:
        """Queue ``shop/redact`` now."""
        shop = self.shop(domain)
        self.webhooks.queue(shop, "shop/redact", {"shop_id": shop.id, "shop_domain": shop.domain}, **how)

    def lose_next(self, count: int) -> None:
        """Lose the next so many deliveries, without a trace."""
        self.webhooks.to_lose += count

    def deliver_due(self) -> list[tuple[str, str]]:
        """Send all webhooks that are due by the clock, retries included; topic and answer of each."""
        return self.webhooks.deliver_due()

    @property
    def waiting(self) -> list[Delivery]:
        return list(self.webhooks.waiting)

    def subscriptions(self, domain: str | None = None) -> list[Subscription]:
        """A shop's own subscriptions; without a shop, those that the app declares."""
        wanted = None if domain is None else self.shop(domain).domain
        return [each for each in self.state.subscriptions.values() if each.shop == wanted]

    # Looking in, and trouble

    def violations(self) -> list[JSON]:
        """Every breach of the published rules so far: ``n``, ``shop``, ``path``, ``sentence``."""
        with self.state.lock:
            return list(self.state.breaches)

    def sentences(self) -> list[str]:
        return [each["sentence"] for each in self.violations()]

    def requests(self) -> list[JSON]:
        """The calls so far that came for a shop: ``shop``, ``method``, ``path``, ``status``; None: cut or not yet."""
        with self.state.lock:
            return [dict(each) for each in self._requests]

    def set_faults(self, plan: FaultPlan) -> None:
        """Put faults in force, in place of those before; as for the simulated providers, ``partial`` excepted.

        They befall token requests and Admin API calls. A fault's ``path`` is looked for in the shop's domain and the
        path together.

        Raises:
            ValueError: the plan cannot be read, or asks for what this platform cannot do.
        """
        faults = read_plan(plan)
        if any("partial" in fault.kinds for fault in faults):
            raise ValueError("Shopify has no batches to refuse a part of")
        self._faults = Faults(faults)

    # Serving

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        host = request.host.partition(":")[0].lower()
        path = request.path
        if path.startswith("/shops/"):
            host, _, path = path.removeprefix("/shops/").partition("/")
            path = f"/{path}"
        if host.endswith(".myshopify.com"):
            return self._for_shop(request, host, path, environ, start_response)
        return self._for_browser(request, path)(environ, start_response)

    def _for_browser(self, request: Request, path: str) -> Response:
        if path.startswith("/shopifycloud/"):
            return self.pages.script(request)
        if path == "/favicon.ico":
            return Response(status=204)
        _, store, handle, *rest = [*path.split("/", 3), "", ""]
        shop = self.state.shops.get(f"{handle}.myshopify.com")
        if store != "store" or shop is None:
            return Response("Not Found", 404)
        return self.pages.admin(request, shop, rest[0])

    def _for_shop(
        self, request: Request, host: str, path: str, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        record: JSON = {"shop": host, "method": request.method, "path": path, "status": None}
        with self.state.lock:
            self._requests.append(record)
        trouble = None
        if path.startswith(("/admin/api/", "/admin/oauth/access_token")):
            trouble = self._faults.draw(request.method, host + path, request.get_data())
        if trouble and trouble.wait:
            time.sleep(trouble.wait)
        replaced = trouble and not trouble.applied and stand_in(trouble)
        response = distorted(replaced or self._route(request, host, path), trouble)
        record["status"] = response.status_code
        body = response(environ, start_response)
        if trouble and trouble.drip:
            return Dripped(b"".join(body), lambda: time.sleep(trouble.drip))
        return body

    def _route(self, request: Request, host: str, path: str) -> Response:
        shop = self.state.shops.get(host)
        if shop is None:
            return Response("Sorry, this shop is currently unavailable.", 404)
        if path == "/admin/oauth/access_token":
            return self._oauth.access_token(request, shop)
        if path == "/admin/oauth/authorize":
            return self.pages.authorize(request, shop)
        found = GRAPHQL.fullmatch(path)
        if found:
            return self._admin.serve(request, shop, found[1])
        if path.startswith("/admin/api/") or path.endswith(".json"):
            return self._admin.rest(request, shop)
        return Response("Not Found", 404)
