"""A shop's connection, whatever its platform: look after it, or end it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from app.db import Database
from app.models import Connection, ConnectionState, Shop
from app.services import audit, show
from app.services.agreement import Source
from app.services.errors import Failed, NotFound
from app.services.said import mark

EVERY = timedelta(hours=1)  #: between two looks at a store that works, and between two comparisons of its orders
#: How long the tries of an install that failed may have taken: webhooks of a shop that is not known are not kept.
BEFORE_INSTALL = timedelta(days=1)
_BROKEN = frozenset({"missing", "refused"})  #: states of topics of which nothing arrives


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What a platform's connections can have done to them. All call the store, with no transaction open."""

    check: Callable[[int, datetime], object]
    #: None where only the store itself can end it, as by removing the app.
    disconnect: Callable[[int, str, datetime], object] | None
    reconnects: bool  #: by a walk from our pages
    #: How the store is asked for its orders.
    orders: Callable[[Shop, Connection], Source]


def install(connection: Connection, now: datetime) -> None:
    """Begin anew, with the store's orders asked for at once: also where its webhooks cannot be made.

    What no walk has seen since an install before this one is still missing.
    """
    if connection.generation and connection.reconciled_to is None:
        connection.reconciled_to = connection.installed_at - BEFORE_INSTALL
    connection.generation += 1
    connection.installed_at, connection.refreshing_until = now, None
    connection.check_at = connection.reconcile_at = now
    connection.reconcile_trouble = None


class Connections:
    def __init__(self, db: Database, platforms: Mapping[str, Platform]) -> None:
        self._db = db
        self._platforms = platforms

    def actions(self, platform: str, state: str | None) -> frozenset[str]:
        """What may be done to a connection in ``state``: check, disconnect, reconnect. Nothing to one by hand."""
        known = self._platforms.get(platform)
        if known is None or state is None:
            return frozenset()
        living = state != ConnectionState.ENDED
        found = {"reconnect"} if known.reconnects else set()
        if living and state != ConnectionState.REOPEN:
            found.add("check")
        if living and known.disconnect:
            found.add("disconnect")
        return frozenset(found)

    def check(self, shop_id: int, actor: str, now: datetime) -> None:
        """Look at the connection and repair what can be repaired; raises `Failed`."""
        platform, _ = self._of(shop_id, "check")
        platform.check(shop_id, now)
        with self._db.write() as session:
            audit.record(session, shop_id=shop_id, actor=actor, action="check connection")

    def look_after(self, shop_id: int, now: datetime) -> None:
        """As `check`, by the schedule: nobody did it, so no audit entry."""
        platform, _ = self._of(shop_id, "check")
        platform.check(shop_id, now)

    def examine(self, shop_id: int, actor: str, now: datetime) -> dict[str, Any]:
        """As `check`, where the store can be asked at all; and how the connection stands then.

        Returns: ``shop``, ``platform``, ``domain``, what `show.connection` says, ``works`` (it is connected, the store
            answered, no topic is missing or refused) and ``report``, the platform's own, of the last check.
        Raises:
            NotFound: there is no connection; Failed: it could not be looked at now.
        """
        shop, connection = self._standing(shop_id)
        if "check" in self.actions(shop.platform, connection.state):
            self.check(shop_id, actor, now)
            shop, connection = self._standing(shop_id)
            if connection.checked_at is None or connection.checked_at < now:
                raise Failed(f"shop {shop_id} is being checked or connected anew just now: try again in two minutes")
        return {
            **{"shop": shop_id, "platform": shop.platform, "domain": shop.domain, "works": _works(connection)},
            **show.connection(connection),
            "report": connection.report or {},
        }

    def disconnect(self, shop_id: int, actor: str, now: datetime) -> None:
        """End the connection; one that ended already stays so. Raises `Failed`."""
        platform, state = self._of(shop_id, "disconnect", ended_is_fine=True)
        if platform.disconnect and state != ConnectionState.ENDED:
            platform.disconnect(shop_id, actor, now)

    def _standing(self, shop_id: int) -> tuple[Shop, Connection]:
        wanted = select(Shop, Connection).outerjoin(Connection, Connection.shop_id == Shop.id)
        with self._db.read() as session:
            row = session.execute(wanted.where(Shop.id == shop_id, Shop.removed_at.is_(None))).one_or_none()
        if row is None:
            raise NotFound(f"there is no shop {shop_id} any more")
        shop, connection = row
        if connection is None:
            raise NotFound(
                f"shop {shop_id} ({shop.domain}) was added by hand, so there is no connection to look at:"
                f" connect the store as docs/platforms/{shop.platform}.md says; what it has stays"
            )
        return shop, connection

    def _of(self, shop_id: int, action: str, *, ended_is_fine: bool = False) -> tuple[Platform, str]:
        wanted = select(Shop.platform, Connection.state).join(Connection, Connection.shop_id == Shop.id)
        with self._db.read() as session:
            row = session.execute(wanted.where(Shop.id == shop_id, Shop.removed_at.is_(None))).one_or_none()
        if row is None:
            raise Failed(mark("This store was added by hand: there is no connection that could be changed here."))
        fine = ended_is_fine and row.state == ConnectionState.ENDED
        if action not in self.actions(row.platform, row.state) and not fine:
            raise Failed(
                mark("The connection cannot be changed like this now: it is {state}. Reload the page.").format(
                    state=row.state
                )
            )
        return self._platforms[row.platform], row.state


def _works(connection: Connection) -> bool:
    report = connection.report or {}
    wrong = (connection.reconcile_trouble, report.get("problem"), report.get("why"))
    if connection.state != ConnectionState.CONNECTED or any(wrong):
        return False
    return all(topic["state"] not in _BROKEN for topic in report.get("topics", {}).values())
