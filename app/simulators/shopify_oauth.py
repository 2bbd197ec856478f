"""The simulated Shopify's OAuth endpoints: token exchange, refresh, and the authorization code grant.

Sources: shopify.dev/docs/apps/build/authentication-authorization (token exchange, ID tokens, authorization code grant),
shopify.dev/docs/apps/build/security/credentials-and-data/use-expiring-offline-access-tokens. The statuses beside the
documented error words are those of RFC 6749. Not published, so assumed: an older access token lives on after a refresh,
and of two replacements of one refresh token the first to be used ends the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import jwt
from werkzeug import Request, Response

from app.simulators.shopify_state import JSON, Shop, State

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105
OFFLINE = "urn:shopify:params:oauth:token-type:offline-access-token"
CLAIMS = ("iss", "dest", "aud", "sub", "exp", "nbf", "iat", "jti", "sid")
ID_TOKEN_LIFE = 60  # seconds
LEEWAY = 5


class OAuthError(Exception):
    """Ends a token request with the documented error word."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.response = Response(
            json.dumps({"error": error, "error_description": description}),
            401 if error == "invalid_client" else 400,
            content_type="application/json",
        )


def make_id_token(state: State, shop: Shop, user_id: int, *, secret: str | None, age: float, claims: JSON) -> str:
    """An ID token as App Bridge hands it out; ``claims`` replace its own, None takes one away.

    Args:
        secret: sign with this one, in place of the app's.
        age: seconds since it was issued.
    """
    issued = int(state.clock() - age)
    made: JSON = {
        "iss": f"https://{shop.domain}/admin",
        "dest": f"https://{shop.domain}",
        "aud": state.client_id,
        "sub": str(user_id),
        "exp": issued + ID_TOKEN_LIFE,
        "nbf": issued,
        "iat": issued,
        "jti": str(uuid.uuid4()),
        "sid": secrets.token_hex(32),
    }
    made = {name: value for name, value in (made | claims).items() if value is not None}
    return jwt.encode(made, secret or state.signing_secret(), algorithm="HS256")


def query_hmac(parameters: Mapping[str, str], secret: str) -> str:
    """The ``hmac`` of a page load or an OAuth callback: hex, over the other parameters, sorted."""
    message = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()) if name != "hmac")
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()


def host_parameter(shop: Shop) -> str:
    return base64.b64encode(f"admin.shopify.com/store/{shop.handle}".encode()).decode().rstrip("=")


