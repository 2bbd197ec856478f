"""How often one client may knock. Limits stand as decorators on the routes that hand something out or call somebody.

Counts are kept in memory, by process: they slow down guessing and flooding, they are no proof of anything.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Network, ip_address

from flask import Flask, current_app, request
from flask_limiter import Limiter

from app.config import Config

SIGN_IN = "10 per minute; 60 per hour"  #: asking for a link, using one
CONNECT = "10 per minute; 60 per hour"  #: walking to a store: each makes us call an address that somebody typed
LOOK = "30 per minute"  #: a page that looks again by itself; each look may call a store
CALLBACK = "60 per minute"  #: a store's server calling back; many stores share an address of their host


def _client() -> str:
    """Who knocks: an IPv4 address, or the /64 network of an IPv6 one, all of which one subscriber has (RFC 6177)."""
    address = _address()
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(IPv6Network((int(found), 64), strict=False))


def _address() -> str:
    """The address that the outermost of our own proxies saw; what stands before it in the header, anybody can write."""
    config: Config = current_app.extensions["config"]
    route = request.access_route
    if 0 < config.trusted_proxies <= len(route):
        return route[-config.trusted_proxies]
    return request.remote_addr or "unknown"  # a socket file has no address: all its clients share one count


limiter = Limiter(_client, storage_uri="memory://", strategy="moving-window")


@limiter.request_filter
def _switched_off() -> bool:
    return not current_app.config["RATELIMIT_ENABLED"]


def init(app: Flask) -> None:
    """Limit the decorated routes of ``app``, and cost no other route anything.

    `Limiter.init_app` adds hooks to every request unless the limiter is already listed; the decorators check by
    themselves, and webhooks must not pay for limits that they do not have.
    """
    app.config.setdefault("RATELIMIT_ENABLED", True)
    switched_on = app.config["RATELIMIT_ENABLED"]
    app.config["RATELIMIT_ENABLED"] = True  # otherwise it could not be switched on later
    app.extensions.setdefault("limiter", set()).add(limiter)
    limiter.init_app(app)
    app.config["RATELIMIT_ENABLED"] = switched_on
