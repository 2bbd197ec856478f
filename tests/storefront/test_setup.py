"""How a merchant gets the code: on the setup list, and as a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask, Response, render_template
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from app.services import storefront
from app.simulators.server import Server
from tests.browser import console, shoot
from tests.rig import Rig

PAGE = """<!doctype html><html lang="en"><head><title>Setup</title>
<link rel="stylesheet" href="/static/tillwire.css"></head><body><main><div class="card">%s</div></main></body></html>"""


def code(platform: str) -> str:
    found = storefront.snippet(platform)
    assert found is not None
    return found.code


@pytest.fixture
def setup_page(rig: Rig) -> Iterator[str]:
    """The address of the setup steps alone, ``<address>/<platform>``."""
    app = Flask(__name__, static_folder="../../app/web/static")

    def show(platform: str) -> str:
        with rig.app.test_request_context():
            return PAGE % render_template("storefront/_setup.html", snippet=storefront.snippet(platform))

    app.add_url_rule("/favicon.ico", view_func=lambda: Response(status=204), endpoint="icon")
    app.add_url_rule("/<platform>", view_func=show)
    with Server(app) as server:
        yield server.url


@pytest.mark.parametrize("platform", storefront.PLATFORMS)
def test_the_page_shows_the_code_to_the_letter_and_runs_nothing(
    browser: WebDriver, setup_page: str, platform: str
) -> None:
    browser.get(f"{setup_page}/{platform}")
    field = browser.find_element(By.ID, "storefront-code")
    assert field.get_property("value") == code(platform)
    assert browser.execute_script("return [document.scripts.length, typeof tillwireSprii]") == [0, "undefined"]
    assert console(browser) == []
    shoot(browser, f"setup-{platform}")


def test_the_file_is_the_code_and_never_shown_as_a_page(rig: Rig) -> None:
    for platform, name in (("shopify", "tillwire-sprii.liquid"), ("woocommerce", "tillwire-sprii.php")):
        answer = rig.client.get(f"/storefront/{platform}")
        assert answer.status_code == 200
        assert answer.get_data(as_text=True) == code(platform)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("platform", ["", "magento", "../shopify", "sprii.js"])
def test_there_is_nothing_else_to_get(rig: Rig, platform: str) -> None:
    assert rig.client.get(f"/storefront/{platform}").status_code == 404


@pytest.mark.parametrize("platform", storefront.PLATFORMS)
def test_the_shared_part_is_set_in_once(platform: str) -> None:
    assert code(platform).count("function settle()") == 1
    assert "//= sprii.js" not in code(platform)


def test_the_theme_code_leaves_nothing_for_liquid_to_read() -> None:
    inside = code("shopify").partition("{% raw %}")[2].partition("{% endraw %}")[0]
    assert inside.startswith("<script>")
    assert inside.endswith("</script>")
    assert "{%" not in inside
    assert "{{" not in inside


@pytest.mark.parametrize("platform", storefront.PLATFORMS)
def test_the_code_loads_nothing_from_elsewhere_and_runs_no_text(platform: str) -> None:
    for word in (
        "eval(",
        "new Function",
        "innerHTML",
        "document.write",
        "importScripts",
        "://",
        "addEventListener('message",
    ):
        assert word not in code(platform), word
