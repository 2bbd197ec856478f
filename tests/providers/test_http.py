"""The sender: its bounds, and what it makes of trouble. On real sockets where time and bytes matter."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import certifi
import pytest
import requests
from requests_mock import Mocker

from app.providers import http, wire
from app.providers.base import (
    Accepted,
    Action,
    Answer,
    Doubt,
    Probe,
    Provider,
    Request,
    Setting,
    Split,
    credential,
    version,
)
from app.providers.errors import AnswerLost, DeliveryError, Refused, Unauthorized, Unavailable
from app.providers.texts import redact
from tests.providers.conftest import Scripted, drip, raw, reset, then_close, wait, whole

SECRET = "s3cret-value-1234"
ACME = Provider(
    name="acme",
    title="Acme",
    base_url="https://api.acme.example/v1",
    docs="",
    settings=(Setting(name="api_key", label="API key", secret=True),),
    actions={},
    limits=(),
    headers=lambda settings: {"X-Api-Key": credential(settings, "api_key")},
)
SETTINGS = {"api_key": SECRET}
POST = Request(method="POST", path="/orders", json={"name": "Zoë", "n": 1}, timeout=1.0)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever makes the calls, the rules are the same. What stands in for `requests` can only stand in for that."""
    if "transport" in metafunc.fixturenames:
        names = ["requests"] if "requests_mock" in metafunc.fixturenames else ["requests", "lean"]
        metafunc.parametrize("transport", names, indirect=True)


@pytest.fixture(autouse=True)
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(http, "new_session", http.TRANSPORTS[request.param])
    return str(request.param)


def send(server: Scripted, request: Request = POST, **options: Any) -> Answer:
    session = options.pop("session", None) or http.new_session()
    options.setdefault("allow_private", True)
    return http.send(ACME, request, SETTINGS, base_url=server.url, session=session, **options)


# --- what goes out ----------------------------------------------------------------------------------------------------


def test_the_request_is_exactly_what_the_declaration_says(server: Scripted) -> None:
    server.answers(whole(b'{"ok": true}'))
    answer = send(server, Request(method="POST", path="/orders", json={"name": "Zoë", "n": 1}, params={"a": "b c"}))
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert lines[0] == "POST /base/orders?a=b+c HTTP/1.1"
    assert body == '{"name":"Zoë","n":1}'.encode()
    assert headers == {
        "Host": server.url.split("/")[2],
        "User-Agent": f"Tillwire/{version()}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "X-Api-Key": SECRET,
        "Content-Type": "application/json",
        "Content-Length": "21",
    }
    assert (answer.status, answer.json(), answer.truncated) == (200, {"ok": True}, False)


def test_a_call_without_body_has_no_content_type(server: Scripted) -> None:
    server.answers(whole())
    send(server, Request(method="GET", path="/orders"))
    assert b"content-type" not in server.requests[0].lower()


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ({"a": 1, "b": [None, True, 12.5, "ä\u2028\n"]}, '{"a":1,"b":[null,true,12.5,"ä\u2028\\n"]}'),
        ({"a": 10**30, "b": (1, 2)}, f'{{"a":{10**30},"b":[1,2]}}'),
        ({"a": "\ud800"}, '{"a":"?"}'),  # half of a character that a store's text was cut in
    ],
)
def test_a_payload_goes_out_as_compact_json(value: Any, sent: str) -> None:
    assert http.as_sent(value).decode() == sent


@pytest.mark.parametrize(
    "value",
    [0.00001, 1e-7, 1e16, 1.5e300, 0.1, -0.0, 2**63, 2**64, -(2**63), "\x00\x1f\x7f\U0001f600", {1: 2, "k": []}],
)
def test_a_payload_means_what_pythons_own_json_would_write(value: Any) -> None:
    assert json.loads(http.as_sent({"a": value})) == json.loads(json.dumps({"a": value}))


@pytest.mark.parametrize(
    "value", [Decimal("1.5"), b"bytes", {1}, datetime(2026, 1, 1, tzinfo=UTC), float("nan"), float("inf"), object()]
)
def test_what_json_does_not_have_is_no_payload(value: Any) -> None:
    for payload in ({"a": value}, {"a": [{"b": value}]}):
        with pytest.raises((TypeError, ValueError)):
            http.as_sent(payload)


