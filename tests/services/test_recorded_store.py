"""The recorded sequences of a real WooCommerce store, from webhook to provider."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.rig import Rig

RECORDED = Path(__file__).parent.parent / "fixtures" / "woocommerce" / "recorded"


def send(rig: Rig, shop: int, *numbers: int) -> None:
    """Send recorded webhooks, by the numbers of their files."""
    for number in numbers:
        (path,) = RECORDED.glob(f"{number:03d}_*.json")
        sample = json.loads(path.read_text())
        rig.woocommerce(shop, sample["topic"], sample["body"].encode())


@pytest.fixture
def shop(rig: Rig) -> int:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "spotler", "seeka", "gameball", "esputnik")
    return shop


def understood(rig: Rig) -> list[str]:
    return [each["kind"] for each in rig.events(state="understood")]


def gameball(rig: Rig) -> dict[str, tuple[float, dict[str, float]]]:
    """Per order what was paid and what each refund took, as Gameball has it."""
    account = rig.simulators.app.state("gameball")["state"].get("gameball-key", {"orders": {}})
    return {
        id_: (each["order"]["totalPaid"], {name: back["taken"] for name, back in each["refunds"].items()})
        for id_, each in account["orders"].items()
    }


def esputnik(rig: Rig) -> dict[str, tuple[str, float]]:
    orders = rig.simulators.app.state("esputnik")["state"]["esputnik-key"]["orders"]
    return {id_: (each["status"], each["totalCost"]) for id_, each in orders.items()}


LIFE = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)


def test_a_whole_life_gives_one_purchase_and_both_refunds(rig: Rig, shop: int) -> None:
    send(rig, shop, *LIFE)
    rig.work()
    assert understood(rig) == [
        *("order.placed", "order.paid", "order.updated", "order.refunded", "order.fulfilled", "order.refunded"),
    ]
    assert gameball(rig) == {"17": (867.21, {"refund-18": 50, "refund-19": 817.21})}
    assert esputnik(rig) == {"17": ("CANCELLED", 867.21)}
    assert [each["event"] for each in rig.received("spotler")] == ["Purchase"]
    assert [each["data"][0]["ev"]["payload"]["activityId"] for each in rig.received("seeka")] == ["order_17"]
    assert rig.violations() == []


def test_every_webhook_has_an_answer(rig: Rig, shop: int) -> None:
    send(rig, shop, *LIFE)
    rig.work()
    reasons = {each["error"] for each in rig.events(state="ignored")}
    assert reasons == {
        "already known",
        "nothing changed that matters",
        "The order itself arrives with order.created or order.updated.",
    }
    assert len({each["webhook"] for each in rig.events()}) == 9  # of 11 sent, two were byte for byte repeats


@pytest.mark.parametrize("seed", range(8))
def test_the_same_life_shuffled_and_repeated_ends_the_same(rig: Rig, shop: int, seed: int) -> None:
    told = [*LIFE, *LIFE]
    random.Random(seed).shuffle(told)
    for number in told:
        send(rig, shop, number)
        if number % 3 == seed % 3:
            rig.work()
    rig.work()
    (paid, refunds) = gameball(rig)["17"]
    assert (paid, sum(refunds.values()), set(refunds)) == (867.21, 867.21, {"refund-18", "refund-19"})
    assert esputnik(rig) == {"17": ("CANCELLED", 867.21)}
    assert understood(rig).count("order.paid") == 1
    assert understood(rig).count("order.refunded") == 2
    assert rig.violations() == []


def test_an_order_cancelled_unpaid_and_trashed_reaches_nobody_but_esputnik(rig: Rig, shop: int) -> None:
    send(rig, shop, 24, 25, 28)
    rig.work()
    assert understood(rig) == ["order.placed", "order.cancelled", "order.deleted"]
    assert gameball(rig) == {}
    assert esputnik(rig) == {"21": ("CANCELLED", 147)}
    assert rig.received("spotler") == rig.received("seeka") == []
    assert [each["state"] for each in rig.deliveries(state="skipped") if each["reason"] == "trashed"] == ["skipped"] * 4


def test_an_unpaid_order_is_no_purchase(rig: Rig, shop: int) -> None:
    send(rig, shop, 47, 48, 49, 50, 51, 52, 57, 58, 59)
    rig.work()
    assert understood(rig) == ["order.placed"] * 3
    assert gameball(rig) == {}
    assert sorted(esputnik(rig)) == ["28", "29", "33"]


def test_sprii_is_told_of_the_paid_order_by_the_number_found_in_its_meta(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    send(rig, shop, 9)
    rig.work(settled="sprii")
    assert rig.received("sprii") == [
        {
            "orders": [
                {
                    "spriiOrderNumber": "SPRII-100023",
                    "id": "17",
                    "orderTotal": 867.21,
                    "items": [
                        {"product_id": "10", "sku": "TEE-RED", "quantity": 2, "unitPrice": 199.95},
                        {"product_id": "15", "sku": "DRESS-M", "quantity": 1, "unitPrice": 499.5},
                    ],
                }
            ]
        }
    ]


def test_a_cart_of_nobody_is_skipped_and_one_with_an_address_goes_out(rig: Rig, shop: int) -> None:
    send(rig, shop, 107)
    rig.work()
    assert {each["reason"] for each in rig.deliveries()} == {"no_identity"}


def test_the_same_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    with Rig(tmp_path, database_url=postgres_url) as rig:
        shop = rig.shop("woocommerce")
        rig.switch_on(shop, "spotler", "seeka", "gameball", "esputnik")
        send(rig, shop, *LIFE, *LIFE)
        rig.work()
        assert gameball(rig) == {"17": (867.21, {"refund-18": 50, "refund-19": 817.21})}
        assert esputnik(rig) == {"17": ("CANCELLED", 867.21)}
        assert rig.violations() == []
