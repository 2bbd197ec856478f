"""A backup is put back, and the work goes on: nothing counts twice, and what may have is left to a person."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from shutil import copyfile, which
from typing import Any

import pytest
from sqlalchemy import make_url, text

from app.db import Database, newest_revision
from app.providers.registry import PROVIDERS
from app.services import restored
from app.services.errors import Failed
from tests.bodies import woocommerce_order
from tests.conftest import missing
from tests.databases import BROKER, POSTGRESQL
from tests.processes import ROOT, run
from tests.rig import Rig
from tests.test_migrations import go

CART = json.loads((ROOT / "tests/fixtures/woocommerce/cart.updated__full.json").read_text())


class Backup:
    """As docs/operations.md says it is made and put back, for either kind of database."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self._rig = rig
        self._kept = folder / "backup"

    def make(self) -> None:
        if self._rig.db.file:
            with closing(sqlite3.connect(self._rig.db.file)) as live, closing(sqlite3.connect(self._kept)) as kept:
                live.backup(kept)
        else:
            dump(self._rig.config.database_url, self._kept)

    def put_back(self) -> None:
        """While nothing runs."""
        self._rig.deliverer.close()
        self._rig.db.close()
        if self._rig.db.file:
            for tail in ("-wal", "-shm"):
                Path(f"{self._rig.db.file}{tail}").unlink(missing_ok=True)
            copyfile(self._kept, self._rig.db.file)
        else:
            restore(self._rig.config.database_url, self._kept)
        self._rig.deliverer = self._rig.new_deliverer()


def dump(database_url: str, file: Path) -> None:
    _run(database_url, "pg_dump", "--format=custom", f"--file={file}")


def restore(database_url: str, file: Path) -> None:
    _run(database_url, "psql", "--command=DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    _run(database_url, "pg_restore", "--no-owner", "--single-transaction", "--exit-on-error", str(file))


def _run(database_url: str, program: str, *arguments: str) -> None:
    url = make_url(database_url)
    chosen = [f"--host={url.host}", f"--port={url.port}", f"--username={url.username}", f"--dbname={url.database}"]
    environment = {**os.environ, "PGPASSWORD": url.password or ""}
    subprocess.run([program, *chosen, *arguments], env=environment, check=True, capture_output=True, timeout=60)


def need_programs() -> None:
    if not all(map(which, ("pg_dump", "pg_restore", "psql"))):
        missing("pg_dump, pg_restore and psql are not here")


@pytest.fixture
def rig(either_url: str, tmp_path: Path) -> Iterator[Rig]:
    if either_url.startswith(POSTGRESQL):
        need_programs()
    with Rig(tmp_path, database_url=either_url, broker_url=BROKER) as rig:
        yield rig


@pytest.fixture
def shop(rig: Rig) -> int:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop)
    return shop


@pytest.fixture
def backup(rig: Rig, tmp_path: Path) -> Backup:
    return Backup(rig, tmp_path)


def order(rig: Rig, shop: int, number: int, **changes: Any) -> None:
    body = woocommerce_order(number, **{"sprii": f"5934-{number}", "email": CART["email"], **changes})
    assert rig.woocommerce(shop, "order.updated", body) == "stored"


def books(rig: Rig) -> dict[str, Any]:
    """What every provider counts."""
    return {name: rig.simulators.app.state(name)["state"] for name in PROVIDERS}


