"""Download: deliveries as rows of text for a spreadsheet; order numbers and states, no payloads and no persons."""

from __future__ import annotations

from collections.abc import Iterator

from app.db import Database
from app.services.delivery_list import Choice, DeliveryRow, page

MOST = 100_000  #: rows of one download

COLUMNS = ("delivery", "created", "provider", "action", "order", "order_id", "state", "attempts", "delivered")


def rows(db: Database, shop_id: int, choice: Choice, *, most: int = MOST, size: int = 1000) -> Iterator[list[str]]:
    """The rows of a download, newest first, after their header. No transaction stays open while somebody reads."""
    yield list(COLUMNS)
    before, left = None, most
    while left > 0:
        with db.read() as session:
            found = page(session, shop_id, choice, before=before, size=min(size, left))
        yield from (_cells(row) for row in found.rows)
        before, left = found.older, left - len(found.rows)
        if before is None:
            return


def _cells(row: DeliveryRow) -> list[str]:
    order = (row.number or "", row.order or "")
    moments = [at.isoformat(timespec="seconds") if at else "" for at in (row.created_at, row.delivered_at)]
    cells = (str(row.id), moments[0], row.title, row.action, *order, row.state, str(row.attempts), moments[1])
    return [harmless(each) for each in cells]


def harmless(cell: str) -> str:
    """Text that no spreadsheet takes for a formula. Source: owasp.org, CSV Injection"""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell
