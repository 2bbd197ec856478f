"""Download: deliveries as rows of text for a spreadsheet; order numbers and states, no payloads and no persons."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from app.db import Database
from app.models import Shop
from app.services.day import zone_of
from app.services.delivery_list import Choice, DeliveryRow, page

MOST = 100_000  #: rows of one download

COLUMNS = ("delivery", "created", "provider", "action", "order", "order_id", "state", "attempts", "delivered")


def rows(db: Database, shop_id: int, choice: Choice, *, most: int = MOST, size: int = 1000) -> Iterator[list[str]]:
    """The rows of a download, newest first, after their header; where ``most`` are not all, the last one says so.

    Times are on the shop's clock, as on its pages. No transaction stays open while somebody reads.
    """
    yield list(COLUMNS)
    with db.read() as session:
        zone = zone_of(session.get_one(Shop, shop_id))
    before, left = None, most
    while left > 0:
        with db.read() as session:
            found = page(session, shop_id, choice, before=before, size=min(size, left))
        yield from (_cells(row, zone) for row in found.rows)
        before, left = found.older, left - len(found.rows)
        if before is None:
            return
    cut = f"cut after {most} deliveries: for older ones, download again with an earlier day as the last"
    yield [cut, *[""] * (len(COLUMNS) - 1)]


def _cells(row: DeliveryRow, zone: ZoneInfo) -> list[str]:
    order = (row.number or "", row.order or "")
    moments = [_moment(at, zone) for at in (row.created_at, row.delivered_at)]
    cells = (str(row.id), moments[0], row.title, row.action, *order, row.state, str(row.attempts), moments[1])
    return [harmless(each) for each in cells]


def _moment(at: datetime | None, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat(timespec="seconds") if at else ""


def harmless(cell: str) -> str:
    """Text that no spreadsheet takes for a formula. Source: owasp.org, CSV Injection"""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell
