"""Questions to one shop's admin, by GraphQL.

AdminError
├── AdminUnauthorized   401, also with a fresh token: the app was removed, or its tokens revoked
├── AdminForbidden      403: our address is not on the app's allowlist, or the token is of a kind that is refused
├── AdminUnavailable    no answer, throttled, 5xx: the same question may be answered later
└── AdminAnswer         errors in the answer, or an answer that is not what was asked for

No message holds a token or anything of the answer but codes. Source: shopify.dev/docs/api/admin-graphql
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx
from shopify_app import GQLResult, ShopifyApp

_CODE = re.compile(r"[A-Z_]{1,60}")
_FIELD = re.compile(r"[A-Za-z0-9_]{1,60}")
_VERSION: Final = "x-shopify-api-version"


class AdminError(Exception):
    """Base of what can go wrong when a shop's admin is asked."""


class AdminUnauthorized(AdminError):
    """The shop does not take our tokens; a person has to open the app again."""


class AdminForbidden(AdminError):
    """The shop knows us and refuses the call."""


class AdminUnavailable(AdminError):
    """No answer, or one that may be another later."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after  #: seconds, where Shopify said so or its cost tells


class AdminAnswer(AdminError):
    """Errors in the answer; ``data`` is what came beside them (fields that are not approved are null there)."""

    def __init__(
        self, text: str, codes: Sequence[str] = (), data: Mapping[str, Any] | None = None, fields: Sequence[str] = ()
    ) -> None:
        super().__init__(text)
        self.codes = tuple(codes)
        self.fields = tuple(fields)  #: what the errors are about, where they say so
        self.data = dict(data) if data else None


class Admin:
    """One shop's admin.

    Args:
        token: gives a living access token; told one that Shopify refused, it gives another.
    """

    def __init__(
        self,
        app: ShopifyApp,
        http: httpx.Client,
        domain: str,
        api_version: str,
        token: Callable[[str | None], str],
    ) -> None:
        self.domain = domain
        self._app = app
        self._http = http
        self._api_version = api_version
        self._token = token
        self.answered_version: str | None = None  #: the version that Shopify answered with, once it did
        self.refused: str | None = None  #: the token that Shopify refused last; a secret

    def __repr__(self) -> str:
        return f"Admin({self.domain!r})"

    def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """``data`` of the answer. After a 401 the token is refreshed and the question asked once more."""
        token = self._token(None)
        result = self._send(query, variables, token)
        if result.response.status == 401:
            self.refused, token = token, self._token(token)
            result = self._send(query, variables, token)
            if result.response.status == 401:
                self.refused = token
        self.answered_version = _header(result, _VERSION) or self.answered_version
        return _data(result)

    def _send(self, query: str, variables: Mapping[str, Any] | None, token: str) -> GQLResult:
        try:
            return self._app.admin_graphql_request(
                query,
                shop=self.domain.removesuffix(".myshopify.com"),
                access_token=token,
                api_version=self._api_version,
                variables=dict(variables) if variables else None,
                max_retries=0,  # its waits have no bound; whoever asks knows whether to wait
                http_client=self._http,
            )
        except (ValueError, AttributeError):  # an answer that is no JSON object; the package does not look
            raise AdminAnswer("an answer that is no JSON object") from None


def _data(result: GQLResult) -> dict[str, Any]:
    status = result.response.status
    if status == 0 or status == 429 or status >= 500:
        raise AdminUnavailable(f"no answer (status {status})", _seconds(_header(result, "retry-after")))
    if status == 401:
        raise AdminUnauthorized("Shopify does not take the token")
    if status == 403:
        raise AdminForbidden("Shopify refuses the call (403)")
    if not result.ok:
        raise _wrong(status, result.response.body)
    if not isinstance(result.data, dict):
        raise AdminAnswer("an answer without data")
    return result.data


def _wrong(status: int, body: str) -> AdminError:
    """What the errors of an answer mean; of their texts nothing is told, for they may quote what was asked."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    errors = answer.get("errors")
    errors = errors if isinstance(errors, list) else []
    codes = [_code(each) for each in errors]
    if "THROTTLED" in codes:
        return AdminUnavailable("throttled", _until_restored(answer))
    if "INTERNAL_SERVER_ERROR" in codes or "TIMEOUT" in codes:
        return AdminUnavailable("trouble at Shopify's")
    data = answer.get("data")
    told = ", ".join(sorted(set(codes))) or "no code"
    text, data = f"errors in the answer ({status}; {told})", data if isinstance(data, dict) else None
    return AdminAnswer(text, codes, data, list(filter(None, map(_field, errors))))


def _code(error: Any) -> str:
    extensions = error.get("extensions") if isinstance(error, dict) else None
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "UNKNOWN"


def _field(error: Any) -> str | None:
    """The field that an error is about, at the end of its path. Source: spec.graphql.org (response format, errors)"""
    path = error.get("path") if isinstance(error, dict) else None
    last = path[-1] if isinstance(path, list) and path else None
    return last if isinstance(last, str) and _FIELD.fullmatch(last) else None


def _until_restored(answer: Mapping[str, Any]) -> float | None:
    """Seconds until there are points enough. Source: shopify.dev/docs/api/usage/limits"""
    try:
        cost = answer["extensions"]["cost"]
        status = cost["throttleStatus"]
        missing = float(cost["requestedQueryCost"]) - float(status["currentlyAvailable"])
        return min(max(missing / float(status["restoreRate"]), 0.0), 60.0)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _header(result: GQLResult, name: str) -> str | None:
    """The package drops the headers of some answers, and keeps them in its log of the call."""
    for answer in (result.response, *(each.res for each in result.http_logs)):
        if name in answer.headers:
            return answer.headers[name]
    return None


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdecimal() and len(text) < 8 else None


def user_errors(answer: Any) -> list[str]:
    """The ``userErrors`` of a mutation, as field and text; a mutation that failed answers 200 with these alone."""
    errors = answer.get("userErrors") if isinstance(answer, dict) else None
    if not isinstance(errors, list):
        return ["the answer is not what Shopify documents"]
    return [_user_error(each) for each in errors]


def _user_error(error: Any) -> str:
    error = error if isinstance(error, dict) else {}
    fields = error.get("field")
    path = ".".join(str(each) for each in fields if _FIELD.fullmatch(str(each))) if isinstance(fields, list) else ""
    text = " ".join(str(error.get("message", "no reason given")).split())[:200]
    return f"{path}: {text}" if path else text
