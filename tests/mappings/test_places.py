"""Messages about a mapping find their line in its text."""

from __future__ import annotations

import pytest

from mappings.places import line_of, named

TEXT = """# ours
[[rules]]
name = "order"
on = ["order.paid"]
fields.id = { from = "order.id" }
fields."a name".of.fields.x = { value = 1 }

[rules.fields.lines]
each = "order.lines"
fields.sku = { from = "item.sku" }

[rules.fields.lines.fields.price]
from = "item.unit_net"

[[ rules ]]
on = "cart.updated"
name = 'cart'

  [rules.fields.lines]
  each = "cart.lines"
"""


@pytest.mark.parametrize(
    ("rule", "path", "line"),
    [
        ("order", None, 2),
        ("order", "on", 4),
        ("order", "when", 2),
        ("order", "fields.id", 5),
        ("order", "fields.lines", 8),
        ("order", "fields.lines.sku", 10),
        ("order", "fields.lines.price", 12),
        ("order", "fields.lines.nothing", 8),
        ("cart", "fields.lines", 19),
        ("cart", "on", 16),
        ("nobody", "on", None),
        (None, "on", None),
    ],
)
def test_the_deepest_line_on_the_way_is_found(rule: str | None, path: str | None, line: int | None) -> None:
    assert line_of(TEXT, rule, path) == line


def test_of_two_rules_of_one_name_the_second_is_the_one_too_many() -> None:
    assert line_of('[[rules]]\nname = "a"\n[[rules]]\nname = "a"\n', "a", None) == 3


def test_there_may_be_no_rule_at_all() -> None:
    assert line_of("x = 1", "order", "on") is None


def test_the_readers_own_place_is_taken() -> None:
    assert named("Invalid value (at line 12, column 7)") == (12, 7)
    assert named("two rules have this name") is None