class OAuth:
    def __init__(self, state: State, redirect_urls: list[str]) -> None:
        self.state = state
        self.redirect_urls = redirect_urls

    # Tokens

    def access_token(self, request: Request, shop: Shop) -> Response:
        """``POST /admin/oauth/access_token``."""
        if request.method != "POST":
            return Response(status=405)
        try:
            with self.state.lock:
                answer = self._grant(self._fields(request, shop), shop, request.path)
        except OAuthError as error:
            return error.response
        return Response(json.dumps(answer), content_type="application/json")

    def _fields(self, request: Request, shop: Shop) -> JSON:
        if {"client_secret", "subject_token", "refresh_token"} & request.args.keys():
            self.state.breach("secrets stand in the query of a token request", shop=shop.domain, path=request.path)
        if request.mimetype == "application/x-www-form-urlencoded":
            return dict(request.form)
        try:
            fields = json.loads(request.get_data())
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise OAuthError("invalid_request", "The request body is neither a form nor a JSON object")
        return fields

    def _grant(self, fields: JSON, shop: Shop, path: str) -> JSON:
        secret = fields.get("client_secret")
        if fields.get("client_id") != self.state.client_id or secret not in self.state.secrets:
            raise OAuthError("invalid_client", "Client authentication failed")
        if not shop.installed:
            raise OAuthError("invalid_client", "The app is not installed on this shop")
        if "code" in fields:
            return self._code(fields, shop, path, secret)
        if fields.get("grant_type") == "refresh_token":
            return self._refresh(fields, shop, path, secret)
        if fields.get("grant_type") == EXCHANGE:
            return self._exchange(fields, shop, path, secret)
        raise OAuthError("invalid_request", "grant_type is missing or not supported")

    def _exchange(self, fields: JSON, shop: Shop, path: str, secret: str) -> JSON:
        if fields.get("requested_token_type") != OFFLINE:
            raise OAuthError("invalid_request", "requested_token_type is missing or not supported")
        subject = fields.get("subject_token")
        if fields.get("subject_token_type") == OFFLINE:
            return self._migrate(subject, fields, shop, secret)
        if fields.get("subject_token_type") != ID_TOKEN:
            raise OAuthError("invalid_request", "subject_token_type is missing or not supported")
        trouble = self._id_token_trouble(subject, shop)
        if trouble:
            raise OAuthError("invalid_subject_token", trouble)
        return self._mint(fields, shop, path, secret)

    def _mint(self, fields: JSON, shop: Shop, path: str, secret: str) -> JSON:
        expiring = str(fields.get("expiring", "")) == "1"
        if not expiring:
            self.state.breach("a token that never expires was asked for", shop=shop.domain, path=path)
        return self.state.mint(shop, secret, expiring=expiring)

    def _id_token_trouble(self, token: Any, shop: Shop) -> str | None:
        """What is wrong with an ID token; None where nothing is."""
        claims = self._claims(token)
        if claims is None:
            return "The ID token's signature is not valid"
        missing = [name for name in CLAIMS if name not in claims]
        if missing:
            return f"The ID token has no {', '.join(missing)}"
        now = self.state.clock()
        wrong = (
            claims["aud"] != self.state.client_id
            or claims["dest"] != f"https://{shop.domain}"
            or claims["iss"] != f"https://{shop.domain}/admin"
        )
        if wrong:
            return "The ID token was issued for another app or shop"
        late = now >= claims["exp"] + LEEWAY or now > claims["iat"] + ID_TOKEN_LIFE + LEEWAY
        if late or now + LEEWAY < claims["nbf"]:
            return "The ID token is not valid at this time"
        return None

    def _claims(self, token: Any) -> JSON | None:
        """The claims, where the signature is right; their times are for the platform's own clock to judge."""
        for secret in self.state.secrets:
            try:
                claims = json.loads(jwt.api_jws.decode(str(token), secret, algorithms=["HS256"]))
            except (jwt.PyJWTError, ValueError):
                continue
            return claims if isinstance(claims, dict) else None
        return None

    def _migrate(self, subject: Any, fields: JSON, shop: Shop, secret: str) -> JSON:
        """One way only: the old token ends."""
        token = self.state.access.get(str(subject))
        if token is None or token.expires_at is not None or not self.state.living(token, shop):
            raise OAuthError("invalid_subject_token", "The access token cannot be exchanged")
        if str(fields.get("expiring", "")) != "1":
            raise OAuthError("invalid_request", "Only an expiring token can be asked for")
        del self.state.access[str(subject)]
        return self.state.mint(shop, secret, expiring=True)

    def _refresh(self, fields: JSON, shop: Shop, path: str, secret: str) -> JSON:
        token = str(fields.get("refresh_token"))
        if not self.state.refreshable(token, shop):
            self.state.refused_token(token, shop.domain, path, "a dead refresh token")
            raise OAuthError("invalid_grant", "The refresh token is expired, revoked or unknown")
        return self.state.use_refresh(token, shop, secret)

    # The authorization code grant

    def _code(self, fields: JSON, shop: Shop, path: str, secret: str) -> JSON:
        if self.state.codes.pop(str(fields["code"]), None) != (shop.domain, shop.installs):
            raise OAuthError("invalid_request", "The authorization code was not found or was already used")
        return self._mint(fields, shop, path, secret)

    def authorize_trouble(self, request: Request, shop: Shop) -> str | None:
        """What is wrong with a request for the grant page; None where nothing is."""
        asked, state = request.values, self.state
        if asked.get("client_id") != state.client_id:
            return "Oauth error invalid_request: Could not find Shopify API application with api_key"
        if asked.get("redirect_uri") not in self.redirect_urls:
            state.breach("redirect_uri is not one of the app's", shop=shop.domain, path=request.path)
            return "Oauth error invalid_request: The redirect_uri is not whitelisted"
        if len(asked.get("state", "")) < 16:
            state.breach("state is missing or easily guessed", shop=shop.domain, path=request.path)
        return None

    def callback(self, shop: Shop, redirect_uri: str, state: str) -> str:
        """Where the browser goes once the app is installed."""
        code = secrets.token_hex(16)
        self.state.codes[code] = (shop.domain, shop.installs)
        parameters = {
            "code": code,
            "host": host_parameter(shop),
            "shop": shop.domain,
            "state": state,
            "timestamp": str(int(self.state.clock())),
        }
        parameters["hmac"] = query_hmac(parameters, self.state.signing_secret())
        return f"{redirect_uri}?{urlencode(parameters)}"
