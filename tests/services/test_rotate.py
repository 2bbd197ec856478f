"""All that lies encrypted is encrypted anew, beside whoever works on it."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute

from app import models
from app.db import Database
from app.models import (
    AuditEntry,
    ConnectAttempt,
    Connection,
    ConnectionState,
    Destination,
    Endpoint,
    Export,
    LinkKey,
    Shop,
)
from app.services import rotate
from app.services.rotate import ENCRYPTED
from app.services.secrets import Vault

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


def vault(*keys: str) -> Vault:
    return Vault(MultiFernet([Fernet(key) for key in keys]))


def fill(db: Database, sealed: Vault, number: int = 1) -> None:
    """A row in every table with something encrypted."""
    with db.write() as session:
        shop = Shop(platform="woocommerce", domain=f"s{number}.example", created_at=NOW, settings={})
        session.add(shop)
        session.flush()
        common: dict[str, Any] = {"shop_id": shop.id, "created_at": NOW}
        secret = sealed.close({"key": "s3cret"}) or ""
        session.add_all(
            [
                Destination(**common, provider="sprii", secrets=secret, updated_at=NOW),
                Destination(**common, provider="seeka", secrets=None, updated_at=NOW),
                Endpoint(**common, token=f"t{number}", topic="order.updated", secret=secret),
                Connection(shop_id=shop.id, state=ConnectionState.CONNECTED, secrets=secret, installed_at=NOW),
                ConnectAttempt(
                    **common,
                    state_hash=f"h{number}",
                    platform="woocommerce",
                    address="https://s.example",
                    expires_at=NOW,
                    secrets=secret,
                ),
                LinkKey(**common, name=f"k{number}", secret=secret),
                Export(**common, dedup_key=f"e{number}", content=secret, expires_at=NOW + timedelta(days=1)),
            ]
        )


def stored(db: Database, column: InstrumentedAttribute[Any]) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(column).where(column.is_not(None))))


def name(column: InstrumentedAttribute[Any]) -> str:
    return f"{column.class_.__tablename__}.{column.key}"


def test_every_column_that_the_models_call_encrypted_is_rotated() -> None:
    """The word stands in the comment of the column, at its end or on the lines above it."""
    called: set[str] = set()
    for path in sorted(Path(models.__file__).parent.glob("*.py")):
        lines = path.read_text().splitlines()
        for table in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)):
            columns = [node for node in table.body if isinstance(node, ast.AnnAssign)]
            for column in columns:
                above = column.lineno - 2
                told = lines[column.lineno - 1 : column.end_lineno]
                while lines[above].lstrip().startswith("#:"):
                    told.append(lines[above])
                    above -= 1
                said = " ".join(line.partition("#:")[2] for line in told).lower()
                if "encrypted" in said:
                    called.add(f"{table.name}.{ast.unparse(column.target)}")
    assert called == {f"{column.class_.__name__}.{column.key}" for column in ENCRYPTED}


def test_everything_opens_with_the_new_key_alone_afterwards(database: Database) -> None:
    fill(database, vault(OLD))
    fill(database, vault(NEW, OLD), 2)
    done = rotate.rotate(database, (NEW, OLD))
    assert done == {
        "rotated": {name(column): 1 for column in ENCRYPTED},
        "current": {name(column): 1 for column in ENCRYPTED},
        "locked": [],
    }
    for column in ENCRYPTED:
        assert [vault(NEW).open(each) for each in stored(database, column)] == [{"key": "s3cret"}] * 2
    again = rotate.rotate(database, (NEW, OLD))
    assert set(again["rotated"].values()) == {0}
    assert set(again["current"].values()) == {2}


def test_what_opens_with_none_of_the_keys_is_named_and_stays(database: Database) -> None:
    fill(database, vault(OTHER))
    before = {name(column): stored(database, column)[0] for column in ENCRYPTED}
    fill(database, vault(OLD), 2)
    done = rotate.rotate(database, (NEW, OLD))
    assert [each["column"] for each in done["locked"]] == [name(column) for column in ENCRYPTED]
    assert set(done["rotated"].values()) == {1}
    for column in ENCRYPTED:
        assert before[name(column)] in stored(database, column)
    with database.read() as session:
        entry = session.scalars(select(AuditEntry)).one()
    assert (entry.shop_id, entry.actor, entry.action, entry.after) == (
        None,
        "operator",
        "rotate keys",
        {"rotated": len(ENCRYPTED), "locked": len(ENCRYPTED)},
    )


def test_whoever_changes_a_secret_at_the_same_time_wins(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database, vault(OLD))
    renewed = rotate._renewed

    def slowly(every: MultiFernet, text: str) -> str | None:
        with database.write() as session:
            session.execute(update(Destination).values(secrets=vault(NEW).close({"key": "changed"})))
        return renewed(every, text)

    monkeypatch.setattr(rotate, "_renewed", slowly)
    done = rotate.rotate(database, (NEW, OLD))
    assert done["rotated"]["destinations.secrets"] == 0
    assert {str(vault(NEW).open(each)) for each in stored(database, Destination.secrets)} == {"{'key': 'changed'}"}


def test_many_rows_go_in_chunks_and_a_second_run_finishes_the_first(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotate, "CHUNK", 2)
    for number in range(1, 8):
        fill(database, vault(OLD), number)
    written, calls = rotate._write, 0

    def dying(*arguments: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError
        return written(*arguments)

    monkeypatch.setattr(rotate, "_write", dying)
    with pytest.raises(RuntimeError):
        rotate.rotate(database, (NEW, OLD))
    monkeypatch.setattr(rotate, "_write", written)
    done = rotate.rotate(database, (NEW, OLD))
    assert (done["current"]["destinations.secrets"], done["rotated"]["destinations.secrets"]) == (4, 3)
    assert done["rotated"]["exports.content"] == 7
