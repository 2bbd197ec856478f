"""Addresses of stores as somebody typed them: the domain that a shop is known by, and its URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.services.errors import Wrong


def shopify_address(address: str) -> tuple[str, str]:
    """Raises `Wrong` where it is none."""
    from shopify.utils import shop_url  # two megabytes, for when somebody types a domain

    domain = shop_url.sanitize_shop_domain(address.strip())
    if not domain:
        raise Wrong(f"DOMAIN {address!r} is no Shopify domain: write it like my-shop.myshopify.com")
    return domain.lower(), f"https://{domain.lower()}"


def woocommerce_address(address: str) -> tuple[str, str]:
    """With its path, if it has one. Raises `Wrong` where it is none."""
    text = address.strip().rstrip("/")
    try:
        parts = urlsplit(text if "//" in text else f"https://{text}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise Wrong("URL is no store address: write it like https://shop.example")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    host += f":{port}" if port else ""
    return host + parts.path, f"{parts.scheme}://{host}{parts.path}"
