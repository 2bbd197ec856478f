"""Conditions over lists that are one parameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, true, update

from app.models import Gate
from app.services.one_of import one_of
from app.services.rows import DELIVERIES
from tests.bodies import woocommerce_order
from tests.rig import Rig

WANTED = select(DELIVERIES.c.id).where(one_of(DELIVERIES.c.id, "ids")).order_by(DELIVERIES.c.id)


@pytest.fixture
def rig(tmp_path: Path, either_url: str) -> Any:
    with Rig(tmp_path, database_url=either_url) as rig:
        shop = rig.shop("woocommerce")
        rig.switch_on(shop, "seeka", "gameball")
        for number in (1, 2):
            rig.woocommerce(shop, "order.updated", woocommerce_order(number))
        rig.account()
        yield rig


@pytest.mark.parametrize(
    ("ids", "found"), [([], []), ([2], [2]), ([3, 1, 3, 99, 2**62], [1, 3]), (list(range(2000)), [1, 2, 3, 4])]
)
def test_lists_of_any_length_find_what_they_name(rig: Rig, ids: list[int], found: list[int]) -> None:
    with rig.db.read() as session:
        assert session.scalars(WANTED, {"ids": ids}).all() == found


def test_texts_are_texts_whatever_they_look_like(rig: Rig) -> None:
    strange = ['a"b', "x,y", "{}", "NULL", "1", "é'"]
    with rig.db.write() as session:
        session.add_all([Gate(key=key, calls={}, failures=0) for key in strange])
    wanted = select(Gate.key).where(one_of(Gate.key, "keys"))
    with rig.db.read() as session:
        assert set(session.scalars(wanted, {"keys": [*strange, "missing", "null"]})) == set(strange)


def test_a_statement_stays_the_same_whatever_the_length(rig: Rig) -> None:
    sent = set()
    event.listen(rig.db.engine, "before_cursor_execute", lambda *given: sent.add(given[2]))
    with rig.db.read() as session:
        for length in range(5):
            session.execute(WANTED, {"ids": list(range(length))})
    assert len(sent) == 1


def test_an_index_is_found_for_it_on_sqlite(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig, rig.db.engine.connect() as connection:
        told = str(WANTED.compile(rig.db.engine))
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {told}", ("[1]",)).all()
    assert any("SEARCH deliveries USING INTEGER PRIMARY KEY" in str(step) for step in plan), plan


def test_it_goes_with_others_and_in_changes(rig: Rig) -> None:
    changed = update(DELIVERIES).where(one_of(DELIVERIES.c.id, "ids"), DELIVERIES.c.provider == "seeka", true())
    with rig.db.write() as session:
        session.execute(changed.values(rule="changed"), {"ids": [1, 2, 3, 4]})
    other = DELIVERIES.alias()
    told = select(DELIVERIES.c.provider, DELIVERIES.c.rule == "changed")
    within = told.where(select(other.c.id).where(other.c.id == DELIVERIES.c.id, one_of(other.c.id, "ids")).exists())
    with rig.db.read() as session:
        found = session.execute(within.order_by(DELIVERIES.c.id), {"ids": [2, 3, 4]}).all()
        assert {tuple(each) for each in found} == {("seeka", True), ("gameball", False)}
        assert len(found) == 3
