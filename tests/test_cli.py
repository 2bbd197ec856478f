"""The commands: their JSON to the field, their exit statuses, and what they never show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet
from sqlalchemy import select, text, update

from app.cli import main
from app.db import Database
from app.models import AuditEntry, Delivery, MappingVersion
from app.providers.registry import PROVIDERS
from tests.bodies import woocommerce_order
from tests.databases import settings
from tests.rig import CREDENTIALS, FACTOR, Rig, signature

DEFAULTS = Path(__file__).parent.parent / "mappings" / "defaults"
STORE = "https://store.example"


class Cli:
    """Commands on the rig's database, each as in a process of its own."""

    def __init__(self, rig: Rig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        self.settings: dict[str, str | None] = {
            **dict.fromkeys(("ENV", "SECRET_KEY", "ENCRYPTION_KEYS", "LOG_LEVEL", "PORT", "HOST")),
            **{f"{name.upper()}_API_URL": rig.simulators.base(name) for name in PROVIDERS},
            "ALLOW_PRIVATE_NETWORKS": "1",
            "LIMIT_FACTOR": FACTOR,
            **settings(rig.config.database_url),
        }

    def run(self, *arguments: str, **settings: str) -> Result:
        found = CliRunner().invoke(main, arguments, env={**self.settings, **settings}, prog_name="tillwire")
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    def text(self, *arguments: str) -> str:
        """What a person is told."""
        done = self.run(*arguments)
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout

    def json(self, *arguments: str, status: int = 0) -> Any:
        """The one document that stands on standard output, and nothing else."""
        done = self.run(*arguments, "--json")
        assert (done.exit_code, done.stderr) == (status, "")
        assert done.stdout.count("\n") == 1
        return json.loads(done.stdout)

    def refusal(self, *arguments: str, status: int, **settings: str) -> str:
        """What is said on standard error of a command that fails with ``status``."""
        done = self.run(*arguments, **settings)
        assert (done.exit_code, done.stdout) == (status, "")
        return done.stderr.strip()


@pytest.fixture
def cli(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(rig, tmp_path, monkeypatch)


@pytest.fixture
def sold(rig: Rig, cli: Cli) -> Rig:
    """A store with two paid orders: delivered to Sprii and Gameball, in shadow at Spotler, refused by Seeka."""
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii", "gameball")
    rig.switch_on(shop, "spotler", mode="shadow")
    rig.switch_on(shop, "seeka")
    rig.simulators.app.set_faults("seeka", [{"kind": "status", "status": 400}])
    rig.woocommerce(shop, "order.updated", {**woocommerce_order(501, customer_id=5), "number": "R-7"})
    rig.woocommerce(shop, "order.updated", {**woocommerce_order(502, customer_id=5, sprii=None), "number": "R-8"})
    rig.work()
    return rig


# shops and webhooks


@pytest.mark.parametrize(
    ("platform", "given", "domain"),
    [
        ("shopify", "my-shop.myshopify.com", "my-shop.myshopify.com"),
        ("shopify", " My-Shop.myshopify.com ", "my-shop.myshopify.com"),
        ("shopify", "https://my-shop.myshopify.com/admin", "my-shop.myshopify.com"),
        ("woocommerce", "https://Shop.example/", "shop.example"),
        ("woocommerce", "shop.example", "shop.example"),
        ("woocommerce", "http://shop.example:8080/Wp", "shop.example:8080/Wp"),
        ("woocommerce", "http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_a_shop_is_added_once_and_found_by_number_domain_and_address(
    cli: Cli, platform: str, given: str, domain: str
) -> None:
    assert cli.json("shops", "add", platform, given) == {"shop": 1}
    assert cli.json("shops", "add", platform, given) == {"shop": 1}
    (shop,) = cli.json("shops", "list")["shops"]
    assert shop == {
        **{"shop": 1, "platform": platform, "domain": domain, "trouble": None, "connection": None},
        "created_at": shop["created_at"],
    }
    for name in ("1", domain, domain.upper(), f"https://{domain}/"):
        assert cli.json("shops", "show", name) == {
            **shop,
            "names": {},
            "days_kept": 90,
            "webhooks": [],
            "destinations": [],
        }


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ("shopify", "shop.example"),
            "DOMAIN 'shop.example' is no Shopify domain: write it like my-shop.myshopify.com",
        ),
        (("woocommerce", "ftp://shop.example"), "URL is no store address: write it like https://shop.example"),
        (
            ("woocommerce", "https://user:pass@shop.example"),
            "URL is no store address: write it like https://shop.example",
        ),
        (("woocommerce", "https://[shop"), "URL is no store address: write it like https://shop.example"),
        (("woocommerce", "https://shop.example:x"), "URL is no store address: write it like https://shop.example"),
        (("woocommerce", ""), "URL is no store address: write it like https://shop.example"),
    ],
)
def test_what_is_no_shops_address_is_wrong_use(cli: Cli, arguments: tuple[str, ...], text: str) -> None:
    assert cli.refusal("shops", "add", *arguments, status=2) == f"tillwire: {text}"


@pytest.mark.parametrize("name", ["2", "0", "nobody.example", "9" * 30, "", "٣"])
def test_an_unknown_shop_fails(cli: Cli, name: str) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    for command in (("shops", "show"), ("shops", "remove"), ("destinations", "list")):
        said = cli.refusal(*command, name, status=1)
        assert said == f"tillwire: there is no shop {name!r}: `tillwire shops list` shows them all"


def test_the_names_of_attributes_can_be_changed(cli: Cli) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    changed = cli.json("shops", "set", "1", "sprii=live_no, orderNo", "tcf_consent=consent")
    assert changed == {"shop": 1, "names": {"sprii": ["live_no", "orderNo"], "tcf_consent": ["consent"]}}
    assert cli.json("shops", "show", "1")["names"] == changed["names"]
    assert cli.refusal("shops", "set", "1", "spri=x", status=2) == (
        "tillwire: spri: no such list of names; there are sprii, seeka_profile, tcf_consent, spotler_cookie"
    )


def test_a_removed_shop_is_gone_stops_everything_and_comes_back_with_its_data(cli: Cli, sold: Rig) -> None:
    assert cli.json("shops", "remove", "1") == {"shop": 1, "removed": True}
    assert cli.json("shops", "list") == {"shops": []}
    assert cli.refusal("shops", "show", "1", status=1).startswith("tillwire: there is no shop '1'")
    assert cli.json("shops", "add", "woocommerce", STORE) == {"shop": 1}
    assert {each["mode"] for each in cli.json("destinations", "list", "1")["destinations"]} == {"off"}
    assert len(cli.json("events", "list", "--shop", "1", "--state", "understood")["events"]) == 4


def test_a_webhook_made_by_hand_takes_what_the_store_signs(rig: Rig, cli: Cli) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    made = cli.json("webhooks", "add", "1", "order.updated")
    assert set(made) == {"url", "secret"}
    assert re.fullmatch(r"/webhooks/woocommerce/[\w-]{32}", made["url"])
    assert re.fullmatch(r"[0-9a-f]{64}", made["secret"])
    own = cli.json("webhooks", "add", "1", "action.anything", "--secret", "grüße & more")
    assert own["secret"] == "grüße & more"
    for place, topic in ((made, "order.updated"), (own, "action.anything")):
        headers = {"X-WC-Webhook-Topic": topic, "X-WC-Webhook-Signature": signature(place["secret"], b"{}")}
        assert rig.client.post(place["url"], data=b"{}", headers=headers).get_json() == {"status": "stored"}
    assert cli.json("shops", "show", "1")["webhooks"] == [
        {"topic": "order.updated", "url": made["url"]},
        {"topic": "action.anything", "url": own["url"]},
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("1", "order.updated", "--secret", ""), 2, "--secret is empty: leave it out to get one of ours"),
        (("1", " "), 2, "TOPIC is empty or too long: write it like order.updated"),
        (("2", "order.updated"), 2, "SHOP is no WooCommerce store: Shopify needs no webhooks by hand"),
        (("3", "order.updated"), 1, "there is no shop '3': `tillwire shops list` shows them all"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(cli: Cli, arguments: tuple[str, ...], status: int, text: str) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    cli.json("shops", "add", "shopify", "my-shop.myshopify.com")
    assert cli.refusal("webhooks", "add", *arguments, status=status) == f"tillwire: {text}"


# destinations


def pairs(values: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_secrets_of_a_destination_are_shown_as_set_and_lie_encrypted(
    rig: Rig, cli: Cli, tmp_path: Path, provider: str
) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    secrets = {each.name: f"hush-{each.name}" for each in PROVIDERS[provider].settings if each.secret}
    given = {**CREDENTIALS[provider], **secrets}
    saved = cli.json("destinations", "set", "1", provider, *pairs(given), "--mode", "live")
    assert {name: saved[name] for name in saved if name != "settings"} == {
        **{"provider": provider, "mode": "live", "held": False, "reason": None, "counts": {}},
    }
    assert {name: saved["settings"][name] for name in given} == {
        **{name: value for name, value in given.items() if name not in secrets},
        **dict.fromkeys(secrets, "set"),
    }
    assert cli.json("destinations", "list", "1") == {"destinations": [saved]}
    everything = cli.text("destinations", "list", "1") + cli.text("shops", "show", "1")
    assert "hush" not in everything + json.dumps(cli.json("shops", "show", "1"))
    rig.db.close()
    assert not [path for path in (tmp_path / "var").iterdir() if b"hush" in path.read_bytes()]


def test_a_secret_taken_back_is_not_set(cli: Cli) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    assert cli.json("destinations", "set", "1", "sprii", "api_key=x")["settings"]["api_key"] == "set"
    assert cli.json("destinations", "set", "1", "sprii", "api_key=")["settings"]["api_key"] == "not set"


REQUIRED = {
    "sprii": "Sprii cannot be switched on without api_key",
    "spotler": "Spotler Activate cannot be switched on without account_id, api_key",
    "seeka": "Seeka cannot be switched on without organisation_id, public_key",
    "gameball": "Gameball cannot be switched on without api_key, secret_key",
    "esputnik": "eSputnik cannot be switched on without api_key",
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("mode", ["shadow", "live"])
def test_without_its_credentials_a_destination_cannot_be_switched_on(cli: Cli, provider: str, mode: str) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    said = cli.refusal("destinations", "set", "1", provider, "--mode", mode, status=2)
    assert said == f"tillwire: {REQUIRED[provider]}"
    assert cli.json("destinations", "list", "1") == {"destinations": []}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("sprii", "api_kee=hush"), "api_kee: Sprii has no such setting; it has api_key, "),
        (("sprii", "hush"), "setting 1 has no name: write it like name=value"),
        (("sprii", "api_key=x", "=hush"), "setting 2 has no name: write it like name=value"),
        (("sprii", "api_key=hu\nsh"), "api_key holds characters that cannot be sent: copy it again"),
        (("spotler", "send_carts=perhaps"), "send_carts is 'perhaps': enter yes or no"),
        (("sprii", "order_trigger=sometimes"), "order_trigger is 'sometimes': choose one of "),
    ],
)
def test_a_setting_that_cannot_be_is_named_and_no_secret_repeated(
    cli: Cli, arguments: tuple[str, ...], text: str
) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    said = cli.refusal("destinations", "set", "1", *arguments, status=2)
    assert said.startswith(f"tillwire: {text}")
    assert "hush" not in said


def test_setting_showing_and_previewing_contact_nobody(sold: Rig, cli: Cli) -> None:
    before = {name: len(sold.received(name)) for name in PROVIDERS}
    for name in PROVIDERS:
        cli.json("destinations", "set", "1", name, *pairs(CREDENTIALS[name]), "--mode", "live", "--last-days", "365")
        cli.json("mappings", "preview", "1", name)
    cli.json("destinations", "list", "1")
    assert {name: len(sold.received(name)) for name in PROVIDERS} == before


def test_off_holds_and_live_lets_go(rig: Rig, cli: Cli) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5))
    rig.account()
    off = cli.json("destinations", "set", "1", "gameball", "--mode", "off")
    assert (off["mode"], off["counts"]) == ("off", {"held": 1})
    assert rig.states() == [("order", "held", "the destination is off")]
    live = cli.json("destinations", "set", "1", "gameball", "--mode", "live")
    assert (live["mode"], live["counts"]) == ("live", {"pending": 1})
    rig.work()
    assert cli.json("destinations", "list", "1")["destinations"][0]["counts"] == {"delivered": 1}


