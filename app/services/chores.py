"""Chores: webhooks about the shop and its people, worked off beside orders: uninstalls, scopes, privacy requests.

Each is carried out and closed in one transaction where it can be; an erasure goes in chunks before that, and may be
done again. A request that comes twice under other numbers is harmless: what is erased already has nothing left to
erase, and a data request is known by its own number.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Connection, ConnectionState, Event, EventState, Export, Receipt, Shop, Webhook, WebhookState
from app.models.event import in_state
from app.services import data_request, receipts, shopify_install
from app.services.chore import Chore, read, request_key
from app.services.erase import UnderWay, empty_journal, remove_person
from app.services.erase_shop import erase_shop
from app.services.errors import Failed
from app.services.kept import BODIES, Traces
from app.services.packing import compress
from app.services.persons import from_request
from app.services.secrets import Vault
from app.services.show import moment
from connectors.events import ABOUT_A_CUSTOMER, ChoreKind

log = logging.getLogger(__name__)

BATCH = 100  #: chores looked at in one go
AGAIN = timedelta(minutes=1)  #: after a failure
GRACE = timedelta(hours=48)  #: a platform asks to erase a shop so long after the uninstall, or somewhat later
LATE = timedelta(days=1)  #: how much later; an uninstall within that is the one that the request follows
SETTLED = timedelta(minutes=2)  #: a platform may need a moment until the tokens of an uninstall are dead

Installed = Callable[[int], bool]
Uninstalled = Callable[[Session, Shop, datetime], object]
ScopesChanged = Callable[[Session, Shop, list[str], datetime], object]


class TooSoon(Failed):
    """The store contradicts what it was told to have done a moment ago; it is asked once more."""

    def __init__(self) -> None:
        super().__init__("the store still takes the tokens of an app that was removed a moment ago")


class Chores:
    """Works off what the accountant left to do."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        *,
        installed: Installed,
        uninstalled: Uninstalled = shopify_install.uninstalled,
        scopes_changed: ScopesChanged = shopify_install.scopes_changed,
    ) -> None:
        """
        Args:
            installed: whether a shop's store vouches now that we are connected; called with no transaction open, and
                raises `Failed` where nobody can tell. Bodies are signed and their times are not, so anybody who once
                saw one can send it again as if it were new.
            uninstalled, scopes_changed: what the platform's own part does, in the transaction that it is given.
        """
        self._db = db
        self._vault = vault
        self._not_before: dict[int, datetime] = {}  #: chores that failed; after a restart all get their chance
        self._installed = installed
        self._uninstalled = uninstalled
        self._scopes_changed = scopes_changed

    def work(self, now: datetime) -> int:
        """Work off what waits, and delete exports that ran out; return how many chores were done.

        One that fails shows why, is tried again in the next round, and keeps nothing else from being done.
        """
        done = people = 0
        for chore_id in self._waiting(now):
            try:
                with self._db.read() as session:
                    chore = read(session, chore_id)
                self._do(chore, now)
                done += 1
                people += chore.kind in ABOUT_A_CUSTOMER
            except UnderWay:
                log.info("chore %d waits for a call to come back", chore_id)
            except Failed as error:
                log.warning("chore %d is not done yet: %s", chore_id, error)
                self._put_off(chore_id, now, str(error))
            except Exception as error:
                log.exception("chore %d failed; trying again", chore_id)
                self._put_off(chore_id, now, type(error).__name__)  # never with the error's own words
        if people:
            empty_journal(self._db)  # the requests themselves named somebody
        data_request.expire(self._db, now)
        return done

    def _waiting(self, now: datetime) -> list[int]:
        """The next ones, past those that failed a moment ago: they must not keep the others from their turn."""
        self._not_before = {id_: at for id_, at in self._not_before.items() if at > now}
        wanted = select(Webhook.id).where(in_state(WebhookState.TODO))
        with self._db.read() as session:
            ids = session.scalars(wanted.order_by(Webhook.id).limit(BATCH + len(self._not_before)))
            return [id_ for id_ in ids if id_ not in self._not_before][:BATCH]

    def _do(self, chore: Chore, now: datetime) -> None:
        if not chore.known or chore.shop_id is None:
            self._close(chore, None, now)
            return
        match chore.kind:
            case ChoreKind.UNINSTALLED:
                self._end(chore, chore.shop_id, now)
            case ChoreKind.SCOPES_CHANGED:
                scopes = [each for each in chore.body.get("current") or [] if isinstance(each, str)]
                self._tell(
                    chore,
                    chore.shop_id,
                    now,
                    "the granted scopes changed",
                    lambda session, shop, at: self._scopes_changed(session, shop, scopes, at),
                )
            case ChoreKind.DATA_REQUEST:
                self._answer(chore, chore.shop_id, now)
            case ChoreKind.ERASE_CUSTOMER:
                self._redact(chore, chore.shop_id, now)
            case ChoreKind.ERASE_SHOP:
                self._redact_shop(chore, chore.shop_id, now)

    # the shop

    def _end(self, chore: Chore, shop_id: int, now: datetime) -> None:
        """End the connection, unless the store itself says that it lives."""
        if self._would_end(chore, shop_id) and self._installed(shop_id):
            if now < chore.received_at + SETTLED:
                raise TooSoon
            self._close(chore, None, now, text="the store still takes our tokens, so nothing was ended")
            return
        self._tell(chore, shop_id, now, "uninstalled", self._uninstalled)

    def _would_end(self, chore: Chore, shop_id: int) -> bool:
        with self._db.read() as session:
            connection = session.get(Connection, shop_id)
        if connection is None or connection.state == ConnectionState.ENDED:
            return False
        return connection.installed_at < chore.asked_at

    def _tell(
        self, chore: Chore, shop_id: int, now: datetime, what: str, tell: Callable[[Session, Shop, datetime], object]
    ) -> None:
        with self._db.write() as session:
            if self._claim(session, chore, now, what):
                tell(session, session.get_one(Shop, shop_id), chore.asked_at)

    def _redact_shop(self, chore: Chore, shop_id: int, now: datetime) -> None:
        if self._is_back(chore, shop_id):
            self._close(chore, receipts.SHOP_KEPT, now, {}, "the shop was installed again after it left, and is kept")
            return
        # The request goes with the shop; its receipt stays.
        erase_shop(self._db, shop_id, chore.asked_at, dedup_key=chore.dedup_key, actor=chore.platform, patience=0.0)

    def _is_back(self, chore: Chore, shop_id: int) -> bool:
        """Whether the shop is connected again since the uninstall that the request follows.

        The store says so itself where it takes our tokens. Where it does not, the app may still have been opened since,
        and the merchant has to open it once more; that uninstall was when we were told of it, else it was two days
        before the request at the latest.
        """
        with self._db.read() as session:
            shop, connection = session.get_one(Shop, shop_id), session.get(Connection, shop_id)
        if connection is None or shop.removed_at is not None or connection.state == ConnectionState.ENDED:
            return False
        if self._installed(shop_id):
            return True
        since = max(connection.installed_at, connection.opened_at or connection.installed_at)
        latest, told = chore.asked_at - GRACE, connection.ended_at
        return since > (told if told and told >= latest - LATE else latest)

    # its customers

    def _redact(self, chore: Chore, shop_id: int, now: datetime) -> None:
        counts = remove_person(self._db, self._vault, shop_id, from_request(chore.body), patience=0.0)
        self._close(chore, receipts.CUSTOMER_ERASED, now, counts, "the customer is erased")

    def _answer(self, chore: Chore, shop_id: int, now: datetime) -> None:
        key = request_key(chore, shop_id)
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
        chore: Chore,
        kind: str | None,
        now: datetime,
        counts: Mapping[str, int] | None = None,
        text: str = "",
    ) -> None:
        with self._db.write() as session:
            if self._claim(session, chore, now, text) and kind is not None:
                self._give(session, chore, kind, counts or {})

    def _give(self, session: Session, chore: Chore, kind: str, counts: Mapping[str, int]) -> Receipt:
        return receipts.give(
            session,
            kind,
            chore.shop_id,
            chore.dedup_key,
            counts,
            requested_at=chore.asked_at,
            actor=chore.platform,
        )

    def _claim(self, session: Session, chore: Chore, now: datetime, text: str) -> bool:
        """Mark the chore as done, say so, and take the person out of the request; False if another was faster."""
        values: dict[str, Any] = {"state": WebhookState.DONE}
        if chore.kind in ABOUT_A_CUSTOMER and not chore.quarantined:
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

    def _put_off(self, chore_id: int, now: datetime, why: str) -> None:
        """Say why where the request is seen, and let the others have their turn."""
        self._not_before[chore_id] = now + AGAIN
        try:
            with self._db.write() as session:
                session.execute(
                    update(Event)
                    .where(Event.webhook_id == chore_id, Event.state == EventState.PARKED)
                    .values(error=f"not done yet ({why}); it is tried again")
                    .execution_options(synchronize_session=False)
                )
        except Exception:
            log.exception("the failure of chore %d could not be shown", chore_id)
