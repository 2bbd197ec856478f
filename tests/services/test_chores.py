"""Uninstalls, scopes and privacy requests as webhooks: each is carried out once, and never stops another."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.models import (
    AuditEntry,
    Connection,
    ConnectionState,
    Delivery,
    Event,
    Export,
    Receipt,
    Shop,
    Webhook,
    WebhookState,
)
from app.services import chores, data_request, shopify_install
from app.services.chores import SETTLED, Chores
from app.services.errors import Failed
from app.services.packing import decompress
from tests.rig import DOMAIN, SHOPIFY_SECRET, Rig, signature
from tests.services.test_erase import INES, everything, file_bytes, left, shopify

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CUSTOMER = {"id": 7700123400001, "email": "ines.example@example.com", "phone": None}
REDACT: dict[str, Any] = {
    **{"shop_id": 1, "shop_domain": DOMAIN, "customer": CUSTOMER},
    "orders_to_redact": [6100234500001],
}
REQUEST: dict[str, Any] = {
    **{"shop_id": 1, "shop_domain": DOMAIN, "customer": CUSTOMER, "orders_requested": [6100234500001]},
    "data_request": {"id": 9999},
}
SHOP: dict[str, Any] = {"shop_id": 1, "shop_domain": DOMAIN}


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop(external_id="1")


class Told:
    """What the platform's own part was told.

    ``vouches``: whether the store says that we are installed; None: it does not answer.
    """

    def __init__(self, vouches: bool | None = False) -> None:
        self.vouches = vouches
        self.asked: list[int] = []
        self.calls: list[tuple[Any, ...]] = []

    def installed(self, shop_id: int) -> bool:
        self.asked.append(shop_id)
        if self.vouches is None:
            raise Failed("the store does not answer")
        return self.vouches

    def uninstalled(self, session: Session, shop: Shop, at: datetime) -> None:
        self.calls.append((shop.domain, at))

    def scopes_changed(self, session: Session, shop: Shop, current: list[str], at: datetime) -> None:
        self.calls.append((shop.domain, current, at))


@pytest.fixture
def told() -> Told:
    return Told()


def worker(rig: Rig, told: Told | None = None) -> Chores:
    told = told or Told()
    return Chores(
        rig.db,
        rig.parts.vault,
        installed=told.installed,
        uninstalled=told.uninstalled,
        scopes_changed=told.scopes_changed,
    )


def work(rig: Rig, told: Told | None = None) -> int:
    rig.account()
    return worker(rig, told).work(NOW)


def rows(rig: Rig, what: Any) -> list[Any]:
    with rig.db.read() as session:
        return list(session.scalars(select(what).order_by(what.id)))


def resolved(rig: Rig) -> list[tuple[str, str | None]]:
    return [(each["state"], each["error"]) for each in rig.events() if each["kind"] is None]


def send(rig: Rig, topic: str, body: dict[str, Any], *, triggered: str, domain: str | None = DOMAIN) -> None:
    raw = json.dumps(body).encode()
    headers = {
        **{"X-Shopify-Topic": topic, "X-Shopify-Hmac-Sha256": signature(SHOPIFY_SECRET, raw)},
        **{"X-Shopify-Webhook-Id": f"{topic}-{triggered}", "X-Shopify-Triggered-At": triggered},
    }
    if domain:
        headers["X-Shopify-Shop-Domain"] = domain
    answer = rig.client.post("/webhooks/shopify", data=raw, headers=headers, content_type="application/json")
    assert answer.get_json() == {"status": "stored"}


def sold(rig: Rig) -> None:
    rig.shopify("orders/paid", shopify("orders_paid__worked_a.json") | {"order_status_url": None})
    rig.work()


# what another part does


def test_an_uninstall_is_told_with_the_platforms_own_time(rig: Rig, shop: int, told: Told) -> None:
    send(rig, "app/uninstalled", {"id": 1}, triggered="2026-11-20T10:11:12.123456789Z")
    assert work(rig, told) == 1
    assert told.calls == [(DOMAIN, datetime(2026, 11, 20, 10, 11, 12, 123456, tzinfo=UTC))]
    assert resolved(rig) == [("ignored", "done on 2026-11-21T12:00:00Z: uninstalled")]
    assert work(rig, told) == 0
    assert len(told.calls) == 1


def test_changed_scopes_are_told_and_a_missing_time_is_that_of_arrival(rig: Rig, shop: int, told: Told) -> None:
    rig.shopify("app/scopes_update", {"id": 1, "previous": [], "current": ["read_orders", "read_customers"]})
    assert work(rig, told) == 1
    (received,) = [each.received_at for each in rows(rig, Webhook)]
    assert told.calls == [(DOMAIN, ["read_orders", "read_customers"], received)]


def test_an_uninstall_ends_the_connection_that_it_is_about_and_no_later_one(rig: Rig, shop: int) -> None:
    with rig.db.write() as session:
        installed = datetime(2026, 11, 20, 12, tzinfo=UTC)
        session.add(
            Connection(shop_id=shop, state=ConnectionState.CONNECTED, installed_at=installed, secrets="x", scopes=[])
        )
    told = Told()
    real = Chores(rig.db, rig.parts.vault, installed=told.installed)
    send(rig, "app/uninstalled", {"id": 1}, triggered="2026-11-20T11:00:00Z")
    rig.account()
    assert real.work(NOW) == 1
    with rig.db.read() as session:
        assert session.get_one(Connection, shop).state == ConnectionState.CONNECTED
    assert told.asked == []  # it is over anyhow
    send(rig, "app/uninstalled", {"id": 1}, triggered="2026-11-20T13:00:00Z")
    rig.account()
    assert real.work(NOW) == 1
    with rig.db.read() as session:
        connection = session.get_one(Connection, shop)
        assert (connection.state, connection.secrets) == (ConnectionState.ENDED, None)


# a customer


def test_a_redaction_removes_the_person_also_from_the_request_itself(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    sold(rig)
    rig.shopify("customers/redact", REDACT)
    assert work(rig) == 1
    assert left(rig, INES) == []
    request = rows(rig, Webhook)[-1]
    assert (request.state, json.loads(decompress(request.body))) == (WebhookState.DONE, SHOP)
    (receipt,) = rows(rig, Receipt)
    assert (receipt.shop_id, receipt.kind, receipt.dedup_key) == (
        shop,
        "customer_erased",
        f"webhook:shopify:{shop}:webhook-2",
    )
    assert receipt.requested_at == request.received_at
    assert receipt.counts["ledgers"] == 1
    assert resolved(rig) == [("ignored", "done on 2026-11-21T12:00:00Z: the customer is erased")]
    (entry,) = rows(rig, AuditEntry)
    assert (entry.shop_id, entry.actor, entry.action) == (shop, "shopify", "erase customer")
    assert entry.after == {"receipt": receipt.id, "counts": receipt.counts}


@pytest.mark.sqlite
def test_the_database_file_holds_nothing_of_the_request_any_more(rig: Rig, shop: int) -> None:
    """Bodies are compressed, so what is looked for is the old row itself."""
    for topic, body in (("customers/redact", REDACT), ("customers/data_request", REQUEST)):
        rig.shopify(topic, body)
        old = rows(rig, Webhook)[-1].body[10:60]
        assert old in file_bytes(rig)
        assert work(rig) == 1
        assert old not in file_bytes(rig)


def test_the_same_redaction_under_another_number_finds_nothing_left(rig: Rig, shop: int) -> None:
    sold(rig)
    for _ in range(2):
        rig.shopify("customers/redact", REDACT)
    assert work(rig) == 2
    counts = [each.counts for each in rows(rig, Receipt)]
    assert counts[0]["ledgers"] == 1
    assert set(counts[1].values()) == {0}
    assert left(rig, INES) == []


def test_a_redaction_leaves_a_request_for_data_its_person_until_that_is_answered(rig: Rig, shop: int) -> None:
    sold(rig)
    rig.shopify("customers/redact", REDACT)
    rig.shopify("customers/data_request", REQUEST)
    rig.account()
    done = worker(rig)
    assert done.work(NOW) == 2
    assert [each.kind for each in rows(rig, Receipt)] == ["customer_erased", "data_request"]
    with rig.db.write() as session:
        content = data_request.fetch(session, rig.parts.vault, shop, 1, NOW)
    assert content["person"]["ids"] == ["7700123400001"]
    assert left(rig, INES) == []


def test_a_redaction_without_shop_header_reaches_the_shop_that_its_body_names(rig: Rig, shop: int) -> None:
    sold(rig)
    rig.shopify("customers/redact", REDACT, domain=None)
    assert work(rig) == 1
    assert left(rig, INES) == []
    assert [each.shop_id for each in rows(rig, Receipt)] == [shop]


def test_a_request_about_an_unknown_shop_is_done_and_keeps_nobodys_data(rig: Rig, shop: int) -> None:
    sold(rig)
    rig.shopify(
        "customers/redact",
        REDACT | {"shop_domain": "other.myshopify.com", "customer": {"id": 5, "email": "x@y.test"}},
        domain=None,
    )
    assert work(rig) == 1
    assert [each["error"] for each in rig.events(state="error")] == ["names no shop that is installed here"]
    assert rows(rig, Receipt) == []
    assert "x@y.test" not in everything(rig.db)
    assert "ines.example" in everything(rig.db)
    assert work(rig) == 0


def test_a_request_whose_body_names_another_shop_erases_nothing(rig: Rig, shop: int) -> None:
    sold(rig)
    rig.shopify("customers/redact", REDACT | {"shop_domain": "other.myshopify.com"})
    rig.shopify("shop/redact", SHOP | {"shop_domain": "other.myshopify.com"})
    assert work(rig) == 2
    assert len(rig.events(state="quarantined")) == 2
    assert rows(rig, Receipt) == []
    assert "ines.example" in everything(rig.db)


def test_a_redaction_waits_for_a_call_under_way_without_an_error(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    sold(rig)
    rig.shopify("customers/redact", REDACT)
    _lease(rig, 60)
    assert work(rig) == 0
    assert resolved(rig) == [("parked", "customers/redact waits for the part that works it off")]
    _lease(rig, -1)
    assert work(rig) == 1
    assert left(rig, INES) == []


def _lease(rig: Rig, seconds: float) -> None:
    with rig.db.write() as session:
        session.execute(update(Delivery).values(leased_until=datetime.now(UTC) + timedelta(seconds=seconds)))


def test_a_data_request_makes_one_file_whatever_webhooks_bring_it(rig: Rig, shop: int) -> None:
    sold(rig)
    for _ in range(2):
        rig.shopify("customers/data_request", REQUEST)
    assert work(rig) == 2
    (export,) = rows(rig, Export)
    assert export.dedup_key == f"data_request:{shop}:9999"
    with rig.db.write() as session:
        content = data_request.fetch(session, rig.parts.vault, shop, export.id, NOW)
    assert [each["id"] for each in content["ledgers"]] == ["6100234500001"]
    assert [each.kind for each in rows(rig, Receipt)] == ["data_request", "data_request"]
    assert resolved(rig) == [
        ("ignored", "done on 2026-11-21T12:00:00Z: a file for the customer is ready: `tillwire exports list`"),
        ("ignored", "done on 2026-11-21T12:00:00Z: the file was made for an earlier webhook"),
    ]
    for request in rows(rig, Webhook)[-2:]:
        assert json.loads(decompress(request.body)) == {**SHOP, "data_request": {"id": 9999}}


def test_files_that_ran_out_are_deleted_in_passing(rig: Rig, shop: int) -> None:
    rig.shopify("customers/data_request", REQUEST)
    assert work(rig) == 1
    assert worker(rig).work(NOW + data_request.KEPT_FOR) == 0
    assert rows(rig, Export) == []


# a shop


def test_a_shop_is_erased_and_its_receipt_and_one_line_stay(rig: Rig, shop: int) -> None:
    sold(rig)
    rig.shopify("shop/redact", SHOP)
    assert work(rig) == 1
    assert [rows(rig, each) for each in (Shop, Webhook, Event)] == [[], [], []]
    (receipt,) = rows(rig, Receipt)
    assert (receipt.shop_id, receipt.kind, receipt.dedup_key) == (
        shop,
        "shop_erased",
        f"webhook:shopify:{shop}:webhook-2",
    )
    (entry,) = rows(rig, AuditEntry)
    assert (entry.shop_id, entry.actor, entry.action) == (None, "shopify", "erase shop")
    assert work(rig) == 0
    rig.app.extensions["receiver"]._shops.clear()  # as some seconds later
    assert rig.shopify("shop/redact", SHOP) == "ignored"


@pytest.mark.sqlite  # which gives the numbers of rows that are gone again
def test_a_later_shop_whose_rows_get_the_same_numbers_is_erased_as_well(rig: Rig, shop: int) -> None:
    for number in (shop, shop + 1):
        assert rig.shop(external_id="1") == number
        rig.app.extensions["receiver"]._shops.clear()  # as some seconds later
        sold(rig)
        rig.shopify("shop/redact", SHOP)
        assert [each.id for each in rows(rig, Webhook)] == [1, 2]
        assert work(rig) == 1
        assert rows(rig, Shop) == []
    assert len(rows(rig, Receipt)) == 2


def connect(rig: Rig, shop: int, **values: Any) -> None:
    with rig.db.write() as session:
        row = {"state": ConnectionState.CONNECTED, "scopes": [], **values}
        session.add(Connection(shop_id=shop, **row))


@pytest.mark.parametrize(
    ("since", "state", "vouches", "kept"),
    [
        ("2026-11-01T10:00:00Z", ConnectionState.CONNECTED, True, True),  # whatever our clocks say
        ("2026-11-18T10:00:01Z", ConnectionState.ATTENTION, True, True),
        ("2026-11-18T10:00:01Z", ConnectionState.ATTENTION, False, False),  # opened on the day before it left
        ("2026-11-19T09:59:59Z", ConnectionState.CONNECTED, False, False),
        ("2026-11-19T10:00:01Z", ConnectionState.REOPEN, False, True),  # its tokens died, and it was opened since
        ("2026-11-21T10:00:01Z", ConnectionState.REOPEN, False, True),
        ("2026-11-21T09:00:00Z", ConnectionState.ENDED, True, False),
    ],
)
@pytest.mark.parametrize("what", ["installed_at", "opened_at"])
def test_a_shop_is_kept_where_its_store_vouches_for_us_or_the_app_was_opened_since_it_left(
    rig: Rig, shop: int, since: str, state: str, vouches: bool, kept: bool, what: str
) -> None:
    """The uninstall itself was lost: it was two days before the request."""
    long_ago = datetime(2026, 10, 1, tzinfo=UTC)
    connect(rig, shop, **{"state": state, "installed_at": long_ago, what: datetime.fromisoformat(since)})
    send(rig, "shop/redact", SHOP, triggered="2026-11-21T10:00:00Z")
    told = Told(vouches)
    assert work(rig, told) == 1
    assert told.asked == ([] if state == ConnectionState.ENDED else [shop])
    assert [each.id for each in rows(rig, Shop)] == ([shop] if kept else [])
    assert [each.kind for each in rows(rig, Receipt)] == ["shop_kept" if kept else "shop_erased"]
    if kept:
        assert resolved(rig) == [
            ("ignored", "done on 2026-11-21T12:00:00Z: the shop was installed again after it left, and is kept")
        ]


@pytest.mark.parametrize("topic", ["shop/redact", "app/uninstalled"])
def test_while_a_store_does_not_answer_nothing_is_erased_and_nothing_ended(rig: Rig, shop: int, topic: str) -> None:
    connect(rig, shop, installed_at=datetime(2026, 10, 1, tzinfo=UTC))
    send(rig, topic, {**SHOP, "id": 1}, triggered="2026-11-21T10:00:00Z")
    told = Told(vouches=None)
    rig.account()
    chores = worker(rig, told)
    assert chores.work(NOW) == 0
    assert (told.calls, len(rows(rig, Shop)), rows(rig, Receipt)) == ([], 1, [])
    assert resolved(rig) == [("parked", "not done yet (the store does not answer); it is tried again")]
    assert chores.work(NOW + timedelta(seconds=5)) == 0
    assert told.asked == [shop]  # not at every turn
    told.vouches = False
    assert chores.work(NOW + timedelta(minutes=1)) == 1


def test_a_removal_that_its_store_contradicts_ends_nothing(rig: Rig, shop: int) -> None:
    """A signed body of an earlier removal, sent again as if it were new: nobody signs when it happened."""
    connect(rig, shop, installed_at=datetime(2026, 10, 1, tzinfo=UTC))
    send(rig, "app/uninstalled", {"id": 1}, triggered="2026-11-21T10:00:00Z")
    rig.account()
    (received,) = [each.received_at for each in rows(rig, Webhook)]
    told = Told(vouches=True)
    chores = worker(rig, told)
    assert chores.work(received) == 0  # a store may need a moment until its tokens are dead
    assert resolved(rig)[0][0] == "parked"
    assert chores.work(received + SETTLED) == 1
    assert (told.asked, told.calls) == ([shop, shop], [])
    ((state, error),) = resolved(rig)
    assert (state, error and error.partition(": ")[2]) == (
        "ignored",
        "the store still takes our tokens, so nothing was ended",
    )


def test_a_removal_whose_tokens_died_a_moment_later_is_one(rig: Rig, shop: int) -> None:
    connect(rig, shop, installed_at=datetime(2026, 10, 1, tzinfo=UTC))
    send(rig, "app/uninstalled", {"id": 1}, triggered="2026-11-21T10:00:00Z")
    rig.account()
    (received,) = [each.received_at for each in rows(rig, Webhook)]
    told = Told(vouches=True)
    chores = worker(rig, told)
    assert chores.work(received) == 0
    told.vouches = False
    assert chores.work(received + timedelta(minutes=1)) == 1
    assert told.calls == [(DOMAIN, datetime(2026, 11, 21, 10, tzinfo=UTC))]


@pytest.mark.parametrize("news", ["before the install", "after the install", "after the app was opened"])
@pytest.mark.parametrize("late", [0, 120, 7200])
def test_a_shop_that_came_back_soon_after_it_left_is_never_erased(rig: Rig, shop: int, news: str, late: int) -> None:
    left = datetime(2026, 11, 19, 10, tzinfo=UTC)
    back, before = left + timedelta(seconds=90), left - timedelta(days=30)
    opened = news == "after the app was opened"
    with rig.db.write() as session:
        connection = Connection(shop_id=shop, state=ConnectionState.CONNECTED, installed_at=before, scopes=[])
        session.add(connection)
        row = session.get_one(Shop, shop)
        if news == "before the install":
            assert shopify_install.uninstalled(session, row, left) is True
            row.removed_at, connection.state = None, ConnectionState.CONNECTED
        connection.opened_at = back if opened else None
        connection.installed_at = before if opened else back
        if news != "before the install":
            assert shopify_install.uninstalled(session, row, left) is opened
    asked = left + timedelta(hours=48, seconds=late)
    send(rig, "shop/redact", SHOP, triggered=asked.isoformat())
    assert work(rig) == 1
    assert [each.id for each in rows(rig, Shop)] == [shop]
    assert [each.kind for each in rows(rig, Receipt)] == ["shop_kept"]


def test_a_shop_that_left_after_its_app_was_opened_is_erased(rig: Rig, shop: int) -> None:
    """Known by the time of the uninstall alone, though the connection looks alive."""
    left = datetime(2026, 11, 19, 10, tzinfo=UTC)
    with rig.db.write() as session:
        installed = left - timedelta(seconds=60)
        session.add(
            Connection(shop_id=shop, state=ConnectionState.REOPEN, installed_at=installed, ended_at=left, scopes=[])
        )
    send(rig, "shop/redact", SHOP, triggered="2026-11-21T10:00:00Z")
    assert work(rig) == 1
    assert (rows(rig, Shop), [each.kind for each in rows(rig, Receipt)]) == ([], ["shop_erased"])


# what goes wrong


def test_a_chore_that_fails_says_so_is_tried_again_and_blocks_no_other(
    rig: Rig, shop: int, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold(rig)
    rig.shopify("customers/redact", REDACT)
    rig.shopify("app/uninstalled", {"id": 1})

    def broken(*_: Any, **__: Any) -> dict[str, int]:
        raise ZeroDivisionError("about ines.example@example.com")

    with monkeypatch.context() as patch:
        patch.setattr(chores, "remove_person", broken)
        assert work(rig, told) == 1
    assert len(told.calls) == 1
    assert resolved(rig)[0] == ("parked", "not done yet (ZeroDivisionError); it is tried again")
    assert work(rig, told) == 1
    assert resolved(rig)[0] == ("ignored", "done on 2026-11-21T12:00:00Z: the customer is erased")


def test_what_the_platforms_part_writes_is_undone_where_the_chore_fails(rig: Rig, shop: int) -> None:
    class Broken(Told):
        def uninstalled(self, session: Session, shop: Shop, at: datetime) -> None:
            session.execute(update(Shop).values(trouble="half"))
            raise ZeroDivisionError

    rig.shopify("app/uninstalled", {"id": 1})
    assert work(rig, Broken()) == 0
    assert [each.trouble for each in rows(rig, Shop)] == [None]
    assert [each.state for each in rows(rig, Webhook)] == [WebhookState.TODO]


def test_a_process_that_dies_before_the_receipt_leaves_the_request_to_be_done_again(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold(rig)
    rig.shopify("customers/redact", REDACT)

    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Chores, "_close", killed)
        with pytest.raises(Killed):
            work(rig)
    assert rows(rig, Receipt) == []
    assert work(rig) == 1
    assert left(rig, INES) == []
    assert len(rows(rig, Receipt)) == 1
