"""Our app as Shopify knows it, and the one pool of connections to all shops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version

import httpx
from shopify_app import ShopifyApp

from app.services.errors import Failed
from connectors.shopify import code_grant, oauth
from connectors.shopify.admin import Admin
from connectors.shopify.identity import BadIdentity, Expired, Identity, reload_path, shop_domain, verify_id_token
from connectors.shopify.oauth import Grant
from connectors.shopify.subscriptions import PATH, SCOPES

__all__ = ["BadIdentity", "Expired", "Identity", "ShopifyClient", "reload_path", "shop_domain"]

CALLBACK = "/connect/shopify/callback"
ADMIN = "https://admin.shopify.com"


class ShopifyClient:
    """Credentials, address and connections; no tokens.

    Args:
        client_id, secrets: the app's; the current secret, then the one before. Without them nothing works, and
            `configured` says so.
        public_url: under which Shopify and browsers reach us.
        admin_url: of a simulator that all calls go to instead, or empty.
        inner: in place of the network, for tests.
    """

    def __init__(
        self,
        *,
        client_id: str,
        secrets: Sequence[str],
        api_version: str,
        public_url: str,
        admin_url: str = "",
        inner: httpx.BaseTransport | None = None,
    ) -> None:
        self.client_id = client_id
        self.secrets = tuple(secrets)
        self.api_version = api_version
        self.public_url = public_url
        self.admin_url = admin_url
        self._inner = inner
        self._opening = threading.Lock()
        self._opened: httpx.Client | None = None
        self._app = ShopifyApp(client_id, self.secrets[0]) if client_id and self.secrets else None

    def __repr__(self) -> str:
        return f"ShopifyClient({self.client_id!r})"

    @property
    def _http(self) -> httpx.Client:
        """Made for the first call: the connections and their certificates are six megabytes."""
        with self._opening:
            if self._opened is None:
                from connectors.shopify import wire

                self._opened = wire.new_client(f"Tillwire/{version('tillwire')}", self.admin_url, self._inner)
            return self._opened

    @property
    def configured(self) -> bool:
        """Whether shops can be connected."""
        return self._app is not None and bool(self.public_url)

    @property
    def app(self) -> ShopifyApp:
        if self._app is None or not self.public_url:
            raise Failed("Shopify is not set up: set SHOPIFY_API_KEY, SHOPIFY_API_SECRET and PUBLIC_URL")
        return self._app

    @property
    def webhooks_uri(self) -> str:
        """Where this app's webhooks arrive."""
        return self.public_url + PATH

    def identify(self, id_token: str) -> Identity:
        """Who brings ``id_token``, or `BadIdentity`."""
        return verify_id_token(id_token, self.client_id, self.secrets)

    def exchange(self, identity: Identity) -> Grant:
        return oauth.exchange(self.app, self._http, identity)

    def refresh(self, domain: str, refresh_token: str) -> Grant:
        return oauth.refresh(self.app, self._http, domain, refresh_token)

    def redeem(self, domain: str, code: str) -> Grant:
        return oauth.redeem(self.app, self._http, domain, code)

    def admin(self, domain: str, token: Callable[[str | None], str]) -> Admin:
        return Admin(self.app, self._http, domain, self.api_version, token)

    def permission_url(self, domain: str, state: str) -> str:
        """Where a merchant is asked to install the app."""
        return code_grant.permission_url(self.client_id, domain, SCOPES, self.public_url + CALLBACK, state)

    def page(self, domain: str, path: str) -> str:
        """Where a page of ours opens inside the shop's admin."""
        return f"{ADMIN}/store/{domain.partition('.')[0]}/apps/{self.client_id}{path}"

    def close(self) -> None:
        with self._opening:
            if self._opened is not None:
                self._opened.close()