def test_a_held_destination_says_why(rig: Rig, cli: Cli) -> None:
    shop = rig.shop("woocommerce")
    rig.set(shop, "gameball", mode="live", api_key="wrong-key", secret_key="x")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5))
    rig.work()
    (row,) = cli.json("destinations", "list", "1")["destinations"]
    assert (row["held"], row["counts"]) == (True, {"held": 1})
    assert "401" in row["reason"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_connection_test_says_accepted_refused_or_unknown(rig: Rig, cli: Cli, provider: str) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    before = {name: rig.simulators.app.state(name) for name in PROVIDERS}
    told = {}
    secret = next(each.name for each in PROVIDERS[provider].settings if each.secret or each.name == "public_key")
    for wanted, changes in (("accepted", {}), ("refused", {secret: "wrong-key"}), ("unknown", {})):
        rig.set(1, provider, **{**CREDENTIALS[provider], **changes})
        if wanted == "unknown":
            rig.simulators.app.set_faults(provider, [{"kind": "status", "status": 500}])
        told[wanted] = cli.json("destinations", "test", "1", provider)
        assert set(told[wanted]) == {"provider", "result", "note", "released"}
        assert told[wanted]["note"]
    assert {wanted: each["result"] for wanted, each in told.items()} == {
        **{"accepted": "accepted", "refused": "refused", "unknown": "unknown"},
    }
    assert {name: rig.simulators.app.state(name) for name in PROVIDERS if name != provider} == {
        name: state for name, state in before.items() if name != provider
    }


def test_an_accepted_connection_test_lets_go_what_was_held(rig: Rig, cli: Cli) -> None:
    shop = rig.shop("woocommerce")
    rig.set(shop, "gameball", mode="live", api_key="revoked-key", secret_key="x")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5))
    rig.work()
    assert cli.json("destinations", "test", "1", "gameball")["result"] == "refused"
    assert rig.states() == [("order", "held", rig.states()[0][2])]
    with rig.db.write() as session:  # mended at the provider: the key itself stays, what it may do changes
        session.execute(
            text("UPDATE destinations SET secrets = :s"), {"s": rig.parts.vault.close(CREDENTIALS["gameball"])}
        )
    done = cli.json("destinations", "test", "1", "gameball")
    assert (done["result"], done["released"]) == ("accepted", 1)
    assert [state for _, state, _ in rig.states()] == ["pending"]