def test_what_holds_itself_is_no_payload() -> None:
    payload: dict[str, Any] = {}
    payload["a"] = [payload]
    with pytest.raises(ValueError, match="Circular"):
        http.as_sent(payload)


@pytest.mark.parametrize("key", ["", "  ", None, "a\r\nX-Evil: 1", "a b", "schlüssel", "a\x00b"])
def test_a_key_that_no_header_can_carry_holds_the_destination(server: Scripted, key: str | None) -> None:
    with pytest.raises(Unauthorized, match="the setting api_key"):
        http.send(ACME, POST, {"api_key": key}, base_url=server.url, session=http.new_session(), allow_private=True)
    assert server.connections == 0


def test_a_key_pasted_with_blanks_around_it_works(server: Scripted) -> None:
    server.answers(whole())
    http.send(
        ACME, POST, {"api_key": f" {SECRET}\n"}, base_url=server.url, session=http.new_session(), allow_private=True
    )
    assert f"X-Api-Key: {SECRET}\r\n".encode() in server.requests[0]


def test_a_line_break_in_a_requests_own_header_is_refused(server: Scripted) -> None:
    request = Request(method="GET", path="/", headers={"X-Note": "a\nb"})
    with pytest.raises(Unauthorized, match="the header X-Note"):
        send(server, request)
    assert server.connections == 0


def test_no_cookie_of_one_merchant_reaches_the_next(server: Scripted) -> None:
    server.answers(whole(b"{}", "200 OK", "Set-Cookie: session=abc; Path=/"))
    session = http.new_session()
    send(server, session=session)
    send(server, session=session)
    assert b"cookie" not in server.requests[1].lower()


def test_the_environments_proxy_and_netrc_are_not_used(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.answers(whole())
    send(server)
    assert b"authorization" not in server.requests[0].lower()


# --- where it may go --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.acme.example/v1",
        "ftp://api.acme.example",
        "https://",
        "https://user:pass@api.acme.example",
        "https://api.acme.example/v1?x=1",
    ],
)
def test_only_plain_https_addresses(base_url: str) -> None:
    with pytest.raises(Unavailable, match="base address"):
        http.send(ACME, POST, SETTINGS, base_url=base_url, session=http.new_session())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_private_address_is_never_connected_to(server: Scripted, scheme: str) -> None:
    url = server.url.replace("http", scheme).replace("127.0.0.1", "localhost")
    with pytest.raises(Unavailable, match=r"base address|not public"):
        http.send(ACME, POST, SETTINGS, base_url=url, session=http.new_session())
    assert server.connections == 0


def test_a_connection_opened_under_lax_rules_is_not_reused_under_strict_ones(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers(whole())
    session = http.new_session()
    send(server, session=session)
    monkeypatch.setattr(http, "_url", lambda base, request, allow_private: base + request.path)
    with pytest.raises(Unavailable, match="not public"):
        send(server, session=session, allow_private=False)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("64:ff9b::5db8:d822", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
        ("2001:0:53aa:64c:0:0:80ff:fffe", False),
        ("ff02::1", False),
    ],
)
def test_what_counts_as_public(address: str, public: bool) -> None:
    assert wire.is_public(address) is public


