"""What axe-core finds wrong with a page for people who see it otherwise, or not at all."""

from __future__ import annotations

from axe_core_python.selenium import Axe
from selenium.webdriver.remote.webdriver import WebDriver

_GRAVE = {"moderate", "serious", "critical"}


def problems(driver: WebDriver) -> list[str]:
    """The rules that the page as it stands breaks (WCAG 2.1 AA and axe's best practices), each with its places.

    Call it in light and dark and at each width: contrast and what is shown differ.
    """
    found = Axe().run(driver)["violations"]
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: "
        + "; ".join(" ".join(node["target"]) for node in each["nodes"])
        for each in found
        if each["impact"] in _GRAVE
    ]
