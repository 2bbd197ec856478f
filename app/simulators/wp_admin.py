"""wp-admin of a simulated store, as far as connecting needs it: the login, the REST keys, the plugin's button."""

from __future__ import annotations

from urllib.parse import urlencode

from werkzeug import Request, Response
from werkzeug.utils import redirect

from app.simulators.wp_books import SCOPES, Books, Key, User
from app.simulators.wp_html import Sessions, death, escape, page
from app.simulators.wp_link import Link

KEYS = {"page": "wc-settings", "tab": "advanced", "section": "keys"}


class Admin:
    def __init__(self, books: Books, sessions: Sessions, link: Link) -> None:
        self._books = books
        self._sessions = sessions
        self._link = link

    def login(self, request: Request) -> Response:
        """``/wp-login.php``."""
        if request.method == "POST":
            user = self._sessions.prove(request.form.get("log", ""), request.form.get("pwd", ""))
            if user:
                wanted = request.form.get("redirect_to", "")
                target = wanted if wanted.startswith(f"{self._books.home}/") else f"{self._books.home}/wp-admin/"
                return self._sessions.begin(redirect(target), user, request)
        wrong = '<div id="login_error">Error: unknown username or password.</div>' if request.method == "POST" else ""
        target = escape(request.values.get("redirect_to", ""))
        return page(
            "Log In",
            f"""{wrong}<form id="loginform" method="post"><p><label for="user_login">Username or Email Address</label>
            <input type="text" name="log" id="user_login"></p>
            <p><label for="user_pass">Password</label><input type="password" name="pwd" id="user_pass"></p>
            <input type="hidden" name="redirect_to" value="{target}">
            <input type="submit" id="wp-submit" value="Log In"></form>""",
        )

    def answer(self, request: Request, path: str) -> Response:
        """Everything below ``/wp-admin/``."""
        user = self._sessions.user(request)
        if user is None:
            wanted = f"{self._books.home}{path}?{request.query_string.decode()}"
            return redirect(f"{self._books.home}/wp-login.php?{urlencode({'redirect_to': wanted})}")
        if not user.manages:
            return death("Sorry, you are not allowed to access this page.", "WordPress", 403)
        if self._books.habits.plugin and request.args.get("page") == "tillwire":
            return self._plugin(user, press=request.method == "POST")
        if self._books.habits.woocommerce and KEYS.items() <= request.args.to_dict().items():
            return self._keys(request, user)
        return page("Dashboard", "<p>Howdy.</p>")

    # WooCommerce > Settings > Advanced > REST API

    def keys_url(self, **more: str) -> str:
        return f"{self._books.home}/wp-admin/admin.php?{urlencode(KEYS | more)}"

    def _keys(self, request: Request, user: User) -> Response:
        nonce = self._books.token("keys", user.login)
        if "revoke-key" in request.args and request.args.get("_wpnonce") == nonce:
            self._books.keys.pop(int(request.args["revoke-key"]), None)
            return redirect(self.keys_url())
        if request.method == "POST" and request.form.get("_wpnonce") == nonce:
            return self._made(request, user)
        if "create-key" in request.args:
            return self._form(nonce)
        with self._books.lock:
            rows = "".join(self._row(key, nonce) for key in self._books.keys.values())
        return page(
            "REST API",
            f'<a class="page-title-action" href="{escape(self.keys_url(**{"create-key": "1"}))}">Add key</a>'
            f'<table class="apikeys">{rows}</table>',
        )

    def _row(self, key: Key, nonce: str) -> str:
        revoke = escape(self.keys_url(**{"revoke-key": str(key.id), "_wpnonce": nonce}))
        return (
            f"<tr><td>{escape(key.description)}</td><td>&hellip;{key.consumer_key[-7:]}</td>"
            f'<td>{escape(key.login)}</td><td>{SCOPES[key.permissions]}</td><td><a href="{revoke}">Revoke</a></td></tr>'
        )

    def _form(self, nonce: str) -> Response:
        users = "".join(f"<option>{escape(user.login)}</option>" for user in self._books.users.values())
        scopes = "".join(f'<option value="{scope}">{title}</option>' for scope, title in SCOPES.items())
        return page(
            "Key details",
            f"""<form method="post" action="{escape(self.keys_url())}">
            <p><label for="key_description">Description</label>
            <input type="text" name="key_description" id="key_description"></p>
            <p><label for="key_user">User</label><select name="key_user" id="key_user">{users}</select></p>
            <p><label for="key_permissions">Permissions</label>
            <select name="key_permissions" id="key_permissions">{scopes}</select></p>
            <input type="hidden" name="_wpnonce" value="{nonce}">
            <button type="submit" id="update_api_key">Generate API key</button></form>""",
        )

    def _made(self, request: Request, user: User) -> Response:
        """The one page on which the key and its secret are ever shown."""
        login = request.form.get("key_user", user.login)
        scope = request.form.get("key_permissions", "read")
        if login not in self._books.users or scope not in SCOPES:
            return death("You do not have permission to assign API Keys to the selected user.", "WordPress", 403)
        key = self._books.make_key(login, request.form.get("key_description", ""), scope)
        return page(
            "Key details",
            f"""<p>API Key generated successfully. Make sure to copy your new keys now as the secret key will be
            hidden once you leave this page.</p>
            <p><label for="key_consumer_key">Consumer key</label>
            <input type="text" id="key_consumer_key" readonly value="{key.consumer_key}"></p>
            <p><label for="key_consumer_secret">Consumer secret</label>
            <input type="text" id="key_consumer_secret" readonly value="{key.consumer_secret}"></p>""",
        )

    # Tillwire's own plugin

    def _plugin(self, user: User, *, press: bool) -> Response:
        """A page with one button, which opens Tillwire's pages by a link signed for this moment and person."""
        if self._link.key is None:
            return page("Tillwire", "<p>Connect this store in Tillwire first.</p>")
        if press:
            return redirect(self._link.url(self._link.sign(user.id)))
        return page(
            "Tillwire", '<form method="post"><button type="submit" id="tillwire-open">Open Tillwire</button></form>'
        )
