"""The commands for privacy: erasing, exports, and keys."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import click
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select, update

from app.models import AuditEntry, Endpoint, Export, Shop
from tests.bodies import woocommerce_order
from tests.rig import Rig
from tests.test_cli import Cli

ADA = "ada@example.test"


@pytest.fixture
def cli(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(rig, tmp_path, monkeypatch)


@pytest.fixture
def shop(rig: Rig) -> int:
    shop = rig.shop("woocommerce", "https://one.example")
    rig.switch_on(shop, "gameball")
    rig.woocommerce(shop, "order.updated", woocommerce_order(501, customer_id=77, email=ADA))
    rig.woocommerce(shop, "order.updated", woocommerce_order(502, customer_id=78, email="b@example.test"))
    rig.work()
    return shop


@pytest.mark.parametrize("who", ["77", "Ada@Example.test"])
def test_a_customer_is_erased_by_number_or_address(cli: Cli, shop: int, who: str) -> None:
    receipt = cli.json("erase", "one.example", "--customer", who)
    assert receipt == {
        **{"receipt": 1, "kind": "customer_erased", "shop": shop},
        **{"requested_at": receipt["requested_at"], "done_at": receipt["done_at"]},
        "counts": {"webhooks": 1, "events": 2, "deliveries": 1, "attempts": 1, "ledgers": 1, "exports": 0},
    }
    assert cli.json("erase", str(shop), "--customer", who)["counts"]["ledgers"] == 0
    assert ADA not in cli.text("orders", "show", str(shop), "501")
    assert cli.json("orders", "show", str(shop), "501")["known"]["total"] == "80"


def test_an_erasure_prints_nobodys_data(cli: Cli, shop: int) -> None:
    said = cli.run("erase", str(shop), "--customer", ADA)
    assert said.exit_code == 0
    assert ADA not in said.output
    assert "customer_erased" in said.output


def test_a_shop_is_erased_also_when_it_was_removed_before(cli: Cli, rig: Rig, shop: int) -> None:
    cli.json("shops", "remove", str(shop))
    receipt = cli.json("erase", str(shop))
    assert (receipt["kind"], receipt["shop"], receipt["counts"]["shops"]) == ("shop_erased", shop, 1)
    with rig.db.read() as session:
        assert session.scalar(select(Shop.id)) is None
    assert cli.refusal("erase", str(shop), status=1) == (
        f"tillwire: there is no shop '{shop}': give its number, or its domain"
    )


def test_at_a_terminal_a_whole_shop_is_asked_for_and_a_script_is_not(
    cli: Cli, rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(text: str, **_: Any) -> None:
        asked.append(text)
        raise click.Abort

    monkeypatch.setattr("click.confirm", refuse)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    assert cli.run("erase", str(shop)).exit_code == 1
    assert asked == [f"Erase shop {shop} (one.example) with all its data?"]
    with rig.db.read() as session:
        assert session.scalars(select(Shop.removed_at)).one() is None
    assert cli.run("erase", str(shop), "--yes").exit_code == 0
    assert len(asked) == 1


@pytest.mark.parametrize("who", ["", "0", "two words", "a@", "@b"])
def test_a_customer_that_nobody_can_be_is_wrong_use(cli: Cli, shop: int, who: str) -> None:
    text = "tillwire: --customer is neither a customer's id in the store nor an e-mail address"
    assert cli.refusal("erase", str(shop), "--customer", who, status=2) == text


# exports


def test_an_export_is_made_listed_and_written_out_once(cli: Cli, rig: Rig, shop: int, tmp_path: Path) -> None:
    made = cli.json("exports", "make", str(shop), "--customer", ADA)
    assert (made["kind"], made["counts"]["ledgers"], made["counts"]["webhooks"]) == ("data_request", 1, 1)
    (listed,) = cli.json("exports", "list", str(shop))["exports"]
    assert (listed["export"], listed["fetched_at"]) == (1, None)
    out = tmp_path / "ada.json"
    done = cli.json("exports", "get", str(shop), "1", "--out", str(out))
    assert done == {"shop": shop, "export": 1, "file": str(out), "bytes": out.stat().st_size}
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    content = json.loads(out.read_text())
    assert content["person"] == {"ids": ["77"], "emails": [ADA], "phones": [], "orders": []}
    assert "b@example.test" not in out.read_text()
    (listed,) = cli.json("exports", "list", str(shop))["exports"]
    assert listed["fetched_at"] is not None
    with rig.db.read() as session:
        trail = [(each.actor, each.action) for each in session.scalars(select(AuditEntry).order_by(AuditEntry.id))]
    assert trail == [("operator", "answer data request"), ("operator", "fetch export")]


def test_an_export_never_writes_over_a_file_and_is_not_marked_as_fetched(
    cli: Cli, rig: Rig, shop: int, tmp_path: Path
) -> None:
    cli.json("exports", "make", str(shop), "--customer", ADA)
    out = tmp_path / "there.json"
    out.write_text("mine")
    said = cli.refusal("exports", "get", str(shop), "1", "--out", str(out), status=2)
    assert said == f"tillwire: --out: {out} is there already: name a file that is not"
    assert out.read_text() == "mine"
    with rig.db.read() as session:
        assert session.scalars(select(Export.fetched_at)).one() is None
    missing = tmp_path / "no" / "there.json"
    said = cli.refusal("exports", "get", str(shop), "1", "--out", str(missing), status=1)
    assert said == f"tillwire: {missing} cannot be written (No such file or directory)"


def test_an_unknown_export_is_named(cli: Cli, shop: int, tmp_path: Path) -> None:
    said = cli.refusal("exports", "get", str(shop), "9", "--out", str(tmp_path / "x"), status=1)
    assert said == "tillwire: this shop has no export 9, or it ran out: `tillwire exports list` shows them all"
    assert not (tmp_path / "x").exists()


# keys


def test_keys_are_rotated_and_the_old_one_can_go(cli: Cli, rig: Rig, shop: int) -> None:
    new = Fernet.generate_key().decode()
    old = ",".join(rig.config.encryption_keys)
    cli.settings["ENCRYPTION_KEYS"] = f"{new},{old}"
    done = cli.json("keys", "rotate")
    assert (done["rotated"]["destinations.secrets"], done["rotated"]["endpoints.secret"]) == (1, 1)
    assert done["locked"] == []
    cli.settings["ENCRYPTION_KEYS"] = new
    (found,) = cli.json("destinations", "list", str(shop))["destinations"]
    assert found["settings"]["api_key"] == "set"
    assert set(cli.json("keys", "rotate")["rotated"].values()) == {0}


def test_what_opens_with_none_of_the_keys_is_exit_status_1(cli: Cli, rig: Rig, shop: int) -> None:
    with rig.db.write() as session:
        lost = Fernet(Fernet.generate_key()).encrypt(b"x").decode()
        session.execute(update(Endpoint).values(secret=lost))
    done = cli.json("keys", "rotate", status=1)
    assert done["locked"] == [{"column": "endpoints.secret", "row": 1}]
    assert done["current"]["destinations.secrets"] == 1