def test_what_is_not_set_up_cannot_be_tested_or_previewed(cli: Cli) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    for command in (("destinations", "test"), ("mappings", "preview")):
        assert cli.refusal(*command, "1", "sprii", status=1) == (
            "tillwire: Sprii is not set up for this shop: `tillwire destinations set` does that"
        )


@pytest.mark.parametrize(
    "arguments",
    [
        ("destinations", "set", "1", "mailer"),
        ("destinations", "test", "1", "mailer"),
        ("mappings", "show", "1", "mailer"),
        ("deliveries", "list", "--provider", "mailer"),
    ],
)
def test_an_unknown_provider_is_wrong_use_and_the_known_ones_are_named(cli: Cli, arguments: tuple[str, ...]) -> None:
    said = cli.refusal(*arguments, status=2)
    assert "'mailer' is not one of 'sprii', 'spotler', 'seeka', 'gameball', 'esputnik'." in said


# mappings


def own_text(rig: Rig) -> str:
    with rig.db.read() as session:
        newest = session.scalars(select(MappingVersion).order_by(MappingVersion.version.desc())).first()
        return newest.text if newest else ""


CHANGE = ('fields.sku = { from = "item.sku" }', 'fields.sku = { from = "item.name" }')


def edited(cli: Cli, folder: Path, old: str, new: str) -> Path:
    """What a person does: show, change one line, save."""
    shown = cli.text("mappings", "show", "1", "gameball")
    assert shown.count(old) == 1
    file = folder / "mine.toml"
    file.write_text(shown.replace(old, new))
    return file


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_default_mapping_is_shown_with_its_comments_and_kept_as_nothing(
    rig: Rig, cli: Cli, tmp_path: Path, provider: str
) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    default = (DEFAULTS / f"{provider}.toml").read_text()
    assert cli.text("mappings", "show", "1", provider) == default
    assert cli.json("mappings", "show", "1", provider) == {"text": default}
    (tmp_path / "same.toml").write_text(default)
    kept = cli.json("mappings", "set", "1", provider, "same.toml")
    assert kept == {"shop": 1, "provider": provider, "changed_rules": []}
    assert own_text(rig) == ""


