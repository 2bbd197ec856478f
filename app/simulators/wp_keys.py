"""Who is calling a simulated store's REST API: Basic, query string or one-legged OAuth 1.0a.

Written from WooCommerce 9.9.5, github.com/woocommerce/woocommerce, class-wc-rest-authentication.php.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from werkzeug import Request
from werkzeug.http import parse_dict_header

from app.simulators.wp_books import Books, Key, RestError, User

WINDOW = 15 * 60  # seconds that an OAuth timestamp may be off, either way
OAUTH = ("oauth_consumer_key", "oauth_timestamp", "oauth_nonce", "oauth_signature", "oauth_signature_method")
DENIED = "woocommerce_rest_authentication_error"


@dataclass(frozen=True)
class Caller:
    """Nobody, a key without its user (who was deleted), or a key with its user."""

    key: Key | None = None
    user: User | None = None
    how: str | None = None  #: basic, query or oauth


def refuse(message: str, code: str = DENIED) -> RestError:
    return RestError(code, message, 401)


def query_of(request: Request) -> dict[str, str]:
    """Query parameters as PHP reads them: the last of a name counts."""
    return dict(parse_qsl(request.environ.get("QUERY_STRING", ""), keep_blank_values=True))


class KeyCheck:
    def __init__(self, books: Books) -> None:
        self._books = books

    def is_https(self, request: Request) -> bool:
        """What WordPress itself thinks of the request."""
        habits = self._books.habits
        return habits.behind_tls or (request.scheme == "https" and habits.knows_https)

    def identify(self, request: Request, call: dict[str, Any]) -> Caller:
        """Who is calling; nobody where there is no key, an unknown one, or one that WordPress does not look at.

        Raises:
            RestError: 401, for a key that is not proved, or whose scope is too small.
        """
        habits = self._books.habits
        header = "" if habits.strip_authorization else request.headers.get("Authorization", "")
        query = query_of(request)
        self.note_plain(request, call)
        caller = self._by_secret(header, query) if self.is_https(request) else Caller()
        if caller.key is None:
            caller = self._by_oauth(request, header, query)
        call["auth"] = caller.how
        if caller.key and not caller.key.allows(request.method):
            need = "read" if request.method in ("GET", "HEAD") else "write"
            raise refuse(f"The API key provided does not have {need} permissions.")
        return caller

    def note_plain(self, request: Request, call: dict[str, Any]) -> None:
        header = request.headers.get("Authorization", "").lower()
        secret = header.startswith("basic ") or "consumer_secret" in query_of(request)
        if secret and request.scheme == "http" and not self._books.habits.behind_tls:
            self._books.violation(call, "keys sent over plain http: anyone on the way can read them")

    def _caller(self, key: Key, how: str) -> Caller:
        return Caller(key, self._books.users.get(key.login), how)

    def _by_secret(self, header: str, query: dict[str, str]) -> Caller:
        given, secret, how = query.get("consumer_key", ""), query.get("consumer_secret", ""), "query"
        if not (given and secret):
            (given, secret), how = _basic(header), "basic"
        key = self._books.key_named(given) if given and secret else None
        if key is None:
            return Caller()
        if not hmac.compare_digest(key.consumer_secret.encode(), secret.encode()):
            raise refuse("Consumer secret is invalid.")
        return self._caller(key, how)

    # OAuth

    def _by_oauth(self, request: Request, header: str, query: dict[str, str]) -> Caller:
        params = query | _oauth_header(header)
        missing = [name for name in OAUTH if params.get(name, "") in ("", "0")]
        if len(missing) == len(OAUTH):
            return Caller()
        if missing:
            plural = "s" if len(missing) > 1 else ""
            message = f"Missing OAuth parameter{plural} {', '.join(missing)}"
            raise refuse(message, "woocommerce_rest_authentication_missing_parameter")
        key = self._books.key_named(params["oauth_consumer_key"])
        if key is None:
            raise refuse("Consumer key is invalid.")
        self._check_signature(request, key, params)
        with self._books.lock:
            self._check_freshness(key, params["oauth_timestamp"], params["oauth_nonce"])
        return self._caller(key, "oauth")

    def _check_signature(self, request: Request, key: Key, params: dict[str, str]) -> None:
        method = params["oauth_signature_method"]
        if method not in ("HMAC-SHA1", "HMAC-SHA256"):
            raise refuse("Invalid signature - signature method is invalid.")
        base = "&".join((request.method, quote(self._signed_url(request), safe=""), _normalized(params)))
        digest = hmac.digest(f"{key.consumer_secret}&".encode(), base.encode(), method.removeprefix("HMAC-"))
        given = unquote(params["oauth_signature"].replace(" ", "+"))
        if not hmac.compare_digest(base64.b64encode(digest), given.encode()):
            raise refuse("Invalid signature - provided signature does not match.")

    def _signed_url(self, request: Request) -> str:
        """The address as the store knows it: the client's own may differ in host, and then nothing matches."""
        home = urlsplit(self._books.home)
        path = request.environ["REQUEST_URI"].partition("?")[0]
        return f"{'https' if self.is_https(request) else 'http'}://{home.netloc}{path}"

    def _check_freshness(self, key: Key, timestamp: str, nonce: str) -> None:
        now, at = int(self._books.clock()), int(timestamp) if timestamp.isdigit() else 0
        if abs(now - at) > WINDOW:
            raise refuse("Invalid timestamp.")
        if nonce in key.nonces:
            raise refuse("Invalid nonce - nonce has already been used.")
        key.nonces = {used: then for used, then in key.nonces.items() if then >= now - WINDOW} | {nonce: at}


def _basic(header: str) -> tuple[str, str]:
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return name, password


def _oauth_header(header: str) -> dict[str, str]:
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "oauth":
        return {}
    return {name: unquote(value or "") for name, value in parse_dict_header(given).items()}


def _normalized(params: dict[str, str]) -> str:
    """The parameters as PHP signs them. A list has numbered names there, which clients do not sign: no match."""
    kept = sorted((name.replace("[]", "[0]"), value) for name, value in params.items() if name != "oauth_signature")
    pairs = (f"{_twice(name)}%3D{_twice(value)}" for name, value in kept if name != "realm")
    return "%26".join(pairs)


def _twice(text: str) -> str:
    return quote(unquote(text), safe="").replace("%", "%25")
