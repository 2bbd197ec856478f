"""Shopify: whether a webhook is genuine, and what orders, refunds, carts and checkouts its bodies show."""
