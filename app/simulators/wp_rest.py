"""A simulated store's REST API, ``wc/v3``: orders, refunds, webhooks, the system's status, and the plugin's own route.

Written from WooCommerce 9.9.5, github.com/woocommerce/woocommerce, plugins/woocommerce/includes/rest-api.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from werkzeug import Request, Response

from app.simulators.woocommerce_shop import VERSION, encode
from app.simulators.wp_books import WORDPRESS, Books, RestError
from app.simulators.wp_keys import Caller, KeyCheck, query_of
from app.simulators.wp_link import Link
from app.simulators.wp_list import MOST_ROWS, OrderQuery, Page, only_fields, paged
from app.simulators.wp_orders import Orders
from app.simulators.wp_refunds import Placed, refund_bodies
from app.simulators.wp_webhooks import Webhooks

#: Who may do what, in WooCommerce's words: the error code's ending and the sentence.
DENIALS = {
    "list": ("view", "Sorry, you cannot list resources."),
    "view": ("view", "Sorry, you cannot view this resource."),
    "create": ("create", "Sorry, you are not allowed to create resources."),
    "edit": ("edit", "Sorry, you are not allowed to edit this resource."),
    "delete": ("delete", "Sorry, you are not allowed to delete this resource."),
    "batch": ("batch", "Sorry, you are not allowed to batch manipulate this resource."),
}


@dataclass(frozen=True)
class Asked:
    """One REST call, as a route's handler sees it."""

    params: Mapping[str, Any]  #: query and body together; the body counts where both have a name
    caller: Caller
    call: dict[str, Any]

    def demand(self, what: str) -> None:
        """
        Raises:
            RestError: 401 for nobody, 403 for a user without the right.
        """
        user = self.caller.user
        if user is None or not user.manages:
            code, sentence = DENIALS[what]
            raise RestError(f"woocommerce_rest_cannot_{code}", sentence, 403 if user else 401)


Handler = Callable[..., Response]


