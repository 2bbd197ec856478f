"""Connections as the parts are put together: who asks a store, and for how long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from app import factory
from app.models import Connection
from app.services import stores
from tests.walks import Walks


@pytest.fixture
def walks(tmp_path: Path, database_url: str) -> Iterator[Walks]:
    with Walks(tmp_path, database_url) as walks:
        yield walks


def two_hours_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock that measures how long a store takes."""
    monkeypatch.setattr(stores, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 7200))


def test_a_check_from_a_page_gives_the_store_its_time_anew(walks: Walks, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, now = walks.connect(), datetime.now(UTC)
    two_hours_pass(monkeypatch)
    walks.app.extensions["connections"].check(shop, "operator", now)
    connection = walks.connection(shop)
    assert (connection.checked_at >= now, "why" in connection.report) == (True, False)


def test_a_check_by_the_schedule_reaches_stores_however_long_the_worker_runs(
    walks: Walks, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, now = walks.connect(), datetime.now(UTC)
    upkeep = factory.create_upkeep(walks.parts)
    two_hours_pass(monkeypatch)
    with walks.db.write() as session:
        session.get_one(Connection, shop).check_at = now
    for part in upkeep.parts:
        part.work(lambda: now)
    upkeep.close()
    connection = walks.connection(shop)
    assert (connection.checked_at >= now, "why" in connection.report) == (True, False)
