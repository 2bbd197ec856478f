"""What the simulated Shopify platform remembers: shops, installs, secrets, tokens, subscriptions, and breaches.

Nothing here answers a request; `app.simulators.shopify_platform` says what can be asked and who wrote it down.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from threading import RLock
from typing import Any

from app.simulators.story import OrderStory

ACCESS_LIFE = 3600  # seconds
REFRESH_LIFE = 90 * 86400
OVERLAP = 30 * 86400  #: a replaced refresh token works at most so long after its first use
VERSIONS = ("2026-01", "2026-04", "2026-07", "2026-10")  #: in support, the oldest first
CANDIDATE = "2027-01"
PERSONAL = frozenset({"name", "address", "email", "phone"})  #: field groups of protected customer data, level 2

JSON = dict[str, Any]


@dataclass(slots=True)
class Subscription:
    """Whom to tell of a topic. ``shop`` is None for one declared in the app's TOML file, which holds for all shops."""

    id: int
    topic: str  #: as in ``orders/create``
    uri: str
    api_version: str
    created_at: float
    shop: str | None = None
    filter: str | None = None
    include_fields: tuple[str, ...] = ()
    name: str | None = None
    failures: int = 0  #: in a row

    @property
    def gid(self) -> str:
        return f"gid://shopify/WebhookSubscription/{self.id}"


@dataclass(slots=True)
class Order:
    """One order: how its life goes, how much of it has happened, and the body that shows it now."""

    story: OrderStory
    told: int  #: steps that have happened
    body: JSON  #: the REST order resource
    changes: JSON  #: what the test wants to be different from the story


@dataclass
class Shop:
    """One shop on the platform, with the app installed or not."""

    domain: str
    id: int
    plan: str
    currency: str
    timezone: str
    scopes: tuple[str, ...]  #: granted, or to be granted at the install
    approved: frozenset[str] | None  #: approved groups of level 2; None: not even level 1
    name: str
    email: str
    installed_at: float | None = None
    installs: int = 0
    orders: dict[int, Order] = field(default_factory=dict)
    next_index: int = 0
    available: float = 0.0  #: points in the bucket, at `measured`
    measured: float = 0.0

    @property
    def handle(self) -> str:
        return self.domain.partition(".")[0]

    @property
    def installed(self) -> bool:
        return self.installed_at is not None

    def may(self, scope: str) -> bool:
        """Whether the app was granted ``scope``; a write scope holds the read scope."""
        return scope in self.scopes or scope.replace("read_", "write_", 1) in self.scopes


@dataclass(slots=True)
class AccessToken:
    shop: str
    install: int
    secret: str
    expires_at: float | None  #: None: a token that never expires, which the Admin API refuses


@dataclass(slots=True)
class RefreshToken:
    shop: str
    install: int
    secret: str
    expires_at: float
    parent: str | None = None  #: the one that this replaces
    first_used_at: float | None = None
    dead: bool = False


