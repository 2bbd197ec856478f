"""The platforms, by hand: a list that a reader can trust."""

from __future__ import annotations

from connectors.base import Connector
from connectors.shopify.connector import Shopify
from connectors.woocommerce.connector import WooCommerce

CONNECTORS: dict[str, Connector] = {each.name: each for each in (Shopify(), WooCommerce())}