def test_of_a_changed_mapping_only_the_difference_is_kept(rig: Rig, cli: Cli, tmp_path: Path) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    file = edited(cli, tmp_path, *CHANGE)
    saved = cli.json("mappings", "set", "1", "gameball", str(file))
    assert saved == {"shop": 1, "provider": "gameball", "changed_rules": ["order"]}
    own = own_text(rig)
    assert 'from = "item.name"' in own
    assert len(own.splitlines()) < 10
    assert "customerId" not in own
    shown = cli.text("mappings", "show", "1", "gameball")
    assert 'from = "item.name"' in shown
    assert "customerId" in shown
    (tmp_path / "again.toml").write_text(shown)
    cli.json("mappings", "set", "1", "gameball", "again.toml")
    assert own_text(rig) == own


def test_a_mapping_can_be_taken_back(cli: Cli, tmp_path: Path) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    before = cli.text("mappings", "show", "1", "gameball")
    cli.json("mappings", "set", "1", "gameball", str(edited(cli, tmp_path, *CHANGE)))
    reset = cli.json("mappings", "reset", "1", "gameball")
    assert reset == {"shop": 1, "provider": "gameball", "changed_rules": []}
    assert cli.text("mappings", "show", "1", "gameball") == before


def test_who_saves_and_takes_back_a_mapping_by_the_command_line_stands_in_the_trail(
    rig: Rig, cli: Cli, tmp_path: Path
) -> None:
    cli.json("shops", "add", "woocommerce", STORE)
    cli.json("mappings", "set", "1", "gameball", str(edited(cli, tmp_path, *CHANGE)))
    cli.json("mappings", "reset", "1", "gameball")
    with rig.db.read() as session:
        trail = session.scalars(select(AuditEntry).where(AuditEntry.action == "change mapping").order_by(AuditEntry.id))
        told = [(each.shop_id, each.actor, each.before, each.after) for each in trail]
    ours = {"provider": "gameball", "version": 0, "order: lineItems.sku": "Each line → SKU"}
    own = {"provider": "gameball", "version": 1, "order: lineItems.sku": "Each line → name"}
    assert told == [(1, "operator", ours, own), (1, "operator", own, {**ours, "version": 2})]


UNKNOWN_ACTION = '[[rules]]\nname = "order"\naction = "buy"\n'