def test_the_address_that_was_checked_is_the_one_connected_to(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is resolved once per connection: a second answer has no say."""
    port = int(server.url.split(":")[2].split("/")[0])
    asked: list[str] = []

    def resolver(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        asked.append(host)
        address = "93.184.216.34" if len(asked) > 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with pytest.raises(Unavailable, match="not public"):
        http.send(ACME, POST, SETTINGS, base_url=f"https://api.acme.example:{port}", session=http.new_session())
    assert asked == ["api.acme.example"]
    assert server.connections == 0


def test_a_name_is_resolved_once_for_some_seconds(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(server.url.split(":")[2].split("/")[0])
    server.answers(whole())
    asked: list[str] = []

    def resolver(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    url = f"http://api.acme.example:{port}/base"
    session = http.new_session()
    for _ in range(3):
        http.send(ACME, POST, SETTINGS, base_url=url, session=session, allow_private=True, fresh=True)
    assert (asked, server.connections) == (["api.acme.example"], 3)
    # Checked each time, whoever resolved it.
    with pytest.raises(Unavailable, match="not public"):
        http.send(ACME, POST, SETTINGS, base_url=url.replace("http:", "https:"), session=session)
    assert len(asked) == 1
    monkeypatch.setattr(wire, "RESOLVED", -1.0)
    for _ in range(2):
        http.send(ACME, POST, SETTINGS, base_url=url, session=session, allow_private=True, fresh=True)
    assert len(asked) == 3


def test_a_name_none_of_whose_addresses_answers_is_resolved_again(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.url.split(":")[2].split("/")[0])
    server.answers(whole())
    places = [("127.0.0.1", 9), ("127.0.0.1", port)]

    def resolver(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", places.pop(0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    url = f"http://api.acme.example:{port}/base"
    with pytest.raises(Unavailable, match="no connection"):
        http.send(ACME, POST, SETTINGS, base_url=url, session=http.new_session(), allow_private=True)
    http.send(ACME, POST, SETTINGS, base_url=url, session=http.new_session(), allow_private=True)
    assert server.connections == 1


def test_threads_share_their_connections_and_those_that_nobody_takes_are_closed(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool for each thread would keep a file handle for each thread and host."""
    server.answers(whole())
    session = http.new_session()
    options = {"base_url": server.url, "session": session, "allow_private": True}
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            list(pool.map(lambda _: http.send(ACME, POST, SETTINGS, **options), range(8)))
    assert server.connections <= 8
    monkeypatch.setattr(wire, "IDLE", 0.0)
    kept = len(connections_to(server))
    time.sleep(1.1)
    http.send(ACME, POST, SETTINGS, **options)
    assert kept >= 1
    assert len(connections_to(server)) <= 1


def connections_to(server: Scripted) -> list[str]:
    """Open sockets of this process whose other end is the server, as the kernel lists them."""
    port = f":{int(server.url.split(':')[2].split('/')[0]):04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[2].endswith(port) and row[3] == "01"]


def test_certificates_are_verified(server: Scripted, tmp_path: Path) -> None:
    certificate = _self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    import threading

    def serve() -> None:
        connection, _ = listener.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1)
        except OSError:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"https://localhost:{listener.getsockname()[1]}"
    with pytest.raises(Unavailable, match="certificate could not be verified; nothing was sent"):
        http.send(ACME, POST, SETTINGS, base_url=url, session=http.new_session(), allow_private=True)
    thread.join()
    listener.close()


def _self_signed(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "self-signed.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def test_tls_reads_are_under_the_deadline_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = _self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(wire.certifi, "where", lambda: str(certificate))

    def serve() -> None:
        connection, _ = listener.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(65536)
                for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000:
                    secure.sendall(bytes([byte]))
                    time.sleep(0.05)
        except OSError:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"https://localhost:{listener.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(AnswerLost):
        http.send(ACME, POST, SETTINGS, base_url=url, session=http.new_session(), allow_private=True)
    assert 0.9 < time.monotonic() - started < 10
    thread.join()
    listener.close()


def test_sessions_share_one_reading_of_the_authorities_and_refuse_whom_these_do_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(self: ssl.SSLContext, cafile: str) -> None:
        read.append(cafile)
        load(self, cafile)

    wire._tls.cache_clear()
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://localhost:{listener.getsockname()[1]}"
        for _ in range(2):
            with pytest.raises(Unavailable), http.new_session() as session:
                http.send(ACME, POST, SETTINGS, base_url=url, session=session, allow_private=True)
        thread.join()
    assert read == [certifi.where()]


# --- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answerer",
    [
        wait(4.0),
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000, 0.02),
        drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0.01),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"a" * 5000, 0.02),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 900, 0.005),
    ],
    ids=["silent", "dripped headers", "endless 100", "dripped body", "dripped chunks"],
)
def test_the_whole_exchange_is_bounded_however_slowly_the_answer_comes(server: Scripted, answerer: Any) -> None:
    server.answers(answerer)
    started = time.monotonic()
    with pytest.raises(AnswerLost, match="it was sent, but no whole answer came"):
        send(server)
    assert 0.9 < time.monotonic() - started < 3.9


def test_a_server_that_never_accepts_the_body_does_not_hold_us(server: Scripted) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    big = Request(method="POST", path="/", json={"a": "x" * 20_000_000}, timeout=1.0)
    started = time.monotonic()
    with pytest.raises(AnswerLost):
        http.send(
            ACME,
            big,
            SETTINGS,
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            session=http.new_session(),
            allow_private=True,
        )
    assert time.monotonic() - started < 10
    listener.close()


