"""The snippet for WooCommerce, run by PHP against the few functions that it stands on."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
GIVEN = {"sprii_order_no": "5934-14"}
MARKED = {"sprii_order_no": "5934-14"}


def run(php: str, snippet: Path, scenario: str, data: object = None) -> Any:
    arguments = [php, str(HERE / "woocommerce_checks.php"), str(snippet), scenario, json.dumps(data)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return json.loads(done.stdout)


def test_it_is_php(php: str, php_snippet: Path) -> None:
    done = subprocess.run([php, "-l", str(php_snippet)], capture_output=True, text=True, timeout=30)
    assert done.stdout.startswith("No syntax errors detected"), done.stdout


def test_opened_by_itself_it_does_nothing(php: str, php_snippet: Path) -> None:
    done = subprocess.run([php, str(php_snippet)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_classic_checkout_marks_this_order_and_not_the_next(php: str, php_snippet: Path) -> None:
    assert run(php, php_snippet, "classic", GIVEN) == [[MARKED, 1], [[], 1]]


def test_the_blocks_checkout_marks_and_saves_once_and_not_the_next(php: str, php_snippet: Path) -> None:
    assert run(php, php_snippet, "blocks", GIVEN) == [[MARKED, 1], [[], 0]]


def test_a_session_of_a_cart_token_without_cookie_methods_does_not_break_the_cart(php: str, php_snippet: Path) -> None:
    assert run(php, php_snippet, "token", GIVEN) == ["5934-14", [MARKED, 1]]


def test_a_guest_with_an_empty_cart_is_given_a_session_once(php: str, php_snippet: Path) -> None:
    assert run(php, php_snippet, "guest", GIVEN) == [True, 1, "5934-14"]


def test_a_shopper_with_a_session_keeps_it(php: str, php_snippet: Path) -> None:
    assert run(php, php_snippet, "known", GIVEN) == [0, "5934-14"]


@pytest.mark.parametrize(
    "data",
    [None, "5934-14", 5, [], {}, {"orderNo": "5934-14"}, {"sprii_order_no": ["5934-14"]}]
    + [{"sprii_order_no": value} for value in (None, 593414, True, "", "  ")],
    ids=json.dumps,
)
def test_what_is_no_number_leaves_no_trace(php: str, php_snippet: Path, data: object) -> None:
    assert run(php, php_snippet, "given", data) == [None, 0, []]


def test_control_characters_broken_text_and_long_text_are_refused(php: str, php_snippet: Path) -> None:
    assert run(php, php_snippet, "control") == [None] * 6


@pytest.mark.parametrize("number", ["007", "æ漢 &<\"'", "é" * 255, "5934%0a14"])
def test_odd_but_legal_numbers_arrive_to_the_letter(php: str, php_snippet: Path, number: str) -> None:
    assert run(php, php_snippet, "given", {"sprii_order_no": f" {number} "}) == [number, 1, {"sprii_order_no": number}]


def test_a_newer_number_replaces_an_older_and_nothing_replaces_none(php: str, php_snippet: Path) -> None:
    assert run(php, php_snippet, "newer") == ["5934-15", True]


def test_it_works_from_a_theme_which_is_read_after_woocommerce(php: str, php_snippet: Path) -> None:
    assert run(php, php_snippet, "theme", GIVEN) == "5934-14"


def test_a_second_copy_adds_nothing(php: str, php_snippet: Path) -> None:
    assert run(php, php_snippet, "twice") == {
        "wp_head": 1,
        "woocommerce_blocks_loaded": 1,
        "woocommerce_checkout_create_order": 1,
        "woocommerce_store_api_checkout_update_order_meta": 1,
        "woocommerce_checkout_order_processed": 1,
        "woocommerce_store_api_checkout_order_processed": 1,
    }


def test_orders_made_without_a_shopper_are_left_alone(php: str, php_snippet: Path) -> None:
    assert run(php, php_snippet, "no session", GIVEN) == [None, [], [[], 0]]


def test_without_woocommerce_the_site_goes_on(php: str, php_snippet: Path) -> None:
    assert run(php, php_snippet, "no shop") == ""


def test_what_it_adds_to_the_cart_fits_its_schema(php: str, php_snippet: Path) -> None:
    nothing = {"number": None, "cart": None}
    assert run(php, php_snippet, "schema") == ["ARRAY_A", ["number", "cart"], nothing]


def test_the_script_stands_first_in_the_head_and_names_no_host(php: str, php_snippet: Path) -> None:
    head = run(php, php_snippet, "head")
    assert head.startswith('<script id="tillwire-sprii">(function () {')
    assert head.endswith("</script>others")
    assert re.findall(r"var CART = (.*);", head) == [r'"\/wp-json\/wc\/store\/v1\/cart"']
    assert "https://" not in head
