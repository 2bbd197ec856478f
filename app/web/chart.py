"""The chart of the last days, as an image that the page carries in itself.

Inside Shopify's admin a request for an image brings no proof of who asks, so the image cannot have an address.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any
from xml.etree.ElementTree import Element

from flask_babel import gettext as _

from app.models import DeliveryState
from app.services.tally import Day, by_state
from app.web.texts import local_day

_PENDING = (DeliveryState.PENDING, DeliveryState.RETRYING, DeliveryState.HELD)
_STUCK = (DeliveryState.DEAD, DeliveryState.UNKNOWN)
_COLORS = ("#2f7d5b", "#b9bdb2", "#c78a1e", "#b3352f", "#5d7fb3")
_DARK_COLORS = ("#6cc79a", "#5b635d", "#e3b04e", "#ec8a82", "#8fb0e3")
KEPT = 64  #: charts, of about 20 KB
_WIDE, _NARROW = (900, 260), (400, 300)  #: pixels; the narrow one is for phones, with letters that stay legible


def _style(ink: str, line: str, colors: tuple[str, ...]) -> str:
    fills = "".join(f".color-{index} {{ fill: {color}; }}" for index, color in enumerate(colors))
    return f"text {{ fill: {ink}; stroke: none; }} .line {{ stroke: {line}; }} {fills}"


#: In place of what comes with pygal, most of which is for pointing at. Follows the system's setting as the page does.
_CSS = (
    "text { font: 13px system-ui, sans-serif !important; } .line { fill: none; } .background { fill: none; }"
    " .axis.x text { text-anchor: middle; } .axis.x .guide { opacity: 0; } .axis.y text { text-anchor: end; }"
    f" {_style('#5a6259', '#dcdacf', _COLORS)}"
    f" @media (prefers-color-scheme: dark) {{ {_style('#a9b1a8', '#363c38', _DARK_COLORS)} }}"
)


def rows(days: Sequence[Day]) -> list[tuple[str, list[int]]]:
    """What the chart shows, by name: how many deliveries of each day.

    Shadow mode sends nothing, so its deliveries are counted apart; last, and only where there are any.
    """
    counts = [by_state(day.counts) for day in days]
    groups = {
        _("Delivered"): (DeliveryState.DELIVERED,),
        _("Skipped"): (DeliveryState.SKIPPED,),
        _("Waiting"): _PENDING,
        _("Needs you"): _STUCK,
    }
    if any(each.get(DeliveryState.SHADOW) for each in counts):
        groups[_("Shadow")] = (DeliveryState.SHADOW,)
    return [(name, [sum(each.get(state, 0) for state in states) for each in counts]) for name, states in groups.items()]


def draw(days: Sequence[Day]) -> tuple[str, str]:
    """The chart for wide and for narrow pages, each as an address that holds all of it."""
    labels = tuple(local_day(each.day) for each in days)
    shown = tuple((name, tuple(numbers)) for name, numbers in rows(days))
    return _draw(labels, shown, *_WIDE, every=3), _draw(labels, shown, *_NARROW, every=4)


@lru_cache(KEPT)
def _draw(
    labels: tuple[str, ...], shown: tuple[tuple[str, tuple[int, ...]], ...], width: int, height: int, *, every: int
) -> str:
    """SVG without script, links, or anything of others. Drawing takes longer than all else of its page.

    Args:
        every: how many days from one day that is named to the next.
    """
    chart = _new_chart(
        css=[f"inline:{_CSS}"],
        js=[],
        no_prefix=True,
        disable_xml_declaration=True,
        explicit_size=True,
        width=width,
        height=height,
        margin=4,
        legend_at_bottom=True,
        legend_at_bottom_columns=len(shown) if width > height * 2 else 2,
        legend_box_size=11,
        truncate_legend=-1,
        truncate_label=-1,
        show_minor_x_labels=False,
        x_labels_major_every=every,
        value_formatter=lambda number: str(int(number)),
    )
    chart.x_labels = labels
    chart.y_labels = _whole_steps(max(map(sum, zip(*(numbers for _name, numbers in shown), strict=True))))
    for name, numbers in shown:
        chart.add(name, numbers)
    chart.add_xml_filter(_bare)
    return "data:image/svg+xml;base64," + base64.b64encode(chart.render(is_unicode=True).encode()).decode()


def _new_chart(**options: Any) -> Any:
    import pygal  # here, because a process that nobody asks for a page can do without it

    # It serves maps that we do not draw, in a form that Python 3.12 dropped, and warns at every import after it.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
    return pygal.StackedBar(**options)


def _whole_steps(top: int) -> list[int]:
    """From nothing to ``top`` or a little more, in at most five steps of 1, 2, 5, 10, 20 and so on."""
    sizes = (digit * 10**power for power in count() for digit in (1, 2, 5))
    step = next(size for size in sizes if size * 5 >= top)
    return list(range(0, top + step, step))


def _bare(root: Element) -> Element:
    """Without what only a pointer or a script would use, and without bars of nothing."""
    for parent in list(root.iter()):
        for child in list(parent):
            spoken = not isinstance(child.tag, str) or child.tag in ("desc", "script")  # a comment's tag is no text
            if spoken or child.get("class") == "tooltip" or child.get("height") == "0.0":
                parent.remove(child)
    return root