def test_a_resolver_that_hangs_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: time.sleep(5))
    started = time.monotonic()
    with pytest.raises(Unavailable, match="nothing was sent"):
        http.send(ACME, POST, SETTINGS, base_url="https://api.acme.example", session=http.new_session())
    assert time.monotonic() - started < 4.5


def test_an_unknown_name_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unavailable, match="its name could not be resolved; nothing was sent"):
        http.send(ACME, POST, SETTINGS, base_url="https://api.acme.example", session=http.new_session())


def test_a_refused_connection_is_unavailable(server: Scripted) -> None:
    server.close()
    with pytest.raises(Unavailable, match="nothing was sent"):
        send(server)


@pytest.mark.parametrize(
    "answerer",
    [
        None,
        reset,
        then_close(raw(b"HTTP/1.1 200 OK\r\nContent-Le")),
        then_close(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")),
        then_close(raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")),
        then_close(raw(b"nonsense\r\n\r\n")),
    ],
    ids=["closed", "reset", "cut headers", "cut body", "cut chunks", "no http"],
)
def test_an_answer_that_breaks_off_is_lost(server: Scripted, answerer: Any) -> None:
    server.answers(answerer)
    with pytest.raises(AnswerLost):
        send(server)
    assert len(server.requests) == 1  # never repeated behind the caller's back


def test_a_refusal_whose_body_breaks_off_is_still_a_refusal(server: Scripted) -> None:
    server.answers(then_close(raw(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 50\r\n\r\nbad fi")))
    answer = send(server)
    assert (answer.status, answer.truncated) == (400, True)


@pytest.mark.parametrize("size", [64 * 1024, 64 * 1024 + 1, 5_000_000])
def test_at_most_64_kib_are_read(server: Scripted, size: int) -> None:
    server.answers(whole(b"x" * size))
    answer = send(server)
    assert len(answer.body) == min(size, 64 * 1024)
    assert answer.truncated is (size > 64 * 1024)


def test_a_packed_answer_cannot_blow_up(server: Scripted) -> None:
    import gzip

    server.answers(whole(gzip.compress(b"x" * 50_000_000), "200 OK", "Content-Encoding: gzip"))
    answer = send(server)
    assert (len(answer.body), answer.truncated) == (64 * 1024, True)


def test_redirects_are_not_followed_and_their_bodies_not_read(server: Scripted) -> None:
    answer = whole(b"x" * 5_000_000, "302 Found", f"Location: {server.url}/elsewhere")
    server.answers(answer)
    found = send(server)
    assert found.status == 302
    assert len(found.body) == 64 * 1024
    assert len(server.requests) == 1
    assert isinstance(http.classify(found), Refused)


# --- kept connections -------------------------------------------------------------------------------------------------


def test_connections_are_kept(server: Scripted) -> None:
    server.answers(whole())
    session = http.new_session()
    for _ in range(3):
        send(server, session=session)
    assert server.connections == 1


def test_a_kept_connection_that_the_server_closed_is_noticed(server: Scripted) -> None:
    server.answers(then_close(whole()), whole(b'{"n": 2}'))
    session = http.new_session()
    send(server, session=session)
    time.sleep(0.05)
    assert send(server, session=session).json() == {"n": 2}
    assert server.connections == 2


def test_a_connection_idle_for_long_is_not_trusted(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers(whole())
    session = http.new_session()
    send(server, session=session)
    monkeypatch.setattr(wire, "IDLE", 0.01)
    time.sleep(0.05)
    send(server, session=session)
    assert server.connections == 2


def test_what_cannot_be_repeated_gets_a_connection_of_its_own(server: Scripted) -> None:
    """The server's farewell may be on its way while we send: on a new connection it cannot be."""
    server.answers(whole())
    session = http.new_session()
    action = Action(title="a", request=lambda payloads, settings: POST)
    for _ in range(2):
        http.call(ACME, action, [{}], SETTINGS, base_url=server.url, session=session, allow_private=True)
    assert server.connections == 2


# --- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answerer", [None, reset, wait(2.0), then_close(raw(b"HTTP/1.1 200 OK\r\nCont"))])
def test_no_error_tells_secrets_or_persons(server: Scripted, answerer: Any) -> None:
    server.answers(answerer)
    request = Request(
        method="POST", path="/x", params={"email": "ines@example.com"}, json={"e": "ines@example.com"}, timeout=0.5
    )
    with pytest.raises(DeliveryError) as caught:
        send(server, request)
    error: BaseException | None = caught.value
    assert error is not None
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert SECRET not in str(error)
    assert "ines" not in str(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("email ines.example@example.com is taken", "email [email] is taken"),
        ("phone +31 6 1234 5678 unknown", "phone [number] unknown"),
        ("call 0612345678", "call [number]"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer [secret]"),
        ("api_key=sk_live_12345678 is wrong", "api_key=[secret] is wrong"),
        ("token eyJhbGciOiJIUzI1NiJ9abcdef rejected", "token [secret] rejected"),
        ("code 9004: Transaction id already exists", "code 9004: Transaction id already exists"),
        ("orders[0].items is required", "orders[0].items is required"),
    ],
)
def test_what_looks_personal_or_secret_is_taken_out(text: str, expected: str) -> None:
    assert redact(text) == expected


# --- status to error --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, None),
        (202, None),
        (204, None),
        (301, Refused),
        (302, Refused),
        (304, Refused),
        (400, Refused),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, Refused),
        (405, Refused),
        (408, Unavailable),
        (409, Refused),
        (413, Refused),
        (422, Refused),
        (425, Unavailable),
        (429, Unavailable),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
def test_status_decides_what_happens_next(status: int, error: type[DeliveryError] | None) -> None:
    found = http.classify(Answer(status=status, headers={}, body=b""))
    assert type(found) is (error or type(None))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after-ms": "2500"}, 2.5),
        ({"retry-after-ms": "2500", "retry-after": "9"}, 2.5),
        ({"retry-after": "999999999"}, 86400.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "٣"}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert http.retry_after(headers) == seconds


def test_how_long_to_wait_until_a_date() -> None:
    now = datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=90), usegmt=True)
    earlier = format_datetime(now - timedelta(seconds=90), usegmt=True)
    assert http.retry_after({"retry-after": later}, now) == 90.0
    assert http.retry_after({"retry-after": earlier}, now) == 0.0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "Invalid request"}', "Acme answered 400: Invalid request"),
        (b'{"code": 3000, "message": "bad"}', "Acme answered 400: 3000; bad"),
        (b'{"errors": ["one", {"message": "two"}]}', "Acme answered 400: one; two"),
        (
            b"<html><head><title>x</title></head><body><h1>Bad</h1> Gateway</body></html>",
            "Acme answered 400: Bad Gateway",
        ),
        (b"ines@example.com is no customer", "Acme answered 400: [email] is no customer"),
        (b"", "Acme answered 400"),
        (b"\xff\xfe", "Acme answered 400: \ufffd\ufffd"),
        (b"a" * 5000, "Acme answered 400: " + "a" * 199 + "…"),
    ],
)
def test_what_an_error_says(body: bytes, words: str) -> None:
    assert str(http.classify(Answer(status=400, headers={}, body=body), who="Acme")) == words


