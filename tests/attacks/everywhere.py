"""What is tried on every route."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import urlencode

from tests.attacked import (
    Target,
)
from tests.attacks.base import EVIL, MIB, Blow, by, method, path_of


def odd_methods(target: Target, endpoint: str) -> Iterator[Blow]:
    """Also such as no browser sends."""
    path, visitor = path_of(target, endpoint), target.person()
    allowed = set(target.app.url_map.bind("").allowed_methods(path))
    for each in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "DEBUG", "get", "G\u00c9T"):
        if each.upper() not in allowed:
            yield Blow(each, lambda each=each: by(visitor, each, path), (400, 405))


def odd_bytes(target: Target, endpoint: str) -> Iterator[Blow]:
    """What is no text, no number, too long or twice: an answer like any other, and never one of ours breaking."""
    path, how, visitor = path_of(target, endpoint), method(target, endpoint), target.person()
    usual = (200, 303, 400, 401, 403, 404, 413, 302)
    queries = {
        "no text": "a=%ff%fe&%ff=1&token=%ff&user_id=%80&shop=%ff&state=%ff&address=%ff&shopify-reload=%ff",
        "null bytes": "token=%00&user_id=%00&shop=%00&code=%00&address=%00&done=%00&success=%00",
        "twice": "token=a&token=b&shop=a&shop=b&state=a&state=b&user_id=a&user_id=b&done=a&done=b&success=1&success=1",
        "long": "token=" + "a" * 100_000,
        "many": urlencode([(f"p{number}", "1") for number in range(5000)]),
        "names of ours": "__class__=1&config=1&self=1&endpoint=1&_external=1&_anchor=1&csrf_token=1",
    }
    for name, query in queries.items():
        yield Blow(name, lambda query=query: by(visitor, how, f"{path}?{query}"), usual, counted=False)
    nested = base64.urlsafe_b64encode(b"[" * 3000).decode().rstrip("=")
    for where in ("id_token", "token"):
        query = f"{where}={nested}.e30.e30"
        yield Blow(f"nested {where}", lambda query=query: by(visitor, how, f"{path}?{query}"), usual, counted=False)
    header = {"Authorization": f"Bearer {nested}.e30.e30"}
    yield Blow("nested bearer", lambda: by(visitor, how, path, headers=header), usual, counted=False)
    headers = {"Cookie": "a=" + "b" * 100_000, "X-Long": "c" * 100_000, "Accept-Language": "\xff" * 500}
    yield Blow("long headers", lambda: by(target.stranger(), how, path, headers=headers), usual, counted=False)
    if how != "POST":
        return
    bodies: dict[str, tuple[bytes, str]] = {
        "no form": (b"\xff\xfe\x00" * 100, "application/x-www-form-urlencoded"),
        "JSON": (b'{"csrf_token": "x", "token": "y"}', "application/json"),
        "nested JSON": (b'{"a":' * 50_000, "application/json"),
        "XML": (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "application/xml"),
        "form of many fields": (b"&".join(b"a=1" for _ in range(200_000)), "application/x-www-form-urlencoded"),
        "multipart without end": (b"--x\r\nContent-Disposition: form-data", "multipart/form-data; boundary=x"),
        "multipart without boundary": (b"--x\r\n", "multipart/form-data"),
        "more than we take": (b"a" * (10 * MIB + 1), "application/x-www-form-urlencoded"),
        "compressed": (b"\x1f\x8b" + b"0" * 100, "application/json"),
    }
    for name, (body, kind) in bodies.items():
        yield Blow(
            name, lambda body=body, kind=kind: by(visitor, "POST", path, data=body, content_type=kind), (400, 401, 413)
        )


def other_hosts(target: Target, endpoint: str) -> Iterator[Blow]:
    """Whatever a request says of the host it came to, or of the way it came: no answer repeats it."""
    path, how = path_of(target, endpoint), method(target, endpoint)
    headers = {
        "X-Forwarded-Host": EVIL,
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Prefix": f"//{EVIL}",
        "X-Original-URL": f"//{EVIL}/",
        "X-Rewrite-URL": f"//{EVIL}/",
        "Forwarded": f"host={EVIL}",
        "Origin": f"https://{EVIL}",
        "Referer": f"https://{EVIL}/",
    }
    usual = (200, 303, 400, 401, 403, 404)
    for visitor in (target.person(), target.stranger()):
        for host in (EVIL, f"{EVIL}:99999", f"tillwire.example@{EVIL}", f"tillwire.example#{EVIL}", "a b", "[", "\xff"):
            sent = {"Host": host, **headers}
            yield Blow(f"host {host}", lambda v=visitor, s=sent: by(v, how, path, headers=s), usual, False, (EVIL,))
    doubled = {"PATH_INFO": f"//{EVIL}{path}"}
    yield Blow(
        "two slashes", lambda: by(target.stranger(), how, path, environ_overrides=doubled), (308, 400, 401, 404), False
    )
