"""What a merchant reads when a WooCommerce store cannot be connected or asked: what happened, and what to do."""

from __future__ import annotations

from app.services.said import mark
from connectors.woocommerce.answers import StoreError, StoreUnauthorized, StoreUnavailable
from connectors.woocommerce.discovery import NoStore, Obstacle


class NotPublic(StoreError):
    """The address leads into a private network."""


_OBSTACLES = {
    Obstacle.UNREACHABLE: mark(
        "Tillwire could not reach your store from the internet. Check the address, and that the"
        " store is online and not on a private network; then try again."
    ),
    Obstacle.CERTIFICATE: mark(
        "Your store's certificate is not valid for this address, so the connection would not be"
        " safe. Ask your host to renew it, or type the address exactly as the certificate names"
        " it (with or without www)."
    ),
    Obstacle.ELSEWHERE: mark(
        "Your store sends visitors on to another address. Open it in a browser and type the"
        " address that stands there in the end; it must begin with https://."
    ),
    Obstacle.NO_WORDPRESS: mark(
        "There is no WordPress at this address. If your store is in a folder, type the folder"
        " too, like https://shop.example/store."
    ),
    Obstacle.PLAIN_PERMALINKS: mark(
        "Your store uses plain permalinks, and WooCommerce can only be asked with pretty ones. In"
        " WordPress open Settings > Permalinks, choose any structure but Plain, save, and try"
        " again."
    ),
    Obstacle.NO_WOOCOMMERCE: mark(
        "There is a WordPress at this address, but no WooCommerce that can be asked. Activate the"
        " WooCommerce plugin, or update it, and try again."
    ),
    Obstacle.BLOCKED: mark(
        "Something in front of your store answered in place of WooCommerce: a firewall, or a"
        " security or cache plugin. Let it pass requests to /wp-json/ (user agent Tillwire) and"
        " try again."
    ),
    Obstacle.PASSWORD: mark(
        "Your store is behind a password, so Tillwire cannot reach it. Take the password off, at"
        " least for /wp-json/ and /wc-auth/, and try again."
    ),
    Obstacle.MAINTENANCE: mark("Your store is in maintenance mode. Try again when it is open."),
    Obstacle.BROKEN: mark(
        "Your store answered with an error of its own. Try again in a few minutes; if it stays, ask your host."
    ),
}
_KEYS = {
    "woocommerce_rest_authentication_error": mark(
        "The store does not accept the key: it was revoked, its secret is another, or it may not read and write."
    ),
    "woocommerce_rest_cannot_view": mark(
        "The store does not show its orders to this key: the key was revoked, or the user who"
        " approved it may no longer manage WooCommerce."
    ),
    "woocommerce_rest_cannot_create": mark(
        "The user who approved the key may no longer manage WooCommerce's webhooks."
    ),
}


def why_not(error: StoreError) -> str:
    """The sentence for an error that came of asking a store."""
    match error:
        case NoStore(obstacle=Obstacle.ELSEWHERE, address=str(address)):
            return mark("Your store sends visitors on to {address}. If that is your store, type that address.").format(
                address=address
            )
        case NoStore(obstacle=obstacle):
            return _OBSTACLES[obstacle]
        case NotPublic():  # the same words as for no answer: nobody learns what names mean inside our network
            return _OBSTACLES[Obstacle.UNREACHABLE]
        case StoreUnauthorized(code=str(code)):
            return _KEYS.get(code, mark("The store does not accept the key ({code}).").format(code=code))
        case StoreUnavailable(status=None):
            return _OBSTACLES[Obstacle.UNREACHABLE]
        case StoreUnavailable():
            return _OBSTACLES[Obstacle.BROKEN]
        case StoreError(status=int(status)) if 300 <= status < 400:
            return _OBSTACLES[Obstacle.ELSEWHERE]
        case _:
            return _OBSTACLES[Obstacle.BLOCKED]
