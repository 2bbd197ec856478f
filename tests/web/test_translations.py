"""Every page in another language: nothing that a merchant reads is left in English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from flask import Flask

from app.providers.registry import PROVIDERS
from app.services.route import effective
from app.services.said import said
from app.web import texts
from tests.bodies import woocommerce_order
from tests.catalogues import PSEUDO, unmarked, write_pseudo
from tests.rig import Rig
from tests.visitor import ANNA, Visitor, connect, serving

STORE = "store.example"
#: Names, and what providers and stores call things.
DATA = frozenset(
    {"Tillwire", "UTC", "HTTP", "ck_", "cs_", "Simulated", "fault", *re.findall(r"\w+", f"{STORE} {ANNA}")}
    | {word for provider in PROVIDERS.values() for word in provider.title.split()}
    | {
        name
        for provider in PROVIDERS.values()
        for action in provider.actions.values()
        for path in action.fields
        for name in re.split(r"\W", path)
    }
    | {rule["name"] for name in PROVIDERS for rule in effective(name, "").rules}
)


@pytest.fixture(scope="module")
def catalogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogues")
    write_pseudo(folder)
    return folder


@pytest.fixture
def shop(rig: Rig) -> int:
    """A store in which much has happened: sent, skipped, refused, refunded, cancelled and held."""
    shop = rig.shop("woocommerce", f"https://{STORE}")
    rig.switch_on(shop)
    rig.set(shop, "gameball", send_guests="no")
    rig.simulators.app.set_faults("seeka", [{"kind": "401"}])
    for number, more in ((1043, {}), (1044, {"customer_id": 7}), (1045, {"customer_id": 7, "sprii": None})):
        assert rig.woocommerce(shop, "order.updated", woocommerce_order(number, **more)) == "stored"
    rig.work()
    refunded = woocommerce_order(1044, customer_id=7, minute=5, refunds=((9, "30.00"),))
    assert rig.woocommerce(shop, "order.updated", refunded) == "stored"
    rig.simulators.app.set_faults("gameball", [{"kind": "400"}])
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(1046, customer_id=8)) == "stored"
    rig.work()
    return connect(rig, shop)


@pytest.fixture
def anna(rig: Rig, shop: int, catalogues: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    monkeypatch.setattr(texts, "CATALOGUES", catalogues)
    monkeypatch.setattr(texts, "LANGUAGES", ("en", PSEUDO))
    with serving(rig, smtp_url="smtp://127.0.0.1:9") as app:
        app.config["RATELIMIT_ENABLED"] = False
        visitor = Visitor(app)
        visitor.join(visitor.sign_in(), shop)
        yield visitor


def pages(shop: int, rig: Rig) -> list[str]:
    at = f"/shops/{shop}"
    providers = ("sprii", "spotler", "seeka", "gameball", "esputnik")
    return [
        *("/", "/sign-in", "/sign-in/link", "/connect/woocommerce", "/connect/woocommerce/manual", "/nowhere"),
        *(at, f"{at}/orders", f"{at}/deliveries", f"{at}/providers", f"{at}/connection", f"{at}/settings"),
        f"{at}/settings/changes",
        *(f"{at}/orders/{number}" for number in (1043, 1044, 1045, 1046)),
        *(f"{at}/deliveries?state={state}" for state in ("delivered", "skipped", "held", "dead", "unknown", "shadow")),
        *(f"{at}/deliveries/{each['id']}" for each in rig.deliveries()),
        *(f"{at}/providers/{name}" for name in providers),
        *(f"{at}/providers/{name}/ready" for name in providers),
        *(f"{at}/mappings/{name}" for name in providers),
        *(f"{at}/mappings/{name}/{page}" for name in providers for page in ("text", "versions")),
    ]


def test_every_text_of_every_page_can_be_translated(rig: Rig, anna: Visitor, shop: int) -> None:
    left = []
    for path in pages(shop, rig):
        page = anna.get(path, headers={"Accept-Language": PSEUDO}).get_data(as_text=True)
        assert "⟦" in page, path
        left += [(re.sub(r"\d+", "0", path), text) for text in unmarked(page, DATA)]
    assert list(dict.fromkeys(left)) == []


def test_what_is_answered_to_wrong_forms_can_be_translated(anna: Visitor, shop: int) -> None:
    settings = f"/shops/{shop}/settings"
    forms = {
        f"{settings}/people": {"email": "nobody"},
        f"{settings}/alerts": {"address": "nobody"},
        f"{settings}/names": {"names": "x" * 500},
        f"{settings}/retention": {"days": "1"},
        "/sign-in": {"email": "nobody"},
        "/sign-in/link": {"token": "spent"},
        "/alerts/confirm": {"token": "spent"},
        "/connect/woocommerce": {"address": "ftp://"},
        "/connect/woocommerce/manual": {"address": f"https://{STORE}", "key": "short", "secret": "short"},
        f"/shops/{shop}/providers/gameball": {"return_window_days": "no number"},
        f"/shops/{shop}/mappings/gameball/text": {"text": "rules = 1"},
    }
    given, left = {"csrf_token": anna.token()}, []
    for path, fields in forms.items():
        answer = anna.post(path, headers={"Accept-Language": PSEUDO}, **given, **fields)
        assert answer.status_code in (400, 409), path
        left += [(path, text) for text in unmarked(answer.get_data(as_text=True), DATA)]
    assert left == []


# --- the catalogues that are here ------------------------------------------------------------------------------------

OFFERED = [each for each in texts.LANGUAGES if each != "en"]
_PLACES = re.compile(r"%\(\w+\)s|\{\w+\}|</?\w+>")


def catalogue(language: str) -> Catalog:
    with (texts.CATALOGUES / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=language)


@pytest.mark.parametrize("language", OFFERED)
def test_a_language_that_is_offered_has_every_text(language: str, catalogues: Path) -> None:
    with (catalogues / "messages.pot").open("rb") as file:
        wanted = {message.id for message in read_po(file) if message.id}
    known = {message.id for message in catalogue(language) if message.id and not message.fuzzy and _whole(message)}
    assert sorted(map(str, wanted - known)) == []


def _whole(message: Message) -> bool:
    return all(message.string) if isinstance(message.string, tuple) else bool(message.string)


@pytest.mark.parametrize("language", OFFERED)
def test_what_is_put_into_a_text_is_put_into_its_translation(language: str) -> None:
    wrong = []
    for message in catalogue(language):
        given = message.id[-1] if isinstance(message.id, (list, tuple)) else message.id
        several = message.string if isinstance(message.string, tuple) else (message.string,)
        wrong += [each for each in several if message.id and places(each) != places(given)]
    assert wrong == []


def places(text: str) -> list[str]:
    return sorted(_PLACES.findall(text))


@pytest.mark.parametrize("language", OFFERED)
def test_what_is_served_is_what_was_written(language: str) -> None:
    """Else `make texts` was forgotten."""
    with (texts.CATALOGUES / language / "LC_MESSAGES" / "messages.mo").open("rb") as file:
        served = read_mo(file)
    assert _texts(served) == _texts(catalogue(language))


def _texts(found: Catalog) -> dict[str, list[str]]:
    return {
        " | ".join(each.id) if isinstance(each.id, (list, tuple)) else each.id: [*each.string]
        if isinstance(each.string, (list, tuple))
        else [each.string]
        for each in found
        if each.id
    }


@pytest.fixture
def german(rig: Rig, shop: int) -> Iterator[Visitor]:
    with serving(rig) as app:
        visitor = Visitor(app)
        visitor.join(visitor.sign_in(), shop)
        yield visitor


def test_a_page_is_in_the_language_that_the_browser_asks_for(german: Visitor, shop: int) -> None:
    page = german.get(f"/shops/{shop}/orders/1043", headers={"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"})
    told = page.get_data(as_text=True)
    assert '<html lang="de"' in told
    assert "<h1>Bestellung 1043 " in told
    assert "Der Käufer hat kein Konto in Ihrem Shop, und Gäste werden an diesen Anbieter nicht gesendet." in told
    assert "80,00\xa0DKK" in told


def test_shopifys_admin_says_which_language_its_pages_have(german: Visitor, shop: int) -> None:
    page = german.get(f"/shops/{shop}?locale=de-DE", headers={"Accept-Language": "en"}).get_data(as_text=True)
    assert '<html lang="de"' in page


def test_a_language_can_be_chosen_and_given_up(german: Visitor, shop: int) -> None:
    settings = f"/shops/{shop}/settings"
    for choice, language in (("de", "de"), ("xx", "en"), ("de", "de"), ("", "en")):
        answer = german.press(settings, f"{settings}/language", language=choice)
        assert (answer.status_code, answer.location) == (303, f"{settings}?done=language")
        assert f'<html lang="{language}"' in german.get(settings).get_data(as_text=True)


def test_a_language_that_was_chosen_outlasts_the_session(german: Visitor, shop: int) -> None:
    settings = f"/shops/{shop}/settings"
    german.press(settings, f"{settings}/language", language="de")
    assert german.press(settings, "/sign-out").location == "/sign-in"
    assert '<html lang="de"' in german.get("/sign-in").get_data(as_text=True)
    german.sign_in()
    assert '<html lang="de"' in german.get(settings).get_data(as_text=True)
    german.press(settings, f"{settings}/language", language="")
    german.press(settings, "/sign-out")
    assert german.cookie() is None
    assert '<html lang="en"' in german.get("/sign-in").get_data(as_text=True)


def test_what_a_service_says_is_put_together_in_the_readers_language() -> None:
    app = Flask("pages")
    texts.init(app)
    app.secret_key = "0"
    with app.test_request_context(headers={"Accept-Language": "de"}):
        assert said("The store did not answer (timeout): it is tried again within the hour. Nothing was changed.") == (
            "Der Shop hat nicht geantwortet (timeout): Es wird innerhalb einer Stunde wieder versucht."
            " Es wurde nichts geändert."
        )
        assert said("Enter a whole number from 0 to 7300.") == "Geben Sie eine ganze Zahl von 0 bis 7300 ein."
        assert said("nobody's sentence") == "nobody's sentence"
        assert said(None) == ""
    assert said("Nothing was changed.") == "Nothing was changed."