def test_what_was_sent_since_the_backup_is_asked_for_or_left_to_a_person_and_counts_once(
    rig: Rig, shop: int, backup: Backup
) -> None:
    order(rig, shop, 1)
    rig.work()
    order(rig, shop, 2)
    assert rig.woocommerce(shop, "cart.updated", CART) == "stored"
    rig.account()  # both are owed, and nothing is sent yet
    order(rig, shop, 3)  # and this one is not even read
    backup.make()
    rig.work()
    order(rig, shop, 1, minute=5, refunds=((9, "30.00"),))
    order(rig, shop, 4)
    rig.work()
    before = books(rig)
    assert {name: of["times"] for each in before["sprii"].values() for name, of in _reports(each)} == {
        "1": 1,
        "2": 1,
        "3": 1,
        "4": 1,
    }

    backup.put_back()
    done = restored.restored(rig.db)
    rig.work()
    order(rig, shop, 1, minute=5, refunds=((9, "30.00"),))  # as a reconciliation, or a later webhook, brings them
    order(rig, shop, 4)
    rig.work()

    assert books(rig) == before
    assert rig.violations() == []
    assert done == {"at": done["at"], "shops": 1, "in_doubt": 2}
    reports = rig.deliveries(provider="sprii", state="delivered")
    asked = "confirmed by asking the provider after a lost answer"
    assert [(each["order"], each["reason"]) for each in reports] == [
        ("1", None),
        ("2", asked),
        ("3", asked),
        ("4", asked),
    ]
    left = [(each["provider"], each["action"], each["reason"]) for each in rig.deliveries(state="unknown")]
    assert left == [("gameball", "event", restored.MAYBE_SENT)]


def _reports(checkouts: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for checkout in checkouts["orders"].values():
        yield from checkout.items()


def test_what_was_never_sent_goes_out_once_the_provider_says_so(rig: Rig, shop: int, backup: Backup) -> None:
    order(rig, shop, 1)
    rig.account()
    backup.make()
    backup.put_back()
    restored.restored(rig.db)
    rig.work()
    [report] = rig.deliveries(provider="sprii")
    assert (report["state"], report["attempts"]) == ("delivered", 2)
    order(rig, shop, 2, sprii=None)
    rig.work()
    assert rig.states(provider="sprii", order="2") == [("process_orders", "skipped", "no_sprii_reference")]


def test_what_happens_after_the_backup_was_put_back_is_sent_without_asking(rig: Rig, shop: int) -> None:
    restored.restored(rig.db)
    with rig.db.write() as session:
        session.execute(text("UPDATE shops SET restored_at = '2026-03-02 09:00:00+00:00'"))
    order(rig, shop, 1)
    rig.work()
    [report] = rig.deliveries(provider="sprii")
    assert (report["state"], report["attempts"]) == ("delivered", 1)


def test_while_a_worker_runs_it_is_refused(rig: Rig, shop: int) -> None:
    with ExitStack() as stack:
        assert rig.db.alone(stack)
        with pytest.raises(Failed, match="stop it"):
            restored.restored(rig.db)


def test_the_command_tells_how_much_is_in_doubt(rig: Rig, shop: int, tmp_path: Path) -> None:
    order(rig, shop, 1)
    rig.account()
    told = run(tmp_path, "restored", "--json", **rig.environment)
    assert told.returncode == 0, told.stderr
    assert {name: value for name, value in json.loads(told.stdout).items() if name != "at"} == {
        "shops": 1,
        "in_doubt": 1,
    }


def test_the_schema_can_be_brought_up_to_date_by_itself(rig: Rig, tmp_path: Path) -> None:
    told = run(tmp_path, "migrate", "--json", **rig.environment)
    with rig.db.read() as session:
        assert json.loads(told.stdout) == {"revision": session.scalar(text("SELECT version_num FROM alembic_version"))}


def test_a_backup_of_an_older_revision_is_put_back_over_a_newer_schema(bare_postgres_url: str, tmp_path: Path) -> None:
    need_programs()
    with closing(Database(bare_postgres_url)) as db:
        go(db, "0003")
        with db.begin() as connection:
            connection.execute(text("INSERT INTO accounts (email, created_at) VALUES ('a@shop.example', now())"))
        dump(bare_postgres_url, tmp_path / "older")
        db.migrate()
        db.close()
        restore(bare_postgres_url, tmp_path / "older")
        revision = text("SELECT version_num FROM alembic_version")
        with db.begin() as connection:
            assert connection.scalar(revision) == "0003"
        db.migrate()
        with db.begin() as connection:
            assert connection.scalar(revision) == newest_revision()
            assert list(connection.scalars(text("SELECT email FROM accounts"))) == ["a@shop.example"]