@pytest.mark.parametrize(
    ("content", "status", "text"),
    [
        (b"rules = [", 1, "mine.toml: "),
        (b"[other]\n", 1, 'mine.toml: unknown key "other"; a mapping holds [[rules]]'),
        (UNKNOWN_ACTION.encode(), 1, "mine.toml: rule \"order\": action: Gameball has no action 'buy'; it has "),
        (b"\xff\xfe", 2, "mine.toml is not UTF-8 text: save it as such"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_neither_saved_nor_previewed(
    sold: Rig, cli: Cli, tmp_path: Path, content: bytes, status: int, text: str
) -> None:
    (tmp_path / "mine.toml").write_bytes(content)
    for command in ("set", "preview"):
        said = cli.refusal("mappings", command, "1", "gameball", "mine.toml", status=status)
        assert said.startswith(f"tillwire: {text}")
        assert "\n" not in said
    assert cli.text("mappings", "show", "1", "gameball") == (DEFAULTS / "gameball.toml").read_text()


def test_a_missing_file_is_wrong_use(cli: Cli) -> None:
    for command in ("set", "preview"):
        assert "'none.toml' does not exist." in cli.refusal("mappings", command, "1", "gameball", "none.toml", status=2)


def test_a_preview_shows_payloads_now_and_then_and_where_they_differ(sold: Rig, cli: Cli, tmp_path: Path) -> None:
    now = cli.json("mappings", "preview", "1", "gameball")["events"]
    assert [set(row) for row in now] == [{"event", "kind", "order", "rule", "now", "complaints"}] * 2
    assert [(row["kind"], row["order"], row["rule"]) for row in now] == [
        ("order.paid", "501", "order"),
        ("order.paid", "502", "order"),
    ]
    assert [row["now"]["payload"] for row in now] == sold.received("gameball")

    file = edited(cli, tmp_path, *CHANGE)
    rows = cli.json("mappings", "preview", "1", "gameball", str(file))["events"]
    assert [set(row) for row in rows] == [
        {"event", "kind", "order", "rule", "now", "then", "differences", "complaints"}
    ] * 2
    line = rows[0]["now"]["payload"]["lineItems"][0]
    changed = rows[0]["then"]["payload"]["lineItems"][0]
    assert rows[0]["differences"] == [
        {"path": "payload.lineItems[0].sku", "now": line.get("sku"), "then": changed["sku"]}
    ]
    assert rows[0]["complaints"] == []
    assert cli.text("mappings", "show", "1", "gameball") == (DEFAULTS / "gameball.toml").read_text()


def test_a_preview_tells_what_the_provider_would_complain_of(sold: Rig, cli: Cli, tmp_path: Path) -> None:
    old = 'fields.totalPaid = { from = "order.total", as = ["round2", "number"] }'
    file = edited(cli, tmp_path, old, "fields.totalPaid = { value = 1 }")
    (row, _) = cli.json("mappings", "preview", "1", "gameball", str(file))["events"]
    assert row["complaints"] == [
        "Lines and shipping against totalPaid: 80.00 against 1.00, 79.00 apart.",
        "totalPrice less totalDiscount against totalPaid: 80.00 against 1.00, 79.00 apart.",
    ]
    said = cli.text("mappings", "preview", "1", "gameball", str(file))
    assert "  payload.totalPaid: 80 -> 1\n" in said
    assert f"  complaint: {row['complaints'][0]}\n" in said


def test_a_preview_takes_the_last_events_only(sold: Rig, cli: Cli) -> None:
    assert [row["order"] for row in cli.json("mappings", "preview", "1", "gameball", "--last", "1")["events"]] == [
        "502"
    ]


def test_how_long_messages_are_kept_is_chosen_and_shown(sold: Rig, cli: Cli) -> None:
    assert cli.json("shops", "show", "1")["days_kept"] == 90
    assert cli.json("shops", "keep", "1", "30") == {"shop": 1, "days": 30}
    assert cli.json("shops", "show", "1")["days_kept"] == 30
    assert "from 14 to 730" in cli.refusal("shops", "keep", "1", "5", status=2)


@pytest.mark.parametrize("name", ["501", "R-7", "#R-7"])
# orders, events, deliveries


def test_an_order_is_found_by_the_platforms_id_and_by_the_number_on_the_receipt(sold: Rig, cli: Cli, name: str) -> None:
    order = cli.json("orders", "show", "1", name)
    assert set(order) == {"shop", "order", "number", "known", "webhooks", "events", "deliveries"}
    assert (order["shop"], order["order"], order["number"]) == (1, "501", "R-7")
    assert [each["kind"] for each in order["events"]] == ["order.placed", "order.paid"]
    assert [set(each) for each in order["webhooks"]] == [{"id", "topic", "received_at", "state", "bytes", "body_hash"}]
    tried = {each["provider"]: each for each in order["deliveries"]}
    assert {name: each["state"] for name, each in tried.items()} == {
        **{"sprii": "delivered", "gameball": "delivered", "spotler": "shadow", "seeka": "dead"},
    }
    (attempt,) = tried["gameball"]["tries"]
    assert set(attempt) == {"number", "purpose", "started_at", "finished_at", "outcome", "status", "answer", "payload"}
    assert (attempt["number"], attempt["purpose"], attempt["outcome"], attempt["status"]) == (
        1,
        "send",
        "accepted",
        200,
    )
    assert attempt["payload"] == sold.received("gameball")[0]


def test_an_orders_timeline_can_be_read_by_people(sold: Rig, cli: Cli) -> None:
    said = cli.text("orders", "show", "1", "R-7").splitlines()
    assert said[0] == "order 501, number R-7"
    assert [line for line in said if line.endswith(":")] == ["webhooks:", "events:", "deliveries:", "attempts:"]
    assert any(re.match(r"  \d+ +seeka +1 +send .* 400 ", line) for line in said)
    assert max(map(len, said)) < 300


def test_an_unknown_order_fails(sold: Rig, cli: Cli) -> None:
    assert cli.refusal("orders", "show", "1", "R-9", status=1) == (
        "tillwire: this shop has no order 'R-9': give the platform's id or the number on the receipt"
    )


def test_events_have_the_promised_fields_and_can_be_chosen(sold: Rig, cli: Cli) -> None:
    other = sold.shop("woocommerce", "https://other.example")
    sold.woocommerce(other, "order.updated", b"{}")
    sold.account()
    sold.woocommerce(other, "order.updated", woocommerce_order(9))
    events = cli.json("events", "list")["events"]
    assert {"id", "shop", "kind", "order", "occurred_at", "state", "error"} <= set(events[0])
    wanted = [
        (1, "order.placed", "501", "understood"),
        (1, "order.paid", "501", "understood"),
        (1, "order.placed", "502", "understood"),
        (1, "order.paid", "502", "understood"),
        (2, "order.updated", None, "error"),
        (2, "order.updated", None, "pending"),
    ]

    def listed(*arguments: str) -> list[tuple[Any, ...]]:
        rows = cli.json("events", "list", *arguments)["events"]
        return [(row["shop"], row["kind"], row["order"], row["state"]) for row in rows]

    assert listed() == wanted
    assert listed("--shop", "other.example") == wanted[4:]
    assert listed("--order", "502") == listed("--order", "#R-8", "--shop", "1") == wanted[2:4]
    assert listed("--state", "error") == wanted[4:5]
    assert listed("--state", "pending") == wanted[5:]
    assert listed("--limit", "3") == wanted[3:]
    assert events[4]["error"] == "$.status: expected text, found nothing"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", events[0]["occurred_at"])


def test_deliveries_have_the_promised_fields_and_can_be_chosen(sold: Rig, cli: Cli) -> None:
    rows = cli.json("deliveries", "list")["deliveries"]
    promised = {
        *("id", "shop", "provider", "action", "event", "order", "state", "reason", "attempts", "next_attempt_at"),
        *("delivered_at", "payload"),
    }
    assert promised <= set(rows[0])
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    gameball = [row for row in rows if row["provider"] == "gameball"]
    assert [(row["order"], row["state"], row["attempts"], row["next_attempt_at"]) for row in gameball] == [
        ("501", "delivered", 1, None),
        ("502", "delivered", 1, None),
    ]
    assert [row["payload"] for row in gameball] == sold.received("gameball")

    def listed(*arguments: str) -> list[int]:
        return [row["id"] for row in cli.json("deliveries", "list", *arguments)["deliveries"]]

    def those(**wanted: str) -> list[int]:
        return [row["id"] for row in rows if all(row[name] == value for name, value in wanted.items())]

    assert listed("--provider", "gameball") == those(provider="gameball")
    assert listed("--order", "R-8") == listed("--order", "502") == those(order="502")
    assert listed("--state", "dead") == those(state="dead") != []
    assert listed("--shop", "1", "--state", "shadow", "--provider", "spotler") == those(state="shadow")
    assert listed("--limit", "2") == listed()[-2:]
    assert listed("--since", rows[0]["created_at"]) == listed()
    assert listed("--since", "2999-01-01") == []
    assert listed("--since", rows[-1]["created_at"].replace("Z", "+00:00")) == listed("--since", rows[-1]["created_at"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("deliveries", "list", "--state", "done"), "'done' is not one of 'pending', 'retrying', 'delivered',"),
        (("deliveries", "list", "--since", "yesterday"), "'yesterday' is no time: write it like 2026-03-02T09:15:30Z"),
        (("deliveries", "list", "--limit", "0"), "0 is not in the range"),
        (("events", "list", "--state", "done"), "'done' is not one of 'pending', 'understood', 'ignored', 'parked',"),
        (("deliveries", "replay"), "give delivery IDs, or --shop with a choice of them"),
        (("deliveries", "replay", "0"), "0 is not in the range"),
        (("deliveries", "replay", "1", "--state", "pending"), "'pending' is not one of"),
        (("shops",), "Usage: tillwire shops"),
        (("shops", "rename"), "No such command 'rename'"),
        (("shops", "show"), "Missing argument 'SHOP'"),
        (("simulate", "shop", "shopify"), "a Shopify shop signs with the app's secret: give --secret"),
        (
            ("simulate", "shop", "woocommerce", "--webhook", "t=hush"),
            "--webhook: write it like order.updated=PATH,SECRET",
        ),
        (("simulate", "shop", "woocommerce"), "a WooCommerce shop sends to webhooks made by `tillwire webhooks add`"),
    ],
)
def test_wrong_use_ends_with_status_2_and_says_what_would_be_right(
    cli: Cli, arguments: tuple[str, ...], text: str
) -> None:
    said = cli.refusal(*arguments, status=2, SHOPIFY_API_SECRET="")
    assert text in said
    assert "hush" not in said


def test_lists_for_people_are_tables_of_what_there_is(sold: Rig, cli: Cli) -> None:
    lines = cli.text("deliveries", "list", "--provider", "gameball").splitlines()
    assert (
        re.split(r"  +", lines[0])
        == [
            *("id", "shop", "provider", "action", "event", "order", "state", "attempts", "created at", "delivered at"),
        ]
        or "reason" in lines[0]
    )
    assert [len(lines), lines[1].split()[2:4], lines[2].split()[2:4]] == [
        3,
        ["gameball", "order"],
        ["gameball", "order"],
    ]
    assert max(map(len, lines)) < 200
    assert cli.text("deliveries", "list", "--state", "unknown") == "no deliveries\n"
    assert cli.text("shops", "list").splitlines()[0].split() == ["shop", "platform", "domain", "created", "at"]
    assert "settings: " not in cli.text("destinations", "list", "1")


# replay


def of(rig: Rig, provider: str, order: str = "501") -> int:
    (row,) = rig.deliveries(provider=provider, order=order)
    return int(row["id"])


def test_a_dry_run_counts_and_changes_nothing(sold: Rig, cli: Cli) -> None:
    before = sold.deliveries()
    counted = cli.json("deliveries", "replay", "--shop", "1", "--dry-run")
    assert counted == {
        "found": 8,
        "by_state": {"delivered": 3, "skipped": 1, "shadow": 2, "dead": 2},
        "replayed": 0,
        "would_replay": 7,
        "waiting": 0,
        "refused": [of(sold, "sprii")],
        "superseded": [],
        "reason": "a repeat would count twice at the provider; --force sends all the same",
    }
    assert sold.deliveries() == before


def test_what_was_refused_is_sent_again_once_it_was_mended(sold: Rig, cli: Cli) -> None:
    sold.simulators.app.set_faults("seeka", [])
    done = cli.json("deliveries", "replay", "--shop", "1", "--state", "dead")
    assert (done["found"], done["replayed"], done["refused"], done["reason"]) == (2, 2, [], None)
    again = cli.json("deliveries", "list", "--provider", "seeka")["deliveries"]
    assert {(row["state"], row["reason"], row["attempts"]) for row in again} == {
        ("pending", "sent again by a person", 0)
    }
    sold.work()
    assert [row["state"] for row in sold.deliveries(provider="seeka")] == ["delivered", "delivered"]


def test_what_adds_value_twice_is_refused_unless_forced(sold: Rig, cli: Cli) -> None:
    number = of(sold, "sprii")
    refused = cli.json("deliveries", "replay", str(number), status=1)
    assert (refused["replayed"], refused["refused"]) == (0, [number])
    assert refused["reason"] == "a repeat would count twice at the provider; --force sends all the same"
    sold.work()
    assert len(sold.received("sprii")) == 1
    forced = cli.json("deliveries", "replay", str(number), "--force")
    assert (forced["replayed"], forced["refused"]) == (1, [])
    sold.work(settled="sprii")
    assert len(sold.received("sprii")) == 2


def test_what_only_sets_a_value_is_sent_again_without_asking(sold: Rig, cli: Cli) -> None:
    number = of(sold, "gameball")
    assert cli.json("deliveries", "replay", str(number))["replayed"] == 1
    (row,) = sold.deliveries(provider="gameball", order="501")
    assert (row["state"], row["delivered_at"]) == ("pending", None)
    sold.work()
    assert len(sold.received("gameball")) == 3
    assert of(sold, "gameball") == number


def test_an_earlier_state_is_not_sent_over_a_later_one(rig: Rig, cli: Cli) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "esputnik")
    for minute, status in ((0, "pending"), (5, "completed")):
        rig.woocommerce(shop, "order.updated", woocommerce_order(1, minute=minute, status=status, paid=minute > 0))
        rig.work()
    first = rig.deliveries()[0]["id"]
    left_out = cli.json("deliveries", "replay", str(first), status=1)
    assert (left_out["replayed"], left_out["refused"], left_out["superseded"]) == (0, [], [first])
    both = cli.json("deliveries", "replay", "--shop", "1", "--state", "delivered")
    assert (both["replayed"], both["superseded"]) == (1, [first])
    rig.work()
    sent = [each["orders"][0]["status"] for each in rig.received("esputnik")]
    assert sent == ["INITIALIZED", "DELIVERED", "DELIVERED"]
    # Nothing would come to correct it, so not even a person may.
    assert cli.json("deliveries", "replay", str(first), "--force", status=1)["superseded"] == [first]


def test_a_replay_to_a_destination_that_is_off_waits_for_it(sold: Rig, cli: Cli) -> None:
    cli.json("destinations", "set", "1", "gameball", "--mode", "off")
    cli.json("deliveries", "replay", "--shop", "1", "--provider", "gameball")
    assert sold.states(provider="gameball") == [("order", "held", "the destination is off")] * 2
    cli.json("destinations", "set", "1", "gameball", "--mode", "live")
    sold.work()
    assert [state for _, state, _ in sold.states(provider="gameball")] == ["delivered"] * 2


def test_a_replay_is_of_the_chosen_ones_alone(sold: Rig, cli: Cli) -> None:
    other = sold.shop("woocommerce", "https://other.example")
    sold.switch_on(other, "gameball")
    sold.woocommerce(other, "order.updated", woocommerce_order(9, customer_id=5))
    sold.work()
    rows = sold.deliveries(shop_id=1)
    middle = "2026-03-02T09:00:00+00:00"
    with sold.db.write() as session:
        before = datetime.fromisoformat(middle) - timedelta(seconds=1)
        session.execute(update(Delivery).where(Delivery.id <= 2).values(created_at=before))

    def found(*arguments: str) -> int:
        return int(cli.json("deliveries", "replay", "--dry-run", *arguments)["found"])

    assert found("--shop", "2") == 1
    assert found("--shop", "1", "--provider", "gameball") == 2
    assert found("--shop", "1", "--state", "shadow") == 2
    assert found("--shop", "1", "--until", middle) == 2
    assert found("--shop", "1", "--since", middle) == len(rows) - 2 > 0
    assert found(*(str(row["id"]) for row in rows[:3])) == 3
    assert found(str(of(sold, "gameball")), "--shop", "2") == 0


def test_what_is_under_way_is_left_alone_and_what_is_not_there_fails(rig: Rig, cli: Cli) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5))
    rig.account()
    assert cli.json("deliveries", "replay", "1")["found"] == 0
    said = cli.refusal("deliveries", "replay", "1", "7", "8", status=1)
    assert said == "tillwire: there is no delivery 7, 8: `tillwire deliveries list` shows them all"


