"""wc-auth of a simulated store: the pages on which a merchant lets an app have a key, and the callback that brings it.

Written from WooCommerce 9.9.5, github.com/woocommerce/woocommerce, plugins/woocommerce: includes/class-wc-auth.php,
templates/auth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit, urlunsplit

from werkzeug import Request, Response
from werkzeug.utils import redirect

from app.simulators.woocommerce_shop import encode
from app.simulators.wp_books import SCOPES, WORDPRESS, Books, Key, User
from app.simulators.wp_html import Sessions, death, escape, page
from app.simulators.wp_wire import Unreachable, Wire

CALLBACK_TIMEOUT = 60.0  # seconds
UNGUESSABLE = 20  #: characters; a shorter ``user_id`` is a violation
PARAMETERS = ("app_name", "user_id", "return_url", "callback_url", "scope")
GRANTS = {
    "read": ("View coupons", "View customers", "View orders and sales reports", "View products"),
    "write": ("Create webhooks", "Create coupons", "Create customers", "Create orders", "Create products"),
    "read_write": (
        "Create webhooks",
        "View and manage coupons",
        "View and manage customers",
        "View and manage orders and sales reports",
        "View and manage products",
    ),
}


class Denied(Exception):
    """Ends the walk with WooCommerce's error page, status 401; the message is its sentence."""


@dataclass(frozen=True)
class Callback:
    """What wc-auth sends to an app. Nothing in it is signed, or says which store it comes from."""

    url: str
    body: bytes
    headers: dict[str, str] = field(repr=False)


