"""Starts the made-up WooCommerce shop of ``woocommerce_store.php`` and looks into its files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.browser import eventually


class WooCommerceShop:
    """A context manager; errors of PHP fail the test at its end."""

    def __init__(self, php: str, snippet: Path, sprii: str, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port: int = found.getsockname()[1]
        self.url = f"http://ebooks.example:{self._port}/"
        self._log = (folder / "php.log").open("wb")
        self._process = subprocess.Popen(
            [php, "-S", f"127.0.0.1:{self._port}", str(Path(__file__).parent / "woocommerce_store.php")],
            env={"PATH": os.environ["PATH"], "SNIPPET": str(snippet), "FOLDER": str(folder), "SPRII": sprii},
            stdout=self._log,
            stderr=self._log,
        )

    def __enter__(self) -> Self:
        eventually(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._log.close()
        complaints = [line for line in (self._folder / "php.log").read_text().splitlines() if "PHP " in line]
        assert [line for line in complaints if "Development Server" not in line] == []

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _remembered(self, name: str) -> Any:
        file = self._folder / f"{name}.json"
        return json.loads(file.read_text()) if file.exists() else []

    def orders(self) -> list[dict[str, str]]:
        """The meta of each order, oldest first."""
        found: list[dict[str, str]] = self._remembered("orders")
        return found

    def paths(self) -> list[str]:
        found: list[str] = self._remembered("paths")
        return found

    def posted(self) -> int:
        """How often the browser handed a number over, or tried to."""
        return self.paths().count("/wp-json/wc/store/v1/cart/extensions")

    def fail(self, *statuses: int) -> None:
        """Let the next hand-overs fail."""
        (self._folder / "failures.json").write_text(json.dumps(statuses))
