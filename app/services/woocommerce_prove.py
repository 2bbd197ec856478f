"""Prove a store's keys by using them, and connect the shop.

A process that dies leaves an attempt that `prove_due` takes up. Two that prove the same keys at once both ask the
store, which changes nothing there, and one conditional update decides which of them connects the shop.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.metrics import CONNECTS
from app.models import ConnectAttempt, Connection, ConnectionState, Endpoint, Shop
from app.services import accounts, audit, configure, connections
from app.services.errors import Wrong
from app.services.said import mark
from app.services.secrets import Locked
from app.services.store_troubles import why_not
from app.services.stores import Stores, found_at, try_keys
from app.services.woocommerce_check import PLATFORM, check
from app.services.woocommerce_hooks import TOPICS
from app.services.woocommerce_moved import moved_here
from connectors.woocommerce.answers import StoreError, StoreUnavailable

log = logging.getLogger(__name__)

SCOPE = "read_write"
PATIENCE = timedelta(minutes=1)  #: how long the browser has to come back before the worker proves by itself
LONGEST_WAIT = timedelta(hours=1)  #: between two questions to a store that does not answer
WITHIN = 60.0  #: seconds for one attempt of many; the check of a store that is slower follows by itself
GIVE_UP = timedelta(days=1)  #: how long keys of a store that does not answer are kept
REMEMBERED = timedelta(days=30)
CHECK_SOON = timedelta(minutes=2)  #: should the process die before it made the webhooks
MOST = 20  #: attempts proved in one round
KEY, SECRET = re.compile(r"ck_[0-9a-f]{40}"), re.compile(r"cs_[0-9a-f]{40}")

Keys = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What a store took."""

    url: str
    keys: Keys = field(repr=False)
    auth: str
    account_id: int  #: whose keys they are
    moved: int | None  #: the account's shop that this store was at another address


def prove(stores: Stores, attempt_id: int, now: datetime) -> int | None:
    """Call the attempt's own address with the keys; connect the shop if it takes them, and return its id.

    Harmless when the keys are not here yet or the attempt is finished. A store that does not answer is asked again.
    """
    with stores.db.read() as session:
        attempt = session.get(ConnectAttempt, attempt_id)
    if attempt is None or attempt.finished_at or attempt.secrets is None or attempt.account_id is None:
        return None
    keys = stores.vault.open(attempt.secrets)
    try:
        auth = try_keys(stores, attempt.address, keys)
        moved = moved_here(stores, attempt.address, keys, auth, attempt.account_id)
    except StoreError as error:
        if isinstance(error, StoreUnavailable) and attempt.delivered_at and attempt.delivered_at > now - GIVE_UP:
            _wait(stores, attempt_id, now, now - attempt.delivered_at)
        else:
            _give_up(stores, attempt_id, now, error)
        return None
    proved = Proved(url=attempt.address, keys=keys, auth=auth, account_id=attempt.account_id, moved=moved)
    return _connect(stores, proved, now, attempt_id=attempt_id)


def prove_due(stores: Stores, now: datetime) -> int:
    """Prove keys whose browser never came back, forget attempts long past; return how many were looked at."""
    due = or_(ConnectAttempt.prove_at.is_(None), ConnectAttempt.prove_at <= now)
    with stores.db.read() as session:
        waiting = session.scalars(
            select(ConnectAttempt.id)
            .where(
                ConnectAttempt.platform == PLATFORM,
                ConnectAttempt.finished_at.is_(None),
                ConnectAttempt.delivered_at < now - PATIENCE,
                due,
            )
            .order_by(ConnectAttempt.delivered_at)
            .limit(MOST)
        ).all()
    for attempt_id in waiting:
        try:
            prove(stores.hurried(WITHIN), attempt_id, now)
        except Exception as error:  # the others' keys may well be proved
            log.error("the keys of attempt %d: %s", attempt_id, error, exc_info=not isinstance(error, Locked))
            _wait(stores, attempt_id, now, LONGEST_WAIT)
    with stores.db.write() as session:
        old = (ConnectAttempt.platform == PLATFORM) & (ConnectAttempt.created_at < now - REMEMBERED)
        session.execute(delete(ConnectAttempt).where(old), execution_options={"synchronize_session": False})
    return len(waiting)


def _wait(stores: Stores, attempt_id: int, now: datetime, rest: timedelta) -> None:
    """Ask again after ``rest``, the longer the longer it lasts."""
    prove_at = now + min(max(rest, PATIENCE), LONGEST_WAIT)
    with stores.db.write() as session:
        session.execute(
            update(ConnectAttempt).where(ConnectAttempt.id == attempt_id).values(prove_at=prove_at),
            execution_options={"synchronize_session": False},
        )