class Auth:
    def __init__(self, books: Books, wire: Wire, sessions: Sessions) -> None:
        self._books = books
        self._wire = wire
        self._sessions = sessions
        self.late: list[Callback] = []  #: waiting for `send_late`, where `Habits.callback_late`

    def answer(self, request: Request, route: str, call: dict[str, Any]) -> Response:
        """Answer ``authorize``, ``login`` or ``access_granted``."""
        try:
            asked = self._validated({**request.args.to_dict(), **request.form.to_dict()}, call)
            return self._step(request, route.strip("/").lower(), asked)
        except Denied as denied:
            return death(f"Error: {denied}.", "Access denied", 401)

    def _validated(self, given: Mapping[str, str], call: dict[str, Any]) -> dict[str, str]:
        for name in PARAMETERS:
            if given.get(name, "") in ("", "0"):
                raise Denied(f"Missing parameter {name}")
        asked = {name: given[name] for name in PARAMETERS}
        if asked["scope"] not in SCOPES:
            raise Denied(f"Invalid scope {asked['scope']}")
        for name in ("return_url", "callback_url"):
            asked[name] = _formatted(asked[name])
            if not urlsplit(asked[name]).hostname:
                raise Denied(f"The {asked[name]} is not a valid URL")
        if not (asked["callback_url"].lower().startswith("https://") or self._books.habits.insecure_ok):
            raise Denied("The callback_url needs to be over SSL")
        if len(asked["user_id"]) < UNGUESSABLE:
            self._books.violation(call, f"user_id can be guessed: fewer than {UNGUESSABLE} characters")
        return asked | {"nonce": given.get("wc_auth_nonce", "")}

    def _step(self, request: Request, route: str, asked: dict[str, str]) -> Response:
        user = self._sessions.user(request)
        match route:
            case "login" if user is None:
                return self._login(request, asked)
            case "login":
                return redirect(self.url("authorize", asked))
            case "authorize" if user is None:
                return redirect(self.url("login", asked))
            case "authorize" if user and user.manages:
                return self._ask(asked, user)
            case "access_granted" if user and user.manages:
                return self._grant(asked, user)
        raise Denied("You do not have permission to access this page")

    def url(self, route: str, asked: Mapping[str, str], **more: str) -> str:
        query = {name: asked[name] for name in PARAMETERS} | more
        if self._books.habits.permalinks:
            return f"{self._books.home}/wc-auth/v1/{route}/?{urlencode(query)}"
        return f"{self._books.home}/?{urlencode({'wc-auth-version': '1', 'wc-auth-route': route} | query)}"

    # Pages

    def _login(self, request: Request, asked: dict[str, str]) -> Response:
        if request.method == "POST":
            user = self._sessions.prove(request.form.get("username", ""), request.form.get("password", ""))
            if user:
                return self._sessions.begin(redirect(self.url("authorize", asked)), user, request)
        name, back = escape(asked["app_name"]), escape(_back(asked, 0))
        wrong = '<ul class="woocommerce-error"><li>Unknown username or password.</li></ul>'
        return page(
            f"{asked['app_name']} would like to connect to your store",
            f"""{wrong if request.method == "POST" else ""}
            <p>To connect to {name} you need to be logged in. Log in to your store below, or
            <a href="{back}">cancel and return to {name}</a></p>
            <form method="post" class="wc-auth-login">
            <p><label for="username">Username or email address</label>
            <input type="text" name="username" id="username"></p>
            <p><label for="password">Password</label>
            <input type="password" name="password" id="password"></p>
            <p class="wc-auth-actions"><button type="submit" class="button button-primary wc-auth-login-button"
            name="login" value="Login">Login</button></p></form>""",
        )

    def _ask(self, asked: dict[str, str], user: User) -> Response:
        granted = self.url("access_granted", asked, wc_auth_nonce=self._nonce(user))
        allowed = "".join(f"<li>{each}</li>" for each in GRANTS[asked["scope"]])
        name = escape(asked["app_name"])
        return page(
            f"{asked['app_name']} would like to connect to your store",
            f"""<p>This will give "<strong>{name}</strong>" <strong>{SCOPES[asked["scope"]]}</strong>
            access which will allow it to:</p><ul class="wc-auth-permissions">{allowed}</ul>
            <div class="wc-auth-logged-in-as"><p>Logged in as {escape(user.login)}</p></div>
            <p class="wc-auth-actions">
            <a href="{escape(granted)}" class="button button-primary wc-auth-approve">Approve</a>
            <a href="{escape(_back(asked, 0))}" class="button wc-auth-deny">Deny</a></p>""",
        )

    def _nonce(self, user: User) -> str:
        return self._books.token("wc_auth_grant_access", user.login)

    # The key

    def _grant(self, asked: dict[str, str], user: User) -> Response:
        """Make a key, hand it to the callback, and only then let the browser go back."""
        if asked["nonce"] != self._nonce(user):
            raise Denied("Invalid nonce verification")
        made = datetime.fromtimestamp(self._books.clock(), UTC).strftime("%Y-%m-%d %H:%M:%S")
        scope = self._books.habits.grants or asked["scope"]
        key = self._books.make_key(user.login, f"{asked['app_name'][:170]} - API ({made})", scope)
        callback = self.callback(asked["callback_url"], asked["user_id"], key)
        if self._books.habits.callback_late:
            with self._books.lock:
                self.late.append(callback)
        else:
            self._hand_over(callback, key)
        return redirect(_back(asked, 1))

    def callback(self, url: str, user_id: str, key: Key) -> Callback:
        body = encode(
            {
                "key_id": key.id,
                "user_id": user_id,
                "consumer_key": key.consumer_key,
                "consumer_secret": key.consumer_secret,
                "key_permissions": key.permissions,
            }
        )
        agent = f"WordPress/{WORDPRESS}; {self._books.home}"
        return Callback(url, body, {"User-Agent": agent, "Content-Type": "application/json;charset=UTF-8"})

    def _hand_over(self, callback: Callback, key: Key) -> None:
        """
        Raises:
            Denied: the answer was not exactly 200, and the key is deleted again.
        """
        for _ in range(self._books.habits.callbacks):
            try:
                status = self.send(callback)
            except Unreachable as error:
                self._books.keys.pop(key.id, None)
                raise Denied(str(error).rstrip(".")) from error
            if status != 200:
                self._books.keys.pop(key.id, None)
                raise Denied("An error occurred in the request and at the time were unable to send the consumer data")

    def send(self, callback: Callback) -> int:
        """The answer's status.

        Raises:
            Unreachable: there was none.
        """
        return self._wire.post(callback.url, callback.body, callback.headers, timeout=CALLBACK_TIMEOUT, redirects=True)

    def send_late(self) -> list[int]:
        """Send the callbacks that were held back, and forget them; their answers' statuses."""
        with self._books.lock:
            due, self.late = self.late, []
        return [self.send(callback) for callback in due]


def _formatted(url: str) -> str:
    """PHP decoded it once already, and WooCommerce does so again."""
    decoded = unquote_plus(url)
    return decoded if "://" in decoded else f"https://{decoded}"


def _back(asked: Mapping[str, str], success: int) -> str:
    parts = urlsplit(asked["return_url"])
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query |= {"success": str(success), "user_id": asked["user_id"]}
    return urlunsplit(parts._replace(query=urlencode(query)))
