"""What a simulated WooCommerce store is like and what it knows: habits, people, keys, and a record of its callers."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from threading import RLock
from typing import Any
from urllib.parse import urlencode

from app.simulators.woocommerce_shop import error_object

WORDPRESS = "6.9"
#: Roles that may manage the shop, and so may read orders and make webhooks and keys.
MANAGERS = frozenset({"administrator", "shop_manager"})
SCOPES = {"read": "Read", "write": "Write", "read_write": "Read/Write"}
MINUTE = 60.0
_KEYS = re.compile(r"\b(c[ks]_[0-9a-f]{3})[0-9a-f]+")


class RestError(Exception):
    """Ends a REST request with WordPress's error object."""

    def __init__(self, code: str, message: str, status: int, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_object(code, message, status)
        self.body["data"] |= more


@dataclass(kw_only=True)
class Habits:
    """How a store is set up, and what stands between it and its callers. Each may be changed while it runs."""

    permalinks: bool = True  #: False: no ``/wp-json/`` and no ``/wc-auth/``, only ``?rest_route=`` and query variables
    link_header: bool = True  #: tells where its REST API is
    knows_https: bool = True  #: False: behind a proxy that ends TLS and does not say so; Basic is ignored
    behind_tls: bool = False  #: TLS ends in front of this server, and it knows: plain requests count as https
    strip_authorization: bool = False  #: the host drops the Authorization header
    woocommerce: bool = True  #: False: WordPress alone
    plugin: bool = False  #: Tillwire's own plugin is there, with its link key and its topic ``cart.updated``
    hpos: bool = True  #: False: orders are posts, and a restored order is told as updated too
    rest_blocked: bool = False  #: a security plugin keeps the REST API for people who are logged in
    firewall: int | None = None  #: a page of HTML with this status (200 or 403) for everything but browsers
    maintenance: bool = False  #: 503 for everyone
    canonical_host: str | None = None  #: requests for another host are redirected to this one: bare name to www
    insecure_ok: bool = False  #: wc-auth takes a callback over http, for tests on one machine; real stores never do
    safe_client: bool = False  #: refuse private addresses and odd ports when calling out, as WordPress does
    grants: str | None = None  #: the scope of keys made by wc-auth, whatever was asked for
    callbacks: int = 1  #: how often wc-auth sends a new key
    callback_late: bool = False  #: wc-auth sends the browser back first; `send_callbacks` sends the key
    signed_in: str | None = None  #: everybody is taken for this user, without a login
    polite: int = 600  #: REST calls a minute, of the machine's own clock; more is a violation


@dataclass
class User:
    id: int
    login: str
    password: str
    role: str

    @property
    def manages(self) -> bool:
        return self.role in MANAGERS


@dataclass
class Key:
    """A REST key. Real stores keep a hash of ``consumer_key`` only."""

    id: int
    login: str  #: whose rights it has
    description: str
    permissions: str  #: read, write or read_write
    consumer_key: str
    consumer_secret: str
    nonces: dict[str, int] = field(default_factory=dict)  #: OAuth nonces with their timestamps

    def allows(self, method: str) -> bool:
        if method == "OPTIONS":
            return True
        return ("read" if method in ("GET", "HEAD") else "write") in self.permissions.split("_")


class Books:
    """People, keys and the record. ``lock`` guards everything that the store knows; nothing is sent under it."""

    def __init__(self, habits: Habits, clock: Callable[[], float], url: str, home: str, offset: int) -> None:
        """
        Args:
            url: where the store answers.
            home: what the store believes its address to be, without a closing slash.
            offset: of the store's time zone, in seconds east of Greenwich.
        """
        self.habits = habits
        self.clock = clock
        self.url = url
        self.home = home
        self.offset = offset
        self.lock = RLock()
        self.numbers = count(1)
        self.salt = secrets.token_bytes(16)
        self.users = {
            login: User(number, login, "password", role)
            for number, (login, role) in enumerate(
                (("admin", "administrator"), ("manager", "shop_manager"), ("shopper", "customer")), 1
            )
        }
        self.keys: dict[int, Key] = {}
        self.calls: list[dict[str, Any]] = []
        self.violations: list[dict[str, Any]] = []
        self._recent: deque[float] = deque()

    # Addresses

    def rest_url(self, route: str, query: dict[str, str] | None = None) -> str:
        """Where the store believes a REST route to be; ``route`` has no leading slash."""
        text = urlencode(query or {})
        if self.habits.permalinks:
            return f"{self.home}/wp-json/{route}" + (f"?{text}" if text else "")
        return f"{self.home}/index.php?rest_route=/{route}" + (f"&{text}" if text else "")

    # Keys

    def make_key(self, login: str, description: str, permissions: str) -> Key:
        with self.lock:
            consumer_key, consumer_secret = f"ck_{secrets.token_hex(20)}", f"cs_{secrets.token_hex(20)}"
            key = Key(next(self.numbers), login, description, permissions, consumer_key, consumer_secret)
            self.keys[key.id] = key
            return key

    def key_named(self, consumer_key: str) -> Key | None:
        return next((key for key in self.keys.values() if key.consumer_key == consumer_key), None)

    def token(self, *parts: str) -> str:
        """A value that only this store can make from ``parts``: nonces and cookies."""
        return hmac.new(self.salt, "|".join(parts).encode(), hashlib.sha256).hexdigest()[:20]

    # The record

    def open_record(self, method: str, path: str, query: dict[str, str], agent: str) -> dict[str, Any]:
        with self.lock:
            shown = {name: _KEYS.sub(r"\1***", value) for name, value in query.items()}
            call = {
                "n": len(self.calls) + 1,
                "method": method,
                "path": path,
                "query": shown,
                "agent": agent,
                "auth": None,
                "status": None,
            }
            self.calls.append(call)
            return call

    def violation(self, call: dict[str, Any], sentence: str) -> None:
        with self.lock:
            kept = {"n": call["n"], "method": call["method"], "path": call["path"], "sentence": sentence}
            self.violations.append(kept)

    def count_call(self, call: dict[str, Any]) -> None:
        """Note a caller who asks more often than `Habits.polite`."""
        with self.lock:
            now = time.monotonic()
            self._recent.append(now)
            while now - self._recent[0] > MINUTE:
                self._recent.popleft()
            if len(self._recent) > self.habits.polite:
                self.violation(call, f"more than {self.habits.polite} calls in a minute")