def by_hand(stores: Stores, account_id: int, address: str, key: str, secret: str, now: datetime) -> int:
    """Connect with keys that the merchant made in the store and typed here; return the shop's id.

    Raises:
        Wrong: no store, no keys, or the store does not take them; the text says what to do.
    """
    keys = {"consumer_key": key.strip(), "consumer_secret": secret.strip()}
    if not (KEY.fullmatch(keys["consumer_key"]) and SECRET.fullmatch(keys["consumer_secret"])):
        raise Wrong(
            mark("The key begins with ck_, the secret with cs_, each with 40 characters behind it: copy them again")
        )
    url = found_at(stores, address)
    try:
        auth = try_keys(stores, url, keys)
        moved = moved_here(stores, url, keys, auth, account_id)
    except StoreError as error:
        log.info("keys that were typed in were not proved: %s", error)
        CONNECTS.labels(PLATFORM, "not proved").inc()
        raise Wrong(f"{why_not(error)} " + mark("Nothing was changed.")) from None
    proved = Proved(url=url, keys=keys, auth=auth, account_id=account_id, moved=moved)
    shop_id = _connect(stores, proved, now, attempt_id=None)
    if shop_id is None:
        raise AssertionError("without an attempt there is nothing to lose a race for")
    return shop_id


def finish(
    session: Session, attempt_id: int, now: datetime, *, error: str | None = None, shop_id: int | None = None
) -> bool:
    """Use the attempt up and forget its keys; False where somebody did so before."""
    finished = session.execute(
        update(ConnectAttempt)
        .where(ConnectAttempt.id == attempt_id, ConnectAttempt.finished_at.is_(None))
        .values(finished_at=now, secrets=None, error=error, shop_id=shop_id)
        .execution_options(synchronize_session=False)
    )
    return bool(finished.rowcount)  # type: ignore[attr-defined]


def _give_up(stores: Stores, attempt_id: int, now: datetime, error: StoreError) -> None:
    log.info("a store's keys were not proved: %s", error)
    with stores.db.write() as session:
        finished = finish(session, attempt_id, now, error=f"{why_not(error)} " + mark("Nothing was changed."))
    if finished:
        CONNECTS.labels(PLATFORM, "not proved").inc()


def _connect(stores: Stores, proved: Proved, now: datetime, *, attempt_id: int | None) -> int | None:
    """Write the proved connection, then make its webhooks; None where another process did so with these keys."""
    try:
        shop_id = _write(stores, proved, now, attempt_id)
    except IntegrityError:  # the same new store, connected by somebody else in this moment: it is there now
        shop_id = _write(stores, replace(proved, moved=None), now, attempt_id)
    if shop_id is None:
        return None
    CONNECTS.labels(PLATFORM, "connected").inc()
    check(stores, shop_id, now)
    return shop_id


def _write(stores: Stores, proved: Proved, now: datetime, attempt_id: int | None) -> int | None:
    with stores.db.write() as session:
        if attempt_id is not None and not finish(session, attempt_id, now):
            return None
        shop = _shop(session, proved)
        if attempt_id is not None:
            session.execute(
                update(ConnectAttempt).where(ConnectAttempt.id == attempt_id).values(shop_id=shop.id),
                execution_options={"synchronize_session": False},
            )
        before = _install(session, shop, proved, stores.vault.close(proved.keys), now)
        accounts.join(session, proved.account_id, shop.id, now)
        audit.record(
            session,
            shop_id=shop.id,
            actor=f"account:{proved.account_id}",
            action="connect store",
            before=before,
            after={
                **{"state": str(ConnectionState.CONNECTED), "address": proved.url},
                **{"keys": "set", "auth": proved.auth},
            },
        )
        return shop.id


def _shop(session: Session, proved: Proved) -> Shop:
    moved = session.get(Shop, proved.moved) if proved.moved else None
    if moved is None:
        return configure.add_shop(session, PLATFORM, proved.url)
    configure.move_shop(moved, proved.url)
    session.flush()
    return moved


def _install(session: Session, shop: Shop, proved: Proved, sealed: str | None, now: datetime) -> dict[str, Any] | None:
    """Put the connection in place, with webhooks still to be made; return what was there before, for the trail."""
    connection = session.get(Connection, shop.id, with_for_update=True)
    before = None
    if connection is None:
        connection = Connection(shop_id=shop.id, generation=0)
        session.add(connection)
    else:
        before = {"state": connection.state, "keys": "set" if connection.secrets else "not set"}
    shop.url, shop.trouble = proved.url, None
    connection.state, connection.trouble = ConnectionState.CONNECTED, None
    connection.secrets, connection.auth, connection.scopes = sealed, proved.auth, [SCOPE]
    connections.install(connection, now)
    connection.ended_at, connection.check_at = None, now + CHECK_SOON
    # A webhook is built with the rights of whoever made it: with other keys, all are made anew.
    session.execute(
        update(Endpoint)
        .where(Endpoint.shop_id == shop.id, Endpoint.retired_at.is_(None), Endpoint.topic.in_(TOPICS))
        .values(retired_at=now)
        .execution_options(synchronize_session=False)
    )
    return before
