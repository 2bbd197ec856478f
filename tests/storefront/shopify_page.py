"""A made-up Shopify storefront: a product page and the Ajax cart, with the cart's documented ways.

Attributes are merged, an empty value clears one; a cart begins with the first change and ends with its purchase; an
empty answer without a cart names another token each time (shopify.dev/docs/api/ajax/reference/cart).
"""

from __future__ import annotations

import itertools
from typing import Any

from flask import Flask, Response, abort, jsonify, request
from flask.typing import ResponseReturnValue

from app.services import storefront

SHOP_CODE = {
    "push": "(window.onSpriiReady = window.onSpriiReady || []).push(%s);",
    "function": "window.onSpriiReady = %s;",
    "declared": "function onSpriiReady(sdk) { (%s)(sdk); }",
    "none": "",
}
HANDLERS = """function (sdk) {
  async function fill(payload) {
    if (payload.clear_cart) await fetch('/cart/clear.js', { method: 'POST' });
    for (const product of payload.products || []) {
      const line = { id: product.product_id, quantity: product.quantity };
      const headers = { 'Content-Type': 'application/json' };
      await fetch('/cart/add.js', { method: 'POST', headers: headers, body: JSON.stringify(line) });
    }
    if (payload.throws) throw new Error('the shop has a bug');
    if (payload.redirect_url) location.href = payload.redirect_url;
    return { status: sdk.actionStatuses.SUCCESS, message: 'filled by the shop' };
  }
  sdk.registerAction(sdk.actions.SOME_CHECKOUT, fill);
  sdk.registerAction(sdk.actions.UPDATE_CART_CONTENTS, fill);
}"""
PAGE = """<!doctype html><html lang="en"><head><title>Linen shirt</title>%s</head>
<body><h1>Linen shirt</h1><p>29.99 EUR</p></body></html>"""


class ShopifyStorefront:
    """The shop and what happened in it."""

    def __init__(self, sprii: str) -> None:
        """``sprii`` is the address of Sprii's script."""
        self.orders: list[dict[str, Any]] = []
        self.paths: list[str] = []  #: what was asked for, in order
        self.failures: list[int] = []  #: statuses of the next answers to cart/update.js
        self._sprii = sprii
        self._carts: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)
        self.app = Flask(__name__)
        self.app.before_request(self._count)
        self.app.add_url_rule("/", view_func=self.page)
        self.app.add_url_rule("/favicon.ico", view_func=lambda: Response(status=204), endpoint="icon")
        self.app.add_url_rule("/cart.js", view_func=self.look)
        for name in ("update", "add", "clear"):
            self.app.add_url_rule(f"/cart/{name}.js", view_func=getattr(self, name), methods=["POST"])
        self.app.add_url_rule("/checkout", view_func=self.checkout)

    @property
    def written(self) -> int:
        """How often the attributes were written, or tried to be."""
        return self.paths.count("/cart/update.js")

    def carts(self) -> list[dict[str, Any]]:
        """Every cart that lives, oldest first."""
        return list(self._carts.values())

    def attributes(self) -> list[dict[str, str]]:
        return [cart["attributes"] for cart in self.carts()]

    @property
    def looks(self) -> int:
        return self.paths.count("/cart.js")

    def _count(self) -> None:
        self.paths.append(request.path)

    def page(self) -> str:
        """Query: ``snippets`` how many copies (1), ``shop`` form of the shop's own code (push), ``first`` what stands
        before the snippet: nothing, ``shop`` or ``sprii``; ``sdk`` may be ``frozen``."""
        snippet = storefront.snippet("shopify")
        assert snippet is not None
        ours = "{% raw %}" + snippet.code.partition("{% raw %}")[2]
        ours = ours.replace("{% raw %}", "").replace("{% endraw %}", "") * int(request.args.get("snippets", "1"))
        form = SHOP_CODE[request.args.get("shop", "push")]
        shop = f"<script>{form % HANDLERS if form else ''}</script>"
        script = f'<script src="{self._sprii}/sdk.js?{request.args.get("sdk", "")}"></script>'
        parts = {
            "": ours + shop + script,
            "shop": shop + ours + script,
            "sprii": script + ours + shop,
        }
        return PAGE % parts[request.args.get("first", "")]

    def _cart(self) -> dict[str, Any]:
        found = self._carts.get(request.cookies.get("cart", ""))
        return found or {"token": f"c1-{next(self._numbers)}", "items": [], "attributes": {}}

    def _answer(self, cart: dict[str, Any], *, saved: bool = True) -> ResponseReturnValue:
        count = sum(item["quantity"] for item in cart["items"])
        key = next(self._numbers)  # the key after the token is another thing than the cart
        answer = jsonify({**cart, "token": f"{cart['token']}?key={key}", "item_count": count})
        if saved:
            self._carts[cart["token"]] = cart
            answer.set_cookie("cart", cart["token"])
        return answer

    def look(self) -> ResponseReturnValue:
        return self._answer(self._cart(), saved=False)

    def update(self) -> ResponseReturnValue:
        if self.failures:
            abort(self.failures.pop(0))
        cart = self._cart()
        merged = {**cart["attributes"], **request.get_json()["attributes"]}
        cart["attributes"] = {name: value for name, value in merged.items() if value}
        return self._answer(cart)

    def add(self) -> ResponseReturnValue:
        cart = self._cart()
        cart["items"].append({"id": request.get_json()["id"], "quantity": request.get_json()["quantity"]})
        return self._answer(cart)

    def clear(self) -> ResponseReturnValue:
        cart = self._cart()
        cart["items"] = []
        return self._answer(cart)

    def replace_attributes(self, attributes: dict[str, str]) -> None:
        """What another app does that does not know of ours."""
        for cart in self.carts():
            cart["attributes"] = dict(attributes)

    def forget_carts(self) -> None:
        """The cart is gone without a purchase."""
        self._carts.clear()

    def checkout(self) -> ResponseReturnValue:
        """Buys the cart; the theme, and so the snippet, is not on this page."""
        cart = self._carts.pop(request.cookies.get("cart", ""), None)
        if cart:
            self.orders.append(cart)
        answer = Response("<!doctype html><title>Thank you</title><h1>Thank you</h1>")
        answer.delete_cookie("cart")
        return answer
