"""Connections under a deadline, to addresses that were looked at.

`requests` bounds each single read, so a server that sends a byte now and then could hold a caller for ever. Here every
socket operation gets what is left of the whole exchange. The address is chosen and checked before connecting to that
very address, so a name that points elsewhere a moment later changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from http.client import HTTPResponse, RemoteDisconnected
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.poolmanager import PoolManager
from urllib3.util.ssl_ import create_urllib3_context

from app.providers.marks import mark

RESOLVED = 5.0  #: seconds for which a name's addresses are taken as they were found, unless none of them answers
IDLE = 4.0  #: seconds that a kept connection is trusted; common servers close theirs after 5 or more
POOL = 16


@dataclass(slots=True)
class Exchange:
    """One request and its answer, as the sockets see it."""

    deadline: float  #: of time.monotonic()
    allow_private: bool
    fresh: bool
    remember: bool = False  #: where the name led a moment ago; only for the few names that operators chose
    sent: bool = False  #: bytes of the request may have left us
    reason: str | None = None  #: why we ourselves broke it off

    def left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            self.reason = mark("it took longer than allowed")
            raise TimeoutError("deadline")
        return left


_current: ContextVar[Exchange] = ContextVar("exchange")


@contextmanager
def exchange(*, seconds: float, allow_private: bool, fresh: bool, remember: bool = False) -> Iterator[Exchange]:
    """Put whatever this thread sends under one deadline."""
    deadline = time.monotonic() + seconds
    current = Exchange(deadline=deadline, allow_private=allow_private, fresh=fresh, remember=remember)
    token = _current.set(current)
    try:
        yield current
    finally:
        _current.reset(token)


# --- sockets ----------------------------------------------------------------------------------------------------------


class _Timed(socket.socket):
    """Every operation gets what is left of the exchange."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_current.get().left())
        return super().recv_into(*args, **kwargs)

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        self.settimeout(_current.get().left())
        return super().recv(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_current.get().left())
        return super().send(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(_current.get().left())
        super().sendall(*args, **kwargs)


class _TimedTLS(ssl.SSLSocket):
    """The same for TLS; its ``sendall`` works through ``send``."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_current.get().left())
        return super().recv_into(*args, **kwargs)

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        self.settimeout(_current.get().left())
        return super().recv(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_current.get().left())
        return super().send(*args, **kwargs)


def is_public(address: str) -> bool:
    """Whether anyone on the internet could reach it; tunnels to IPv4 are judged by what they lead to."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip.sixtofour is not None or ip.teredo is not None:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def resolve(host: str, port: int, seconds: float) -> list[Any]:
    """The addresses of ``host``, in a thread of its own: the system's resolver knows no timeout."""
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    thread = threading.Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise TimeoutError("resolving")
    if isinstance(found[0], Exception):
        raise socket.gaierror(str(found[0])) from None
    return list(found[0])


_resolved: dict[tuple[str, int], tuple[float, list[Any]]] = {}  #: until when by time.monotonic(), and the addresses


def _addresses(host: str, port: int, seconds: float) -> list[Any]:
    if not _current.get().remember:
        return resolve(host, port, seconds)
    until, found = _resolved.get((host, port), (0.0, []))
    if until < time.monotonic():
        found = resolve(host, port, seconds)
        _resolved[host, port] = (time.monotonic() + RESOLVED, found)
    return found


def _connect(connection: HTTPConnection) -> socket.socket:
    """A connected socket; the first of the host's addresses that answers."""
    current = _current.get()
    connect_timeout = connection.timeout if isinstance(connection.timeout, int | float) else 5.0
    until = time.monotonic() + min(connect_timeout, current.left())
    try:
        addresses = _addresses(connection._dns_host, connection.port, until - time.monotonic())
    except TimeoutError:
        raise ConnectTimeoutError(connection, mark("resolving the name took too long")) from None
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from None
    problem: Exception | None = None
    for place, (family, kind, protocol, _, address) in enumerate(addresses):
        if not current.allow_private and not is_public(str(address[0])):
            current.reason = mark("its name leads to an address that is not public")
            continue
        left = until - time.monotonic()
        if left <= 0:
            break
        sock = _Timed(family, kind, protocol)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(
                left / (len(addresses) - place)
            )  # one that swallows packets must not use up the others' time
            sock.connect(address)
        except OSError as error:
            sock.close()
            problem = error
            continue
        current.reason = None
        return sock
    _resolved.pop((connection._dns_host, connection.port), None)
    if problem is None or isinstance(problem, TimeoutError):
        raise ConnectTimeoutError(connection, mark("no connection in time"))
    raise NewConnectionError(connection, type(problem).__name__)


class _Lines:
    """A stream that remembers whether its last line was the end of everything."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.ended = False

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self.stream.readline(limit)
        self.ended = not line
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _Response(HTTPResponse):
    """The standard library takes headers that break off for complete ones."""

    def begin(self) -> None:
        stream = self.fp
        lines: Any = _Lines(stream)
        self.fp = lines
        super().begin()
        if self.fp is lines:
            self.fp = stream
        if lines.ended:
            self.close()
            raise RemoteDisconnected("headers")


class _Connection(HTTPConnection):
    response_class = _Response
    kept_at = 0.0  #: time.monotonic() when it went back to the pool
    checked = False  #: connected to a public address

    def _new_conn(self) -> socket.socket:
        self.checked = not _current.get().allow_private
        return _connect(self)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _current.get().sent = True
        super().send(data)


class _SecureConnection(HTTPSConnection):
    response_class = _Response
    kept_at = 0.0
    checked = False

    def _new_conn(self) -> socket.socket:
        self.checked = not _current.get().allow_private
        return _connect(self)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _current.get().sent = True
        super().send(data)


# --- pools ------------------------------------------------------------------------------------------------------------


def _taken(connection: Any) -> Any:
    """Close what was kept too long, or was opened under laxer rules; urllib3 opens it anew."""
    current = _current.get()
    old = time.monotonic() - connection.kept_at > IDLE
    if connection.sock is not None and (current.fresh or old or not (connection.checked or current.allow_private)):
        connection.close()
    return connection


class _Keeping(HTTPConnectionPool):
    """Kept connections: those that nobody took for too long are closed, for each is a file handle."""

    _looked = 0.0  #: at time.monotonic()

    def _get_conn(self, timeout: float | None = None) -> Any:
        return _taken(super()._get_conn(timeout))

    def _put_conn(self, conn: Any) -> None:
        now = time.monotonic()
        if conn is not None:
            conn.kept_at = now
        super()._put_conn(conn)
        if now - self._looked > 1.0 and self.pool is not None:
            self._looked = now
            with self.pool.mutex:
                for each in self.pool.queue:
                    if each is not None and now - each.kept_at > IDLE:
                        each.close()


class _Pool(_Keeping):
    ConnectionCls = _Connection


class _SecurePool(_Keeping, HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def pool_manager(*, num_pools: int = POOL, maxsize: int = POOL, **more: Any) -> PoolManager:
    """Pools whose connections keep this module's rules."""
    pools = PoolManager(num_pools=num_pools, maxsize=maxsize, ssl_context=_tls(certifi.where()), **more)
    pools.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return pools


class Adapter(HTTPAdapter):
    """`requests` on the connections of this module; never retries, never uses a proxy."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        self.poolmanager = pool_manager(num_pools=connections, maxsize=maxsize, block=block, **pool_kwargs)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context knows the authorities; `requests` would have them read from disk for each connection."""
        conn.cert_reqs = "CERT_REQUIRED"


@cache
def _tls(authorities: str) -> ssl.SSLContext:
    """One for all sessions, of which some live for a single question: reading the authorities takes long."""
    context = create_urllib3_context()
    context.sslsocket_class = _TimedTLS
    context.load_verify_locations(authorities)
    return context


class Session(requests.Session):
    """Without cookies (several merchants share it), without the environment's proxies and passwords."""

    def __init__(self, size: int = POOL) -> None:
        super().__init__()
        arm(self, size)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: not even to look where it leads, for that reads the whole body."""
        return


def arm(session: requests.Session, size: int = POOL) -> None:
    """Mount our adapter where `requests` has its own, and shut out cookies and environment."""
    if session.trust_env or type(session.adapters.get("https://")) is HTTPAdapter:
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = Adapter(pool_connections=POOL, pool_maxsize=size)
        for prefix in ("https://", "http://"):
            if type(session.adapters.get(prefix)) is HTTPAdapter:
                session.mount(prefix, adapter)