class Rest:
    def __init__(self, books: Books, orders: Orders, webhooks: Webhooks, link: Link) -> None:
        self._books = books
        self._orders = orders
        self._webhooks = webhooks
        self._link = link
        self.keys = KeyCheck(books)
        self._routes: list[tuple[str, str, Handler]] = [
            ("GET", r"wc/v3/orders", self._list_orders),
            ("GET", r"wc/v3/orders/(\d+)", self._get_order),
            ("GET", r"wc/v3/orders/(\d+)/refunds", self._list_refunds),
            ("GET", r"wc/v3/webhooks", self._list_webhooks),
            ("POST", r"wc/v3/webhooks", self._create_webhook),
            ("POST|PUT|PATCH", r"wc/v3/webhooks/batch", self._batch_webhooks),
            ("GET", r"wc/v3/webhooks/(\d+)", self._get_webhook),
            ("POST|PUT|PATCH", r"wc/v3/webhooks/(\d+)", self._update_webhook),
            ("DELETE", r"wc/v3/webhooks/(\d+)", self._delete_webhook),
            ("GET", r"wc/v3/system_status", self._system_status),
            ("POST", r"wc-tillwire/v1/link-key", self._keep_link_key),
        ]

    def answer(self, request: Request, route: str, call: dict[str, Any]) -> Response:
        """Answer the call of ``route``, which has no slash around it."""
        self._books.count_call(call)
        if not call["agent"].startswith("Tillwire/"):
            self._books.violation(call, "header User-Agent must start with Tillwire/")
        try:
            return self._dispatch(request, route, call)
        except RestError as error:
            return reply(error.body, error.status)

    def _dispatch(self, request: Request, route: str, call: dict[str, Any]) -> Response:
        if self._books.habits.rest_blocked:
            raise RestError("rest_not_logged_in", "You are not currently logged in.", 401)
        if not route:
            return reply(self._index())
        own = re.match(r"wc(-[^/]*)?/", route)
        caller = self.keys.identify(request, call) if own else Caller()
        handler, parts = self._find(request.method, route)
        asked = Asked(query_of(request) | _document(request), caller, call)
        per_page = str(asked.params.get("per_page", ""))
        if per_page.isdigit() and int(per_page) > MOST_ROWS:
            self._books.violation(call, f"per_page is more than {MOST_ROWS}")
        return handler(asked, *parts)

    def _find(self, method: str, route: str) -> tuple[Handler, tuple[str, ...]]:
        habits = self._books.habits
        there = habits.woocommerce and (habits.plugin or not route.startswith("wc-tillwire/"))
        for methods, pattern, handler in self._routes if there else []:
            found = re.fullmatch(pattern, route)
            if found and method in methods.replace("GET", "GET|HEAD").split("|"):
                return handler, found.groups()
        raise RestError("rest_no_route", "No route was found matching the URL and request method.", 404)

    def _index(self) -> dict[str, Any]:
        habits = self._books.habits
        shop = ["wc/v1", "wc/v2", "wc/v3", "wc/store/v1", "wc-analytics"] if habits.woocommerce else []
        own = ["wc-tillwire/v1"] if habits.plugin and habits.woocommerce else []
        return {
            "name": "Made-up store",
            "description": "",
            "url": self._books.home,
            "home": self._books.home,
            "gmt_offset": str(self._books.offset // 3600),
            "timezone_string": "",
            "namespaces": ["oembed/1.0", *shop, *own, "wp/v2", "wp-site-health/v1", "wp-block-editor/v1"],
            "authentication": {},
            "routes": {},
        }

    # Orders

    def _list_orders(self, asked: Asked) -> Response:
        with self._books.lock:
            everything = list(self._orders.all.values())
            query = OrderQuery(asked.params, self._books, {order.status for order in everything} - {"trash"})
            asked.demand("list")
            for sentence in query.breaches():
                self._books.violation(asked.call, sentence)
            page = paged(query.select(everything), asked.params)
            rows = [only_fields(self._orders.body(order), asked.params) for order in page.rows]
        return self.list_reply("wc/v3/orders", rows, page, asked)

    def _get_order(self, asked: Asked, number: str) -> Response:
        with self._books.lock:
            order = self._order(number)
            asked.demand("view")
            return reply(only_fields(self._orders.body(order), asked.params))

    def _order(self, number: str) -> Placed:
        """An order that is not there is told to everyone: WooCommerce looks for it before it asks who is calling."""
        try:
            return self._orders.get(int(number))
        except KeyError as error:
            raise RestError("woocommerce_rest_shop_order_invalid_id", "Invalid ID.", 404) from error

    def _list_refunds(self, asked: Asked, number: str) -> Response:
        asked.demand("list")
        with self._books.lock:
            order = self._orders.all.get(int(number))
            bodies = refund_bodies(self._orders.shop, order) if order else []
        page = paged(bodies, asked.params)
        rows = [only_fields(body, asked.params) for body in page.rows]
        return self.list_reply(f"wc/v3/orders/{number}/refunds", rows, page, asked)

    def list_reply(self, route: str, rows: list[dict[str, Any]], page: Page, asked: Asked) -> Response:
        """A page with its headers; the next page's address is what the store believes it to be."""
        answer = reply(rows)
        answer.headers["X-WP-Total"] = str(page.total)
        answer.headers["X-WP-TotalPages"] = str(page.pages)
        query = {name: str(value) for name, value in asked.params.items() if name != "rest_route"}
        for relation, number in (("prev", min(page.number - 1, page.pages)), ("next", page.number + 1)):
            if 1 <= number <= page.pages:
                url = self._books.rest_url(route, query | {"page": str(number)})
                answer.headers.add("Link", f'<{url}>; rel="{relation}"')
        return answer

    # Webhooks

    def _list_webhooks(self, asked: Asked) -> Response:
        page = self._webhooks.page(asked.params)
        asked.demand("list")
        rows = [only_fields(row, asked.params) for row in page.rows]
        return self.list_reply("wc/v3/webhooks", rows, page, asked)

    def _create_webhook(self, asked: Asked) -> Response:
        self._webhooks.check_required(asked.params)
        asked.demand("create")
        made = self._webhooks.create(asked.params, asked.caller, asked.call)
        answer = reply(made, 201)
        answer.headers["Location"] = self._books.rest_url(f"wc/v3/webhooks/{made['id']}")
        return answer

    def _get_webhook(self, asked: Asked, number: str) -> Response:
        asked.demand("view")
        return reply(only_fields(self._webhooks.get(int(number)), asked.params))

    def _update_webhook(self, asked: Asked, number: str) -> Response:
        self._webhooks.check_status(asked.params)
        asked.demand("edit")
        return reply(self._webhooks.update(int(number), asked.params, asked.call))

    def _delete_webhook(self, asked: Asked, number: str) -> Response:
        asked.demand("delete")
        return reply(self._webhooks.delete(int(number), asked.params.get("force", ""), asked.call))

    def _batch_webhooks(self, asked: Asked) -> Response:
        asked.demand("batch")
        return reply(self._webhooks.batch(asked.params, asked.caller, asked.call))

    # The rest

    def _system_status(self, asked: Asked) -> Response:
        asked.demand("list")
        plugins = [{"plugin": "woocommerce/woocommerce.php", "name": "WooCommerce", "version": VERSION}]
        if self._books.habits.plugin:
            plugins.append({"plugin": "tillwire/tillwire.php", "name": "Tillwire", "version": "0.1.0"})
        now = datetime.fromtimestamp(self._books.clock(), UTC)
        home = self._books.home
        return reply(
            {
                "environment": {"home_url": home, "site_url": home, "version": VERSION, "wp_version": WORDPRESS},
                "active_plugins": plugins,
                "settings": {
                    "currency": self._orders.zone.currency,
                    "number_of_decimals": self._orders.shop.decimals,
                    "HPOS_enabled": self._books.habits.hpos,
                },
                "logging": {"logging_enabled": True},
                "generated_at": now.strftime("%Y-%m-%dT%H:%M:%S"),
            }
        )

    def _keep_link_key(self, asked: Asked) -> Response:
        asked.demand("edit")
        return reply(self._link.keep(asked.params, asked.call))


def _document(request: Request) -> dict[str, Any]:
    """The body: JSON where it says so, else a form."""
    if request.method in ("GET", "HEAD") or not (request.data or request.form):
        return {}
    if request.mimetype != "application/json":
        return dict(request.form.items())
    try:
        document = json.loads(request.data)
    except ValueError as error:
        raise RestError("rest_invalid_json", "Invalid JSON body passed.", 400) from error
    return document if isinstance(document, dict) else {}


def reply(document: Any, status: int = 200) -> Response:
    return Response(encode(document), status, content_type="application/json; charset=UTF-8")
