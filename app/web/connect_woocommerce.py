"""Connect a WooCommerce store: the form, the store's callback, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, abort, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.services import woocommerce_connect
from app.services.errors import Wrong
from app.services.stores import Stores, address_of
from app.services.woocommerce_prove import by_hand
from app.web import guard, limits
from app.web.access import page_url
from app.web.limits import limiter

bp = Blueprint("connect_woocommerce", __name__)

WAIT = 20.0  #: seconds that a browser waits for a store
WAIT_MORE = 8.0
CALLBACK = "connect_woocommerce.callback"


@bp.before_request
def _prove() -> ResponseReturnValue | None:
    """Only an account can gain a store; the callback comes from a store's server and proves itself by its state."""
    if request.endpoint == CALLBACK:
        return None
    answer = guard.prove()
    if answer is None and g.access.account_id is None:
        abort(404)
    return answer


@bp.after_request
def _dress(response: Response) -> Response:
    if request.endpoint == CALLBACK:
        return response
    # The answer to the form leads to the store, and browsers count that as where the form leads.
    schemes = "'self' https: http:" if _stores().allow_private else "'self' https:"
    response.headers["Content-Security-Policy"] = guard.policy(form_action=schemes)
    return guard.dress(response)


@bp.get("/connect/woocommerce")
def form() -> ResponseReturnValue:
    return render_template("connect/form.html")


@bp.post("/connect/woocommerce")
@limiter.limit(limits.CONNECT)
def begin() -> ResponseReturnValue:
    stores, typed = _stores(), request.form.get("address", "")
    try:
        walk = woocommerce_connect.begin(stores.hurried(WAIT), g.access.account_id, typed, datetime.now(UTC))
    except Wrong as error:
        return render_template("connect/form.html", address=typed, error=str(error)), 400
    if walk.address == address_of(typed, allow_private=stores.allow_private):
        return redirect(walk.authorize, 303)
    return render_template("connect/moved.html", walk=walk)


@bp.post("/connect/woocommerce/callback", provide_automatic_options=False)
@limiter.limit(limits.CALLBACK)
def callback() -> ResponseReturnValue:
    """Where a store's server brings its keys. Anything but 200 makes the store delete them again."""
    request.max_content_length = woocommerce_connect.LARGEST_CALLBACK
    taken = woocommerce_connect.take_keys(_stores(), request.get_data(cache=False), datetime.now(UTC))
    return ({"status": "taken"}, 200) if taken else ({"status": "refused"}, 400)


@bp.get("/connect/woocommerce/return")
@limiter.limit(limits.CONNECT)
def come_back() -> ResponseReturnValue:
    """Leads on at once: the state has done its work and leaves the address bar."""
    attempt = woocommerce_connect.come_back(
        _stores().hurried(WAIT),
        g.access.account_id,
        request.args.get("user_id", ""),
        refused=request.args.get("success") != "1",
        now=datetime.now(UTC),
    )
    return redirect(url_for("connect_woocommerce.attempt", attempt_id=attempt.id), 303)


@bp.get(f"/connect/woocommerce/attempts/<int(max={2**63 - 1}):attempt_id>")  # what a database can look for
@limiter.limit(limits.LOOK)
def attempt(attempt_id: int) -> ResponseReturnValue:
    """How it went; looks again by itself while the keys are on their way or the store does not answer."""
    account_id = g.access.account_id
    found = woocommerce_connect.look_again(_stores().hurried(WAIT_MORE), account_id, attempt_id, datetime.now(UTC))
    if found.shop_id is not None:
        return redirect(page_url("overview.show", shop_id=found.shop_id), 303)
    if found.error is not None:
        return render_template("connect/failed.html", attempt=found)
    return render_template("connect/waiting.html", attempt=found)


@bp.get("/connect/woocommerce/manual")
def manual() -> ResponseReturnValue:
    typed = request.args.get("address", "")
    if not typed:
        return render_template("connect/manual.html", address="", keys_url=None)
    try:
        return render_template("connect/manual.html", address=typed, keys_url=_keys_url(typed))
    except Wrong as error:
        return render_template("connect/manual.html", address=typed, keys_url=None, error=str(error)), 400


@bp.post("/connect/woocommerce/manual")
@limiter.limit(limits.CONNECT)
def connect_by_hand() -> ResponseReturnValue:
    """The typed secret is never shown again, also not when something else was wrong."""
    typed, key, secret = (request.form.get(name, "") for name in ("address", "key", "secret"))
    try:
        keys_url = _keys_url(typed)
    except Wrong as error:
        return render_template("connect/manual.html", address=typed, keys_url=None, error=str(error)), 400
    try:
        shop_id = by_hand(_stores().hurried(WAIT), g.access.account_id, typed, key, secret, datetime.now(UTC))
    except Wrong as error:
        return render_template("connect/manual.html", address=typed, keys_url=keys_url, error=str(error)), 400
    return redirect(page_url("overview.show", shop_id=shop_id), 303)


def _keys_url(typed: str) -> str:
    """The store's own page for making keys. Contacts nobody."""
    address = address_of(typed, allow_private=_stores().allow_private)
    return f"{address}/wp-admin/admin.php?page=wc-settings&tab=advanced&section=keys&create-key=1"


def _stores() -> Stores:
    stores: Stores = current_app.extensions["stores"]
    return stores