# --- calls ------------------------------------------------------------------------------------------------------------


def batch(**more: Any) -> Action:
    return Action(
        title="a",
        request=lambda payloads, settings: Request(method="POST", path="/orders", json=list(payloads)),
        batch=10,
        repeatable=True,
        **more,
    )


def call(action: Action, payloads: list[dict[str, Any]], seen: list[Answer] | None = None) -> list[Any]:
    return http.call(ACME, action, payloads, SETTINGS, base_url=ACME.base_url, session=http.new_session(), seen=seen)


def test_a_call_returns_an_outcome_for_each_payload(requests_mock: Mocker) -> None:
    requests_mock.post("https://api.acme.example/v1/orders", json={})
    seen: list[Answer] = []
    assert call(batch(), [{}, {}], seen) == [Accepted(), Accepted()]
    assert [each.status for each in seen] == [200]


def test_one_refused_payload_is_its_own_outcome(requests_mock: Mocker) -> None:
    requests_mock.post("https://api.acme.example/v1/orders", status_code=422, json={"error": "no"})
    (outcome,) = call(batch(), [{}])
    assert isinstance(outcome, Refused)
    assert str(outcome) == "Acme answered 422: no"


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_a_refused_batch_is_to_be_split(requests_mock: Mocker, status: int) -> None:
    requests_mock.post("https://api.acme.example/v1/orders", status_code=status)
    with pytest.raises(Split):
        call(batch(), [{}, {}])


