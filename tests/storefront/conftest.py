"""Shops and Sprii's player on names of their own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services import storefront
from app.simulators.server import Server
from tests.conftest import missing
from tests.storefront.shopify_page import ShopifyStorefront
from tests.storefront.sprii_player import create_sprii
from tests.storefront.woocommerce_page import WooCommerceShop


@pytest.fixture(scope="session")
def sprii() -> Iterator[str]:
    """Where Sprii's script is; the host name is free to choose, ``http://sprii.test:<port>``."""
    with Server(create_sprii()) as server:
        yield f"http://sprii.test:{server.port}"


@pytest.fixture
def shop(sprii: str) -> Iterator[tuple[ShopifyStorefront, str]]:
    """A Shopify storefront and its address."""
    page = ShopifyStorefront(sprii)
    with Server(page.app) as server:
        yield page, f"http://linen.myshopify.com:{server.port}/"


@pytest.fixture(scope="session")
def php() -> str:
    found = shutil.which("php")
    if not found:
        missing("php is not installed")
    return str(found)


@pytest.fixture
def php_snippet(tmp_path: Path) -> Path:
    """The WooCommerce snippet as a merchant saves it."""
    snippet = storefront.snippet("woocommerce")
    assert snippet is not None
    file = tmp_path / snippet.file_name
    file.write_text(snippet.code, encoding="utf-8")
    return file


@pytest.fixture
def woocommerce(php: str, php_snippet: Path, sprii: str, tmp_path: Path) -> Iterator[WooCommerceShop]:
    """A WooCommerce shop served by PHP."""
    with WooCommerceShop(php, php_snippet, sprii, tmp_path) as shop:
        yield shop
