"""A mail server on this machine, as much of one as mails need."""

from __future__ import annotations

import email
import email.policy
import socketserver
import ssl
import threading
from email.message import EmailMessage
from typing import Self


class _Talk(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as it takes."""

    server: Postbox
    timeout = 5

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
        self.wfile.flush()

    def handle(self) -> None:
        box = self.server
        try:
            if box.secure and box.at_once:
                self.secure()
            self.say("220 here")
            while line := self.rfile.readline().decode().strip():
                box.heard.append(line)
                if self.answer(line):
                    return
        except (OSError, ssl.SSLError):
            box.heard.append("broken off")

    def answer(self, line: str) -> bool:
        box, verb = self.server, line.partition(" ")[0].upper()
        if verb == "EHLO":
            offered = ["250-STARTTLS"] if box.secure and not box.at_once else []
            self.say("250-here", *offered, "250-AUTH PLAIN", "250 SIZE 1000000")
        elif verb == "STARTTLS":
            self.say("220 go on")
            self.secure()
        elif verb == "AUTH":
            self.say("535 wrong" if box.refuses == "AUTH" else "235 welcome")
        elif verb == "RCPT" and box.refuses == "RCPT":
            self.say(f"550 no such person: {line}")
        elif verb == "DATA":
            self.say("354 go on")
            lines = []
            while (each := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(each.removeprefix(b".").replace(b"\r\n", b"\n"))
            box.mails.append(email.message_from_bytes(b"".join(lines), policy=email.policy.default))  # type: ignore[arg-type]
            self.say("250 taken")
        else:
            self.say("221 bye" if verb == "QUIT" else "250 fine")
        return verb == "QUIT"

    def secure(self) -> None:
        assert self.server.secure
        self.request = self.connection = self.server.secure.wrap_socket(self.request, server_side=True)
        self.setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()


class Postbox(socketserver.ThreadingTCPServer):
    """A mail server on this machine."""

    daemon_threads = True

    def __init__(self, *, secure: ssl.SSLContext | None = None, at_once: bool = False, refuses: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.secure, self.at_once, self.refuses = secure, at_once, refuses
        self.heard: list[str] = []
        self.mails: list[EmailMessage] = []
        self.port = self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