# what fails as a whole


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////nowhere/tillwire.db", "unable to open database file"),
        ("postgresql+psycopg://u:hush@127.0.0.1:1/n?connect_timeout=2", "connection failed"),
    ],
)
def test_a_database_that_does_not_answer_fails_in_one_line(cli: Cli, url: str, reason: str) -> None:
    said = cli.refusal("shops", "list", "--json", status=1, DATABASE_URL=url, BROKER_URL="")
    assert said.startswith(f"tillwire: DATABASE_URL: the database does not answer ({reason}")
    assert "\n" not in said
    assert "hush" not in said


def test_a_database_of_a_later_version_fails_in_one_line(rig: Rig, cli: Cli) -> None:
    with rig.db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    said = cli.refusal("shops", "list", status=1)
    assert said.startswith("tillwire: the database was made by another version of Tillwire (")
    assert "\n" not in said


def test_secrets_that_no_key_opens_fail_with_the_remedy(sold: Rig, cli: Cli) -> None:
    said = cli.refusal("destinations", "list", "1", status=1, ENCRYPTION_KEYS=Fernet.generate_key().decode())
    assert said == (
        "tillwire: a stored secret opens with none of ENCRYPTION_KEYS: put the key back that it was made with"
    )


def test_the_schema_is_brought_up_to_date_by_any_command(cli: Cli, bare_url: str) -> None:
    assert json.loads(cli.run("shops", "list", "--json", DATABASE_URL=bare_url).stdout) == {"shops": []}
    db = Database(bare_url)
    assert db.ready()
    db.close()


# help


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


@pytest.mark.parametrize("path", [path for path, _ in commands(main)], ids=" ".join)
def test_every_command_and_option_is_explained_in_lines_that_fit(path: tuple[str, ...]) -> None:
    command = dict(commands(main))[path]
    shown = CliRunner().invoke(main, [*path, "--help"], prog_name="tillwire")
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert re.fullmatch(r"[A-Z].*\.", command.get_short_help_str(60)), "cut off in the list of commands"
    assert [each.name for each in command.params if isinstance(each, click.Option) and not each.help] == []


def test_everything_that_prints_a_value_can_print_it_as_json() -> None:
    without = {
        " ".join(path)
        for path, command in commands(main)
        if not isinstance(command, click.Group) and "as_json" not in {each.name for each in command.params}
    }
    assert without == {"simulate shop"}


def test_the_version_can_be_asked_for() -> None:
    assert CliRunner().invoke(main, ["--version"], prog_name="tillwire").stdout == "tillwire, version 0.1.0\n"
