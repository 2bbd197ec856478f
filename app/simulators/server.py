"""A small HTTP/1.1 server for the simulators: keep-alive, a thread for each connection, and two bad habits on demand.

Ordinary WSGI servers promise an answer to every request. A simulator must be able to cut a connection without one
(`ConnectionCut`) and to send an answer byte by byte (`Dripped`), status line and headers included.
"""

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from socket import SHUT_RDWR, socket
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_LINE = 65536  # bytes; longer request or header lines end the connection


class ConnectionCut(Exception):
    """Raised by the application: close the connection now, without any answer."""


class Dripped:
    """A body whose whole answer is to be sent one byte at a time."""

    def __init__(self, body: bytes, pause: Callable[[], object]) -> None:
        self.body = body
        self.pause = pause

    def __iter__(self) -> Iterator[bytes]:
        for position in range(len(self.body)):
            yield self.body[position : position + 1]
            self.pause()


class _Connection(socketserver.StreamRequestHandler):
    """One client connection, serving request after request until either side closes."""

    disable_nagle_algorithm = True
    server: "_Listener"

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def handle(self) -> None:
        try:
            while self._serve_one():
                pass
        except (OSError, ConnectionCut):
            return  # the client left, or the application wants it to believe that we did

    def _serve_one(self) -> bool:
        line = self.rfile.readline(_LINE).decode("latin-1").split()
        if len(line) != 3:
            return False
        method, target, version = line
        environ = self._environ(method, target)
        length = environ.get("CONTENT_LENGTH", "0")
        if not length.isdigit() or "HTTP_TRANSFER_ENCODING" in environ:
            self._send("411 Length Required", [("Content-Length", "0")], b"")
            return False
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return False  # the client gave up half-way
        environ["wsgi.input"] = BytesIO(body)
        self._run(environ)
        wish = environ.get("HTTP_CONNECTION", "").lower()
        return wish != "close" and (version == "HTTP/1.1" or wish == "keep-alive")

    def _environ(self, method: str, target: str) -> dict[str, Any]:
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "REQUEST_URI": target,
            "QUERY_STRING": query,
            "SERVER_NAME": self.server.server_address[0],
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self.server.scheme,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        while (line := self.rfile.readline(_LINE)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            key = name.strip().upper().replace("-", "_")
            environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value.strip()
        return environ

    def _run(self, environ: dict[str, Any]) -> None:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_exc: object) -> Callable[[bytes], object]:
            started.append((status, headers))
            return self.wfile.write

        result = self.server.application(environ, start_response)
        status, headers = started[0]
        if isinstance(result, Dripped):
            head = _head(status, headers)
            for byte in Dripped(head + result.body, result.pause):
                self.wfile.write(byte)
        else:
            body = b"".join(result)
            if hasattr(result, "close"):
                result.close()  # an open file, for example
            self._send(status, headers, b"" if environ["REQUEST_METHOD"] == "HEAD" else body)

    def _send(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.wfile.write(_head(status, headers) + body)


def _head(status: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


class _Listener(socketserver.ThreadingTCPServer):
    """Accepts connections and remembers them: closing the server must also end those that idle in a client's pool."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], application: "WSGIApplication", tls: ssl.SSLContext | None) -> None:
        self.application = application
        self.scheme = "https" if tls else "http"
        self._tls = tls
        self._live: dict[socket, threading.Thread] = {}
        self._guard = threading.Lock()
        self._ended = False
        super().__init__(address, _Connection)

    def get_request(self) -> tuple[socket, Any]:
        """The handshake is left to the connection's own thread: a slow client must not keep the others out."""
        connection, address = super().get_request()
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def opened(self, connection: socket) -> None:
        with self._guard:
            if self._ended:
                _hang_up(connection)
            self._live[connection] = threading.current_thread()

    def closed(self, connection: socket) -> None:
        with self._guard:
            self._live.pop(connection, None)

    def end_connections(self) -> None:
        with self._guard:
            self._ended = True
            live = dict(self._live)
            for connection in live:
                _hang_up(connection)
        for thread in live.values():
            thread.join(5)


def _hang_up(connection: socket) -> None:
    try:
        connection.shutdown(SHUT_RDWR)
    except OSError:
        return  # the client was quicker


class Server:
    """Serves a WSGI application on one address from a background thread; a context manager."""

    def __init__(
        self,
        application: "WSGIApplication",
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Listen at once.

        Args:
            port: 0 takes a free one, told by `url`.
            tls: speak https with its certificate.
        """
        self._listener = _Listener((host, port), application, tls)
        self.host = host
        self.port: int = self._listener.server_address[1]
        self._thread = threading.Thread(
            target=self._listener.serve_forever,
            kwargs={"poll_interval": 0.02},
            daemon=True,
            name=f"simulators:{self.port}",
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._listener.scheme}://{self.host}:{self.port}"

    def wait(self) -> None:
        """Block until the server is closed."""
        self._thread.join()

    def close(self) -> None:
        """Stop listening, end all connections and wait for their threads; closing twice does no harm."""
        if self._thread.is_alive():
            self._listener.shutdown()
            self._thread.join()
        self._listener.end_connections()
        self._listener.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
