"""What stands before and after every page that needs somebody: the proof of who asks, and the headers of the answer."""

from __future__ import annotations

from flask import Blueprint, Response, abort, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.web import access, refusals, shopify_app
from app.web.access import Access


def guard(blueprint: Blueprint) -> None:
    """Let nobody unknown see the pages of ``blueprint``."""
    access.guarded(blueprint.name)
    blueprint.before_request(prove)
    blueprint.after_request(dress)


def prove() -> ResponseReturnValue | None:
    """Put who asks into `flask.g.access`, or answer in their place."""
    found = who()
    if isinstance(found, Response):
        return found
    if found is None:
        if request.method != "GET" or access.bearer():
            abort(401)
        refusals.note(g.get("refusal") or refusals.SIGNED_OUT)
        return redirect(url_for("sign_in.form"), 303)
    g.access = found
    return None


def who() -> Access | Response | None:
    """Who asks, nobody, or what is to be answered so that Shopify's admin says who."""
    embedded = shopify_app.embedded_access()
    return embedded if embedded is not None else access.signed_in()


def policy(*, form_action: str = "'self'") -> str:
    """What a stand-alone page may load and do: nothing but ours.

    Args:
        form_action: where forms may lead, redirects of their answers included.
    """
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        f" form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
    )


def dress(response: Response) -> Response:
    """The headers of a page; a view may have set its own."""
    found: Access | None = g.get("access")
    if found and found.embedded:
        return shopify_app.dress_embedded(response)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("Content-Security-Policy", policy())
    return response
