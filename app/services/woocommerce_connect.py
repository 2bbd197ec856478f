"""Connect a WooCommerce store: walk the merchant there, and take the keys that the store sends.

What comes back from outside is only believed as far as it was bound before: the state names the attempt, the attempt
names account and address, and keys count once the store at that very address took them (`woocommerce_prove`).

Source: developer.woocommerce.com/docs/apis/rest-api/authentication/ ("auto-generating API keys").
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.metrics import CONNECTS
from app.models import Account, ConnectAttempt, Connection
from app.services.errors import Failed, NotFound
from app.services.said import mark
from app.services.stores import Stores, found_at
from app.services.woocommerce_check import PLATFORM
from app.services.woocommerce_prove import KEY, SCOPE, SECRET, Keys, finish, prove
from connectors.errors import Unreadable
from connectors.reading import parse

LIFETIME = timedelta(minutes=30)  #: from the form to the keys' arrival
LARGEST_CALLBACK = 8 * 1024  #: bytes; WooCommerce's is below 300
_STATE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Where a merchant is sent; ``address`` may be another than was typed."""

    address: str
    authorize: str  #: the store's page that asks for approval; holds the state


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What the page after the walk shows. ``shop_id`` once connected, ``error`` if it came to nothing."""

    id: int
    address: str
    shop_id: int | None
    error: str | None
    delivered: bool  #: the keys are here, at least


# --- the walk there ---------------------------------------------------------------------------------------------------


def begin(stores: Stores, account_id: int, address: str, now: datetime) -> Walk:
    """Look at the address and say where to send the merchant's browser.

    Raises:
        Wrong: no address, or no store that can be connected; the text says what to do. It never says whether the
            store is known here.
        Failed: we have no address of our own to be called back at.
    """
    if not stores.public_url:
        raise Failed("PUBLIC_URL is not set: a store would not know where to send its keys")
    url = found_at(stores, address)
    state = secrets.token_urlsafe(32)
    with stores.db.write() as session:
        email = session.scalars(select(Account.email).where(Account.id == account_id)).one()
        session.add(
            ConnectAttempt(
                state_hash=_hash(state),
                platform=PLATFORM,
                address=url,
                account_id=account_id,
                created_at=now,
                expires_at=now + LIFETIME,
            )
        )
    CONNECTS.labels(PLATFORM, "begun").inc()
    query = {
        # Shown by the store before anything is approved: whoever was sent here by somebody else sees for whom it is.
        "app_name": f"Tillwire ({email})",
        "scope": SCOPE,
        "user_id": state,
        "return_url": f"{stores.public_url}/connect/woocommerce/return",
        "callback_url": f"{stores.public_url}/connect/woocommerce/callback",
    }
    return Walk(address=url, authorize=f"{url}/wc-auth/v1/authorize?{urlencode(query)}")


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


# --- the store's callback ---------------------------------------------------------------------------------------------


def take_keys(stores: Stores, body: bytes, now: datetime) -> bool:
    """Keep the keys that a store sends; False if they are not for a living attempt. Calls nobody.

    The store deletes the key again unless it gets exactly 200, so a repeat of what was kept is as good as the first.
    """
    try:
        state, keys = _read_callback(body)
        sealed = stores.vault.close(keys)
        with stores.db.write() as session:
            taken = _keep(session, state, sealed, now) or _kept(stores, session, state, keys)
    except Unreadable:
        taken = False
    CONNECTS.labels(PLATFORM, "keys taken" if taken else "keys refused").inc()
    return taken


def _read_callback(body: bytes) -> tuple[str, Keys]:
    """Source: WC_Auth::post_consumer_data; there is no signature and no address in it."""
    if len(body) > LARGEST_CALLBACK:
        raise Unreadable("$: too large")
    content = parse(body)
    state, permissions = content["user_id"].text(), content["key_permissions"].text()
    key, secret = content["consumer_key"].text(), content["consumer_secret"].text()
    if permissions != SCOPE or not (_STATE.fullmatch(state) and KEY.fullmatch(key) and SECRET.fullmatch(secret)):
        raise Unreadable("$: not what a store sends")
    return state, {"consumer_key": key, "consumer_secret": secret}


def _keep(session: Session, state: str, sealed: str | None, now: datetime) -> bool:
    kept = session.execute(
        update(ConnectAttempt)
        .where(
            ConnectAttempt.state_hash == _hash(state),
            ConnectAttempt.platform == PLATFORM,
            ConnectAttempt.delivered_at.is_(None),
            ConnectAttempt.finished_at.is_(None),
            ConnectAttempt.expires_at > now,
        )
        .values(secrets=sealed, delivered_at=now)
        .execution_options(synchronize_session=False)
    )
    return bool(kept.rowcount)  # type: ignore[attr-defined]


def _kept(stores: Stores, session: Session, state: str, keys: Keys) -> bool:
    """Whether these very keys came before, and were not refused since."""
    attempt = session.scalar(select(ConnectAttempt).where(ConnectAttempt.state_hash == _hash(state)))
    if attempt is None:
        return False
    sealed = attempt.secrets
    if attempt.shop_id is not None and (connection := session.get(Connection, attempt.shop_id)):
        sealed = connection.secrets
    known = stores.vault.open(sealed)
    return all(hmac.compare_digest(known.get(name, ""), value) for name, value in keys.items())


# --- the return -------------------------------------------------------------------------------------------------------


def come_back(stores: Stores, account_id: int, state: str, *, refused: bool, now: datetime) -> Attempt:
    """What became of the walk that this state stands for; proves the keys if they are here.

    Raises:
        NotFound: an unknown state, or one that another account began; then it is used up, for whoever approved at
            the store did so for somebody else.
    """
    with stores.db.write() as session:
        attempt = session.scalar(
            select(ConnectAttempt).where(ConnectAttempt.state_hash == _hash(state), ConnectAttempt.platform == PLATFORM)
        )
        if attempt is None:
            raise NotFound(_NO_ATTEMPT)
        attempt_id, mine = attempt.id, attempt.account_id == account_id
        if not mine:
            finish(session, attempt_id, now, error=mark("It was approved in the browser of another account."))
        elif refused and attempt.delivered_at is None:
            finish(session, attempt_id, now, error=mark("You did not approve it in your store. Nothing was changed."))
    if not mine:
        raise NotFound(_NO_ATTEMPT)
    prove(stores, attempt_id, now)
    return look(stores, account_id, attempt_id)


_NO_ATTEMPT = mark("This connection was begun elsewhere or too long ago. Nothing was changed; begin again.")


def look_again(stores: Stores, account_id: int, attempt_id: int, now: datetime) -> Attempt:
    """As `look`, after another try to prove the keys."""
    if look(stores, account_id, attempt_id).delivered:
        prove(stores, attempt_id, now)
    return look(stores, account_id, attempt_id)


def look(stores: Stores, account_id: int, attempt_id: int) -> Attempt:
    """An account's own attempt; raises `NotFound` for any other."""
    with stores.db.read() as session:
        row = session.get(ConnectAttempt, attempt_id)
        if row is None or row.account_id != account_id or row.platform != PLATFORM:
            raise NotFound(_NO_ATTEMPT)
        return Attempt(
            id=row.id,
            address=row.address,
            shop_id=row.shop_id,
            error=row.error,
            delivered=row.delivered_at is not None,
        )
