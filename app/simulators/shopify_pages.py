"""What a browser sees of the simulated Shopify: the app's listing, the grant page, and the admin that frames the app.

Addresses are the real ones, by host: ``admin.shopify.com``, ``cdn.shopify.com`` and ``<shop>.myshopify.com``.
"""

from __future__ import annotations

import json
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from werkzeug import Request, Response

from app.simulators.shopify_bridge import ADMIN, APP_BRIDGE, POLARIS
from app.simulators.shopify_oauth import OAuth, host_parameter, make_id_token, query_hmac
from app.simulators.shopify_state import Shop, State

SCRIPTS = {
    "/shopifycloud/app-bridge.js": APP_BRIDGE,
    "/shopifycloud/polaris.js": POLARIS,
    "/shopifycloud/polaris-1.js": POLARIS,
    "/shopifycloud/polaris-1.1.js": POLARIS,
}
STYLE = """
body{font:15px/1.4 sans-serif;margin:0;display:flex;flex-direction:column;min-height:100vh}
header{background:#222;color:#fff;padding:.5em 1em;display:flex;flex-wrap:wrap;gap:.5em 1em;align-items:center}
main{padding:2em;max-width:40em}iframe{border:0;flex:1;min-height:600px;width:100%}
#toasts{position:fixed;bottom:1em;left:1em}.toast{background:#222;color:#fff;padding:.5em 1em;margin-top:.5em}
.error{background:#a00}#save-bar{background:#555;color:#fff;padding:.5em 1em}button{font:inherit;padding:.3em .8em}
"""


def page(title: str, body: str, status: int = 200) -> Response:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{body}</body></html>"
    )
    return Response(text, status, {"X-Frame-Options": "DENY"}, content_type="text/html; charset=utf-8")


def moved(address: str) -> Response:
    return Response(status=302, headers={"Location": address})


class Pages:
    def __init__(self, state: State, oauth: OAuth, handle: str) -> None:
        self.state = state
        self.oauth = oauth
        self.handle = handle
        self.user_id = 87_000_000_001  #: the staff member who uses the browser

    def script(self, request: Request) -> Response:
        text = SCRIPTS.get(request.path)
        if text is None:
            return Response("Not Found", 404)
        headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
        return Response(text, headers=headers, content_type="application/javascript; charset=utf-8")

    # The admin

    def admin(self, request: Request, shop: Shop, rest: str) -> Response:
        """Serve what stands below ``/store/<handle>/``. The admin knows the app by its handle and by its client id."""
        what, name, *further = [*rest.split("/", 2), ""] if "/" not in rest else rest.split("/", 2)
        if name == self.state.client_id:
            rest = "/".join((what, self.handle, *further))
        app = f"apps/{self.handle}"
        if rest == f"listing/{self.handle}":
            return self._listing(shop)
        if rest == f"install/{self.handle}":
            return self._install(request, shop)
        if rest == f"apps/{self.handle}/id_token":
            return self._id_token(shop)
        if rest == app or rest.startswith(f"{app}/"):
            return self._framed(request, shop, rest.removeprefix(app))
        return page("Not found", "<main>There is no such page.</main>", 404)

    def address(self, shop: Shop, what: str) -> str:
        return f"/store/{shop.handle}/{what}/{self.handle}"

    def _listing(self, shop: Shop) -> Response:
        if shop.installed:
            body = f'<a href="{self.address(shop, "apps")}">Open</a>'
        else:
            body = (
                f'<form action="{self.address(shop, "install")}"><button id="listing-install">Install</button></form>'
            )
        return page("Tillwire on the App Store", f"<main><h1>Tillwire</h1>{body}</main>")

    def _install(self, request: Request, shop: Shop) -> Response:
        """Shopify-managed installation: the platform grants the declared scopes itself, then opens the app."""
        if request.method == "POST":
            with self.state.lock:
                self.state.install(shop)
        if shop.installed:
            return moved(self.address(shop, "apps"))
        return self._grant(shop, shop.scopes, "")

    def _grant(self, shop: Shop, scopes: tuple[str, ...], hidden: str) -> Response:
        wanted = "".join(f"<li>{escape(scope)}</li>" for scope in scopes)
        return page(
            "Install app",
            f"<main><h1>Install Tillwire on {escape(shop.name)}?</h1><ul>{wanted}</ul>"
            f'<form method="post">{hidden}<button id="install">Install</button></form></main>',
        )

    def _id_token(self, shop: Shop) -> Response:
        if not shop.installed:
            return Response(json.dumps({"error": "not installed"}), 403, content_type="application/json")
        token = make_id_token(self.state, shop, self.user_id, secret=None, age=0, claims={})
        return Response(json.dumps({"token": token}), content_type="application/json")

    def _framed(self, request: Request, shop: Shop, path: str) -> Response:
        if not shop.installed:
            return moved(self.address(shop, "listing"))
        source = self.app_address(shop, f"{path}?{request.query_string.decode()}".rstrip("?"))
        app = urlsplit(self.state.app_url)
        settings = {
            "origin": f"{app.scheme}://{app.netloc}",
            "idTokens": f"{self.address(shop, 'apps')}/id_token",
            "scopes": list(shop.scopes),
        }
        told = json.dumps(settings).replace("<", "\\u003c")
        return page(
            f"Tillwire · {shop.name}",
            f'<header><strong>{escape(shop.name)}</strong><nav id="nav"></nav><span id="loading" hidden>Loading</span>'
            '</header><div id="save-bar" hidden>Unsaved changes <button id="save">Save</button> '
            '<button id="discard">Discard</button></div>'
            f'<iframe id="app" name="app-iframe" title="Tillwire" src="{escape(source)}"></iframe>'
            f'<div id="toasts"></div><script type="application/json" id="settings">{told}</script>'
            f"<script>{ADMIN}</script>",
        )

    def app_address(self, shop: Shop, path: str = "", id_token: str | None = None) -> str:
        """The app's address as the admin loads it into its frame, with everything in the query that it adds."""
        parts = urlsplit(path)
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True)) | {
            "embedded": "1",
            "host": host_parameter(shop),
            "id_token": id_token or make_id_token(self.state, shop, self.user_id, secret=None, age=0, claims={}),
            "locale": "en-DK",
            "shop": shop.domain,
            "timestamp": str(int(self.state.clock())),
        }
        parameters["hmac"] = query_hmac(parameters, self.state.signing_secret())
        base = self.state.app_url + parts.path if parts.path else self.state.app_url + "/"
        return f"{base}?{urlencode(parameters)}"

    # The authorization code grant

    def authorize(self, request: Request, shop: Shop) -> Response:
        """``/admin/oauth/authorize``: ask the merchant, unless nothing new is asked for."""
        trouble = self.oauth.authorize_trouble(request, shop)
        if trouble:
            return page("Error", f"<main>{escape(trouble)}</main>", 400)
        asked = request.values
        scopes = tuple(each for each in asked.get("scope", "").split(",") if each) or shop.scopes
        if request.method == "POST" or (shop.installed and set(scopes) <= set(shop.scopes)):
            with self.state.lock:
                shop.scopes = scopes if not shop.installed else shop.scopes
                self.state.install(shop)
                return moved(self.oauth.callback(shop, asked["redirect_uri"], asked.get("state", "")))
        names = ("client_id", "redirect_uri", "state", "scope")
        fields = "".join(f'<input type="hidden" name="{name}" value="{escape(asked.get(name, ""))}">' for name in names)
        return self._grant(shop, scopes, fields)