def test_a_redirected_batch_is_refused_without_asking_again(requests_mock: Mocker) -> None:
    requests_mock.post("https://api.acme.example/v1/orders", status_code=307)
    assert [type(each) for each in call(batch(), [{}, {}])] == [Refused, Refused]


@pytest.mark.parametrize(("status", "error"), [(401, Unauthorized), (503, Unavailable)])
def test_what_concerns_the_whole_call_is_raised(requests_mock: Mocker, status: int, error: type[DeliveryError]) -> None:
    requests_mock.post("https://api.acme.example/v1/orders", status_code=status, headers={"Retry-After": "3"})
    with pytest.raises(error) as caught:
        call(batch(), [{}, {}])
    if isinstance(caught.value, Unavailable):
        assert caught.value.retry_after == 3.0


def test_an_action_may_read_a_refusal_as_a_success(requests_mock: Mocker) -> None:
    requests_mock.post("https://api.acme.example/v1/orders", status_code=409)
    note = Accepted(note="already applied")
    assert call(batch(refused=lambda answer: note), [{}, {}]) == [note, note]


@pytest.mark.parametrize(
    ("verdict", "expected", "sent"),
    [("applied", [Accepted(note="already applied")], [{"n": 1}]), ("absent", [Accepted()], [{"n": 1}, {"n": 2}])],
)
def test_a_doubtful_refusal_is_asked_about(
    requests_mock: Mocker, verdict: str, expected: list[Any], sent: list[Any]
) -> None:
    requests_mock.post("https://api.acme.example/v1/orders", [{"status_code": 409}, {"json": {}}])
    requests_mock.get("https://api.acme.example/v1/orders/1", json={})
    probe = Probe(request=Request(method="GET", path="/orders/1"), read=lambda answer: verdict)
    action = batch(doubt=lambda answer, payload, settings: Doubt(probe=probe, otherwise=lambda: {"n": 2}))
    assert call(action, [{"n": 1}]) == expected
    bodies = [json.loads(each.body)[0] for each in requests_mock.request_history if each.method == "POST"]
    assert bodies == sent


def test_a_doubt_that_stays_is_tried_again_later(requests_mock: Mocker) -> None:
    requests_mock.post("https://api.acme.example/v1/orders", status_code=409)
    requests_mock.get("https://api.acme.example/v1/orders/1", status_code=500)
    probe = Probe(request=Request(method="GET", path="/orders/1"), read=lambda answer: "unknown")
    action = batch(doubt=lambda answer, payload, settings: Doubt(probe=probe, otherwise=dict))
    with pytest.raises(Unavailable):
        call(action, [{}])


@pytest.mark.parametrize(
    ("slept_at", "methods"), [("send", ["POST"]), ("ask", ["POST", "GET"]), (None, ["POST", "GET", "POST"])]
)
def test_no_further_request_begins_when_somebody_else_may_be_at_it(
    requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch, slept_at: str | None, methods: list[str]
) -> None:
    requests_mock.post("https://api.acme.example/v1/orders", [{"status_code": 409}, {"json": {}}])
    requests_mock.get("https://api.acme.example/v1/orders/1", json={})
    clock = [100.0]
    monkeypatch.setattr(http, "_now", lambda: clock[0])

    def sleep(at: str) -> None:
        clock[0] += 50.0 if at == slept_at else 0.0

    def read(_answer: Answer) -> str:
        sleep("ask")
        return "absent"

    def doubt(*_: Any) -> Doubt:
        sleep("send")
        probe = Probe(request=Request(method="GET", path="/orders/1"), read=read)
        return Doubt(probe=probe, otherwise=lambda: {"n": 2})

    session = http.new_session()
    given = {"base_url": ACME.base_url, "session": session, "until": 133.0}
    with suppress(Unavailable) if slept_at is None else pytest.raises(Unavailable, match="asking did not tell"):
        http.call(ACME, batch(doubt=doubt), [{"n": 1}], SETTINGS, **given)
    assert [each.method for each in requests_mock.request_history] == methods


def test_a_probe_gives_its_verdict(requests_mock: Mocker) -> None:
    requests_mock.get("https://api.acme.example/v1/me", status_code=401)
    probe = Probe(
        request=Request(method="GET", path="/me"),
        read=lambda answer: "refused" if answer.status == 401 else "accepted",
    )
    verdict = http.probe(ACME, probe, SETTINGS, base_url=ACME.base_url, session=requests.Session())
    assert verdict == "refused"