class State:
    """Everything behind one lock; safe to call from many threads."""

    def __init__(self, client_id: str, secrets_: Iterable[str], app_url: str, clock: Callable[[], float]) -> None:
        self.client_id = client_id
        self.secrets = list(secrets_)  #: unrevoked, the oldest first
        self.signing: tuple[str, float] | None = None  #: a revoked secret, still used for webhooks until then
        self.app_url = app_url.rstrip("/")
        self.clock = clock
        self.lock = RLock()
        self.shops: dict[str, Shop] = {}
        self.subscriptions: dict[int, Subscription] = {}
        self.access: dict[str, AccessToken] = {}
        self.refresh: dict[str, RefreshToken] = {}
        self.codes: dict[str, tuple[str, int]] = {}  #: unused codes: shop and its install
        self.refusals: dict[str, int] = {}  #: how often a token was called dead
        self.breaches: list[JSON] = []
        self.allowlist = True
        self.numbers = count(1_000_000_001)

    # Secrets

    def signing_secret(self) -> str:
        """With which webhooks and ID tokens are signed: the oldest that is not revoked, or one revoked just now."""
        if self.signing and self.clock() < self.signing[1]:
            return self.signing[0]
        return self.secrets[0]

    # Breaches

    def breach(self, sentence: str, *, shop: str | None = None, path: str = "") -> None:
        with self.lock:
            self.breaches.append({"n": len(self.breaches) + 1, "shop": shop, "path": path, "sentence": sentence})

    def refused_token(self, token: str, shop: str, path: str, what: str) -> None:
        """Count a refusal of ``token``; the third in a row is a breach: whoever was told twice has to know."""
        self.refusals[token] = self.refusals.get(token, 0) + 1
        if self.refusals[token] > 2:
            self.breach(f"{what} was used again after it was refused twice", shop=shop, path=path)

    # Tokens

    def mint(self, shop: Shop, secret: str, *, expiring: bool, parent: str | None = None) -> JSON:
        """A new access token and, where it expires, the refresh token that belongs to it."""
        now = self.clock()
        access = f"shpat_{secrets.token_hex(16)}"
        expires = now + ACCESS_LIFE if expiring else None
        self.access[access] = AccessToken(shop.domain, shop.installs, secret, expires)
        answer: JSON = {"access_token": access, "scope": ",".join(shop.scopes)}
        if not expiring:
            return answer
        refresh = f"shprt_{secrets.token_hex(16)}"
        self.refresh[refresh] = RefreshToken(shop.domain, shop.installs, secret, now + REFRESH_LIFE, parent)
        return answer | {
            "expires_in": ACCESS_LIFE,
            "refresh_token": refresh,
            "refresh_token_expires_in": REFRESH_LIFE,
        }

    def living(self, token: AccessToken | RefreshToken, shop: Shop) -> bool:
        """Whether ``token`` belongs to this install of this shop and to a secret that is not revoked, and is not past
        its end."""
        held = token.shop == shop.domain and token.install == shop.installs and shop.installed
        fresh = token.expires_at is None or self.clock() < token.expires_at
        return held and fresh and token.secret in self.secrets

    def refreshable(self, text: str, shop: Shop) -> bool:
        token = self.refresh.get(text)
        if token is None or token.dead or not self.living(token, shop):
            return False
        return token.first_used_at is None or self.clock() < token.first_used_at + OVERLAP

    def use_refresh(self, text: str, shop: Shop, secret: str) -> JSON:
        """Refresh with a token known to be `refreshable`. Using a replacement ends the token that it replaced, and any
        other replacement of that same token."""
        token = self.refresh[text]
        token.first_used_at = token.first_used_at or self.clock()
        if token.parent:
            for name, each in self.refresh.items():
                if name == token.parent or (each.parent == token.parent and name != text):
                    each.dead = True
        return self.mint(shop, secret, expiring=True, parent=text)

    # Shops

    def install(self, shop: Shop) -> None:
        if shop.installed:
            return
        shop.installed_at = self.clock()
        shop.installs += 1

    def uninstall(self, shop: Shop) -> None:
        """Tokens die with the install, and so do the subscriptions that were made with them."""
        shop.installed_at = None
        self.subscriptions = {n: each for n, each in self.subscriptions.items() if each.shop != shop.domain}


def approval(pcd: int | Collection[str]) -> frozenset[str] | None:
    """What an approval for protected customer data lets through: 0 nothing, 1 orders without persons, 2 everything; or
    level 1 and these of the groups name, address, email and phone."""
    if isinstance(pcd, int):
        return (None, frozenset[str](), PERSONAL)[pcd]
    return frozenset(pcd)


def served_version(asked: str) -> str:
    """The version that answers a request for ``asked``: out of support, or unknown, the oldest supported one does."""
    return asked if asked in (*VERSIONS, CANDIDATE, "unstable") else VERSIONS[0]


def redacted(body: Mapping[str, Any], approved: frozenset[str]) -> JSON:
    """An order, checkout or refund ``body`` without the persons' data that the app is not approved for."""
    hidden = {
        "email": {"email", "contact_email"},
        "phone": {"phone", "sms_marketing_phone"},
        "name": {"first_name", "last_name", "name"},
        "address": {"address1", "address2", "city", "zip", "latitude", "longitude", "province", "province_code"},
    }
    names = set().union(*(keys for group, keys in hidden.items() if group not in approved))
    persons = {"customer", "billing_address", "shipping_address", "default_address", "destination"}

    def clean(value: Any, person: bool) -> Any:
        if isinstance(value, list):
            return [clean(each, person) for each in value]
        if not isinstance(value, Mapping):
            return value
        return {
            key: None
            if key in names and (person or key in {"email", "contact_email", "phone"})
            else clean(each, person or key in persons)
            for key, each in value.items()
        }

    cleaned: JSON = clean(body, False)
    if PERSONAL - approved and "order_status_url" in cleaned:
        cleaned["order_status_url"] = None
    return cleaned
