"""Chores: webhooks about the shop and its people, worked off beside orders: uninstalls, scopes, privacy requests.

Each is carried out and closed in one transaction where it can be; an erasure goes in chunks before that, and may be
done again. A request that comes twice under other numbers is harmless: what is erased already has nothing left to
erase, and a data request is known by its own number.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Connection, ConnectionState, Event, EventState, Export, Receipt, Shop, Webhook, WebhookState
from app.services import data_request, receipts, shopify_install
from app.services.erase import UnderWay, remove_person
from app.services.erase_shop import erase_shop
from app.services.kept import BODIES, Traces
from app.services.packing import compress, decompress
from app.services.persons import from_request
from app.services.secrets import Vault
from app.services.show import moment

log = logging.getLogger(__name__)

BATCH = 100  #: chores looked at in one go
AGAIN = timedelta(minutes=1)  #: after a failure
GRACE = timedelta(hours=48)  #: Shopify asks to erase a shop so long after the uninstall, or somewhat later
SLACK = timedelta(days=1)  #: how much later that may be; a shop that lives is rather kept than erased
_NANOSECONDS = re.compile(r"(\.\d{6})\d+")

Uninstalled = Callable[[Session, Shop, datetime], object]
ScopesChanged = Callable[[Session, Shop, list[str], datetime], object]


@dataclass(frozen=True, slots=True)
class _Chore:
    """One webhook to be worked off, as read."""

    id: int
    #: Of its receipt, by the platform's number of the webhook: SQLite gives those of deleted rows out again.
    dedup_key: str
    platform: str
    shop_id: int | None
    topic: str
    body: Mapping[str, Any]
    asked_at: datetime  #: by the platform's clock where it says so
    known: bool  #: whether it is of a shop of ours
    quarantined: bool  #: its body names another shop than the request did: kept as it is, for the operator


class Chores:
    """Works off what the accountant left to do."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        *,
        uninstalled: Uninstalled = shopify_install.uninstalled,
        scopes_changed: ScopesChanged = shopify_install.scopes_changed,
    ) -> None:
        """
        Args:
            uninstalled, scopes_changed: what the platform's own part does, in the transaction that it is given.
        """
        self._db = db
        self._vault = vault
        self._not_before: dict[int, datetime] = {}  #: chores that failed; after a restart all get their chance
        self._uninstalled = uninstalled
        self._scopes_changed = scopes_changed

    def work(self, now: datetime) -> int:
        """Work off what waits, and delete exports that ran out; return how many chores were done.

        One that fails shows why, is tried again in the next round, and keeps nothing else from being done.
        """
        done = 0
        for chore_id in self._waiting(now):
            try:
                self._do(self._read(chore_id), now)
                done += 1
            except UnderWay:
                log.info("chore %d waits for a call to come back", chore_id)
            except Exception as error:
                log.exception("chore %d failed; trying again", chore_id)
                self._show_failure(chore_id, error)
                self._not_before[chore_id] = now + AGAIN
        data_request.expire(self._db, now)
        return done

    def _waiting(self, now: datetime) -> list[int]:
        """The next ones, past those that failed a moment ago: they must not keep the others from their turn."""
        self._not_before = {id_: at for id_, at in self._not_before.items() if at > now}
        wanted = select(Webhook.id).where(Webhook.state == WebhookState.TODO)
        with self._db.read() as session:
            ids = session.scalars(wanted.order_by(Webhook.id).limit(BATCH + len(self._not_before)))
            return [id_ for id_ in ids if id_ not in self._not_before][:BATCH]

    def _read(self, chore_id: int) -> _Chore:
        with self._db.read() as session:
            row = session.get_one(Webhook, chore_id)
            state = session.scalar(select(Event.state).where(Event.webhook_id == chore_id))
            body = json.loads(decompress(row.body))
            return _Chore(
                id=row.id,
                dedup_key=f"webhook:{row.dedup_key}",
                platform=row.platform,
                shop_id=row.shop_id,
                topic=row.topic,
                body=body,
                asked_at=_asked_at(row),
                known=row.shop_id is not None and state in (None, EventState.PARKED),
                quarantined=state == EventState.QUARANTINED,
            )

    def _do(self, chore: _Chore, now: datetime) -> None:
        if not chore.known or chore.shop_id is None:
            self._close(chore, None, now)
            return
        match chore.topic:
            case "app/uninstalled":
                self._tell(chore, chore.shop_id, now, "uninstalled", self._uninstalled)
            case "app/scopes_update":
                scopes = [each for each in chore.body.get("current") or [] if isinstance(each, str)]
                self._tell(
                    chore,
                    chore.shop_id,
                    now,
                    "the granted scopes changed",
                    lambda session, shop, at: self._scopes_changed(session, shop, scopes, at),
                )
            case "customers/data_request":
                self._answer(chore, chore.shop_id, now)
            case "customers/redact":
                self._redact(chore, chore.shop_id, now)
            case "shop/redact":
                self._redact_shop(chore, chore.shop_id, now)

    # the shop

    def _tell(
        self, chore: _Chore, shop_id: int, now: datetime, what: str, tell: Callable[[Session, Shop, datetime], object]
    ) -> None:
        with self._db.write() as session:
            if self._claim(session, chore, now, what):
                tell(session, session.get_one(Shop, shop_id), chore.asked_at)

    def _redact_shop(self, chore: _Chore, shop_id: int, now: datetime) -> None:
        if self._is_back(chore, shop_id):
            self._close(chore, receipts.SHOP_KEPT, now, {}, "the shop was installed again after it left, and is kept")
            return
        # The request goes with the shop; its receipt stays.
        erase_shop(self._db, shop_id, chore.asked_at, dedup_key=chore.dedup_key, actor=chore.platform, patience=0.0)

    def _is_back(self, chore: _Chore, shop_id: int) -> bool:
        """Whether the shop was installed, or its app opened, after the uninstall that the request follows.

        By the time of that uninstall where we were told of it, else by when it must have been at the earliest.
        """
        with self._db.read() as session:
            shop, connection = session.get_one(Shop, shop_id), session.get(Connection, shop_id)
            if connection is None or shop.removed_at is not None or connection.state == ConnectionState.ENDED:
                return False
            since = max(connection.installed_at, connection.opened_at or connection.installed_at)
            earliest = chore.asked_at - GRACE - SLACK
            return since > max(earliest, connection.ended_at or earliest)

    # its customers

    def _redact(self, chore: _Chore, shop_id: int, now: datetime) -> None:
        counts = remove_person(self._db, self._vault, shop_id, from_request(chore.body), patience=0.0)
        self._close(chore, receipts.CUSTOMER_ERASED, now, counts, "the customer is erased")

    def _answer(self, chore: _Chore, shop_id: int, now: datetime) -> None:
        key = _request_key(chore, shop_id)
        with self._db.read() as session:
            known = session.scalar(select(Export.id).where(Export.dedup_key == key)) is not None
        if known:
            self._close(chore, receipts.DATA_REQUEST, now, {}, "the file was made for an earlier webhook")
            return
        content, counts = data_request.collect(self._db, shop_id, from_request(chore.body), now)
        text = "a file for the customer is ready: `tillwire exports list`"
        with self._db.write() as session:
            if self._claim(session, chore, now, text):
                data_request.keep(session, self._vault, shop_id, key, content, now)
                self._give(session, chore, receipts.DATA_REQUEST, counts)

    # closing

    def _close(
        self,
        chore: _Chore,
        kind: str | None,
        now: datetime,
        counts: Mapping[str, int] | None = None,
        text: str = "",
    ) -> None:
        with self._db.write() as session:
            if self._claim(session, chore, now, text) and kind is not None:
                self._give(session, chore, kind, counts or {})

    def _give(self, session: Session, chore: _Chore, kind: str, counts: Mapping[str, int]) -> Receipt:
        return receipts.give(
            session,
            kind,
            chore.shop_id,
            chore.dedup_key,
            counts,
            requested_at=chore.asked_at,
            actor=chore.platform,
        )

    def _claim(self, session: Session, chore: _Chore, now: datetime, text: str) -> bool:
        """Mark the chore as done, say so, and take the person out of the request; False if another was faster."""
        values: dict[str, Any] = {"state": WebhookState.DONE}
        if chore.topic.startswith("customers/") and not chore.quarantined:
            values["body"] = compress(json.dumps(BODIES[chore.platform].keep(chore.body, Traces((), ()))).encode())
        changed = session.execute(
            update(Webhook)
            .where(Webhook.id == chore.id, Webhook.state == WebhookState.TODO)
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        if not changed.rowcount:  # type: ignore[attr-defined]
            return False
        session.execute(
            update(Event)
            .where(Event.webhook_id == chore.id, Event.state == EventState.PARKED)
            .values(state=EventState.IGNORED, error=f"done on {moment(now)}: {text}")
            .execution_options(synchronize_session=False)
        )
        return True

    def _show_failure(self, chore_id: int, error: Exception) -> None:
        """So that it is seen where the request is; never with the error's own words."""
        try:
            with self._db.write() as session:
                session.execute(
                    update(Event)
                    .where(Event.webhook_id == chore_id, Event.state == EventState.PARKED)
                    .values(error=f"not done yet ({type(error).__name__}); it is tried again")
                    .execution_options(synchronize_session=False)
                )
        except Exception:
            log.exception("the failure of chore %d could not be shown", chore_id)


def _asked_at(row: Webhook) -> datetime:
    """When it happened, by the platform's clock: nanoseconds, ``Z``; else when it arrived here.

    Source: shopify.dev/docs/apps/build/webhooks (X-Shopify-Triggered-At)
    """
    given = row.headers.get("x-shopify-triggered-at") or row.headers.get("shopify-triggered-at") or ""
    try:
        found = datetime.fromisoformat(_NANOSECONDS.sub(r"\1", given))
    except ValueError:
        return row.received_at
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _request_key(chore: _Chore, shop_id: int) -> str:
    """One file per request, by the number that the platform gives it, whatever webhook brings it."""
    request = chore.body.get("data_request")
    number = request.get("id") if isinstance(request, dict) else None
    return f"data_request:{shop_id}:{number}" if number else chore.dedup_key
