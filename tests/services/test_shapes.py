"""A payload of the wrong shape waits with a sentence, instead of breaking what reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.providers.registry import PROVIDERS
from app.services.mapping_draft import Change, edit
from app.services.shapes import misfit
from mappings.files import load_default
from tests.bodies import woocommerce_order
from tests.rig import Rig

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_our_defaults_make_fits(path: Path) -> None:
    golden = json.loads(path.read_text())
    rule = load_default(path.parent.name).by_name(golden["rule"])
    assert rule
    assert misfit(path.parent.name, rule["action"], golden["payload"]) is None


@pytest.mark.parametrize(
    ("provider", "action", "payload", "found"),
    [
        ("gameball", "order", {"lineItems": "none"}, ("lineItems", "must be a list of objects, and is text")),
        (
            "gameball",
            "order",
            {"lineItems": ["a"]},
            ("lineItems", "must be a list of objects, and is a list of other things"),
        ),
        ("gameball", "order", {"merchant": [1]}, ("merchant", "must be an object, and is a list of other things")),
        ("gameball", "order", {"merchant": {"branch": 1}}, ("merchant.branch", "must be an object, and is a number")),
        ("gameball", "event", {"event": ["x"]}, ("event", "must be a single value, and is a list of other things")),
        ("gameball", "event", {"event": "x", "metadata": True}, ("metadata", "must be an object, and is a yes or no")),
        (
            "esputnik",
            "cart",
            {"params": {"products": {}}},
            ("params.products", "must be a list of objects, and is an object"),
        ),
        (
            "seeka",
            "order",
            {"payload": {"commerce": {"products": [{}, 1]}}},
            ("payload.commerce.products", "must be a list of objects, and is a list of other things"),
        ),
        ("gameball", "order", {"lineItems": [], "extra": {"own": [1]}, "orderId": 7}, None),
    ],
)
def test_what_does_not_fit_is_named(provider: str, action: str, payload: dict[str, Any], found: Any) -> None:
    assert action in PROVIDERS[provider].actions
    assert misfit(provider, action, payload) == found


def test_a_delivery_of_another_shape_waits_and_says_what_to_mend(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    text = edit(
        PROVIDERS["gameball"], "", "order", "lineItems", Change(how="from", paths=("order.note",), default="none")
    )
    rig.map(shop, "gameball", text)
    rig.woocommerce(shop, "order.updated", woocommerce_order(7, customer_id=5))
    rig.work()
    said = 'gameball: rule "order": lineItems: must be a list of objects, and is text'
    assert rig.states() == [("order", "held", said)]
