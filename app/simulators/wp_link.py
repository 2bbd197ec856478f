"""Tillwire's own WordPress plugin, as far as a simulated store needs it: it is given a key and signs sign-in links."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt

from app.simulators.wp_books import Books, RestError

LIFETIME = 60  # seconds that a link is good for, at most
SHORTEST = 32  # characters of a secret: as long as the hash that signs with it


class Link:
    def __init__(self, books: Books) -> None:
        self._books = books
        self.key: dict[str, str] | None = None  #: ``kid``, ``secret`` and ``aud`` as Tillwire sent them

    def keep(self, params: Mapping[str, Any], call: dict[str, Any]) -> dict[str, str]:
        """Store the key that Tillwire gives the store; a later one takes its place.

        Raises:
            RestError: 400 for a key that could not sign.
        """
        given = {name: params.get(name) for name in ("kid", "secret", "aud")}
        missing = [name for name, value in given.items() if not isinstance(value, str) or not value]
        if missing:
            message = f"Missing parameter(s): {', '.join(missing)}"
            raise RestError("rest_missing_callback_param", message, 400, params=missing)
        key = {name: str(value) for name, value in given.items()}
        if len(key["secret"]) < SHORTEST:
            self._books.violation(call, f"a link key's secret has at least {SHORTEST} characters")
        if urlsplit(key["aud"]).scheme not in ("http", "https"):
            raise RestError("rest_invalid_param", "Invalid parameter(s): aud", 400)
        with self._books.lock:
            self.key = key
        return {"kid": key["kid"]}

    def sign(self, user_id: int, **changed: Any) -> str:
        """A sign-in token for a WordPress user: HS256, ``kid`` in its header.

        Args:
            changed: claims in place of the usual ones, for forged and late links; None leaves one out.

        Raises:
            LookupError: no key was given yet.
        """
        if self.key is None:
            raise LookupError("the plugin was never given a key")
        now = int(self._books.clock())
        claims = {
            "iss": self._books.home,
            "aud": self.key["aud"],
            "sub": str(user_id),
            "iat": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_urlsafe(16),
        } | changed
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, self.key["secret"], algorithm="HS256", headers={"kid": self.key["kid"]})

    def url(self, token: str) -> str:
        """Where the browser is sent with the token.

        Raises:
            LookupError: no key was given yet.
        """
        if self.key is None:
            raise LookupError("the plugin was never given a key")
        return f"{self.key['aud'].rstrip('/')}/sign-in/wordpress?{urlencode({'token': token})}"
