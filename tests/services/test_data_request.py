"""One file with everything that is held on a person, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import select, update

from app.models import Export, Receipt
from app.services import data_request, erase, persons
from app.services.errors import NotFound
from app.services.secrets import Locked, Vault
from tests.bodies import woocommerce_order
from tests.rig import Rig

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ADA = "ada@example.test"


@pytest.fixture
def shop(rig: Rig) -> int:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    for number, who in ((1, ADA), (2, "other@example.test"), (3, ADA)):
        rig.woocommerce(shop, "order.updated", woocommerce_order(number, email=who, customer_id=number + 70))
    rig.work()
    return shop


def export(rig: Rig, shop: int, dedup_key: str | None = None) -> Receipt:
    person = persons.from_text(ADA)
    return data_request.export_person(rig.db, rig.parts.vault, shop, person, NOW, dedup_key=dedup_key, actor="operator")


def test_the_file_holds_orders_events_payloads_and_webhooks_of_that_person_alone(rig: Rig, shop: int) -> None:
    receipt = export(rig, shop)
    with rig.db.write() as session:
        content = data_request.fetch(session, rig.parts.vault, shop, 1, NOW)
    assert content["person"] == {"ids": ["71", "73"], "emails": [ADA], "phones": [], "orders": []}
    assert [each["id"] for each in content["ledgers"]] == ["1", "3"]
    assert {each["known"]["email"] for each in content["ledgers"]} == {ADA}
    assert {each["subject"] for each in content["events"]} == {"1", "3"}
    assert {each["tries"][0]["payload"]["email"] for each in content["deliveries"] if each["tries"]} == {ADA}
    assert [each["body"]["billing"]["email"] for each in content["webhooks"]] == [ADA, ADA]
    assert "other@example.test" not in str(content)
    assert receipt.counts == {
        "ledgers": 2,
        "events": len(content["events"]),
        "deliveries": len(content["deliveries"]),
        "webhooks": 2,
    }
    assert ADA not in str(receipt.counts)


def test_the_file_lies_encrypted_and_is_fetched_by_its_own_shop_alone(rig: Rig, shop: int) -> None:
    export(rig, shop)
    other = rig.shop("woocommerce", "https://other.example")
    with rig.db.write() as session:
        assert ADA not in session.scalars(select(Export.content)).one()
        assert data_request.listed(session, other, NOW) == []
        with pytest.raises(NotFound):
            data_request.fetch(session, rig.parts.vault, other, 1, NOW)
        wrong = Vault(MultiFernet([Fernet(Fernet.generate_key())]))
        with pytest.raises(Locked):
            data_request.fetch(session, wrong, shop, 1, NOW)
        assert data_request.listed(session, shop, NOW)[0]["fetched_at"] is None
        data_request.fetch(session, rig.parts.vault, shop, 1, NOW)
    with rig.db.read() as session:
        assert data_request.listed(session, shop, NOW) == [
            {
                "export": 1,
                "created_at": "2026-11-21T12:00:00Z",
                "expires_at": "2026-12-21T12:00:00Z",
                "fetched_at": "2026-11-21T12:00:00Z",
            }
        ]


def test_it_runs_out_after_thirty_days(rig: Rig, shop: int) -> None:
    export(rig, shop)
    late = NOW + timedelta(days=30)
    with rig.db.write() as session:
        assert data_request.listed(session, shop, late) == []
        with pytest.raises(NotFound):
            data_request.fetch(session, rig.parts.vault, shop, 1, late)
    assert data_request.expire(rig.db, late - timedelta(seconds=1)) == 0
    assert data_request.expire(rig.db, late) == 1


def test_one_request_makes_one_file(rig: Rig, shop: int) -> None:
    assert export(rig, shop, "webhook:1").id == export(rig, shop, "webhook:1").id
    with rig.db.read() as session:
        assert len(data_request.listed(session, shop, NOW)) == 1


def test_an_erasure_takes_the_persons_files_and_those_that_nobody_can_open(rig: Rig, shop: int) -> None:
    export(rig, shop)
    export(rig, shop)
    other = persons.from_text("other@example.test")
    data_request.export_person(rig.db, rig.parts.vault, shop, other, NOW, actor="operator")
    lost = Vault(MultiFernet([Fernet(Fernet.generate_key())])).close({"person": {}})
    with rig.db.write() as session:
        session.execute(update(Export).where(Export.id == 2).values(content=lost))
    counts = erase.remove_person(rig.db, rig.parts.vault, shop, persons.from_text(ADA))
    assert counts["exports"] == 2
    with rig.db.read() as session:
        assert [each["export"] for each in data_request.listed(session, shop, NOW)] == [3]
