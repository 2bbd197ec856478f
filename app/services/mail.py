"""Mail: sign-in links and invitations, sent behind the answer.

Whoever asks for a link gets the answer before anything is looked up or sent, so neither its text nor its time tells
whether an address is known. A process that dies meanwhile loses a mail that can be asked for again.
"""

from __future__ import annotations

import logging
import queue
import smtplib
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from app.db import Database
from app.services import sign_in
from app.services.said import mark, said

log = logging.getLogger(__name__)

TIMEOUT = 15.0  #: seconds for each step of the talk with the mail server
MOST_WAITING = 200  #: requests; beyond that somebody is flooding us, and the newest are dropped
CLOSING = 5.0  #: seconds that a mail on its way gets when we stop

_TEXT = mark("""Somebody, probably you, asked to sign in to Tillwire.

Open this link and press "Sign in". It works once, for 15 minutes:

{link}

If the page asks for a code, this is it:

{token}

If it was not you, do nothing: without this mail nobody can use the link.
""")


_INVITATION = mark("""You are invited to see the store {domain} in Tillwire.
Tillwire brings the orders of a store to its tracking services.

Open this link and press "Sign in". It works once, for three days:

{link}

If the page asks for a code, this is it:

{token}

If you do not know the store, do nothing.
""")


_ALERTS = mark("""Somebody who looks after the store {domain} in Tillwire wants alerts about it sent to this address:
one mail when something needs a person, and one when it is over.

If you want them, open this link and press the button. It works once, for one day:

{link}

If the page asks for a code, this is it:

{token}

If you do not know the store, do nothing: nothing more is sent to you.
""")


def _now() -> datetime:
    return datetime.now(UTC)


class MailError(Exception):
    """The mail could not be handed to the mail server. The text names no address and no password."""


class Mailer:
    """Hands mails to one mail server."""

    def __init__(self, smtp_url: str, mail_from: str) -> None:
        """``smtp_url``: ``smtps://`` or ``smtp://`` with user and password, quoted as in an address."""
        self._server = urlsplit(smtp_url)
        self._from = mail_from

    def send(self, address: str, subject: str, text: str) -> None:
        """Send one mail; raises `MailError`."""
        message = self._message(address, subject, text)
        try:
            with self._connect() as server:
                if self._server.username:
                    server.login(unquote(self._server.username), unquote(self._server.password or ""))
                server.send_message(message, self._from, [address])
        except (smtplib.SMTPException, OSError, UnicodeError) as error:  # their texts repeat addresses
            raise MailError(type(error).__name__) from None

    def _message(self, address: str, subject: str, text: str) -> EmailMessage:
        """The policy refuses a line break in a header, whatever an address holds."""
        message = EmailMessage(policy=SMTP)
        message["From"], message["To"], message["Subject"] = self._from, address, subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._from.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answers to it
        message.set_content(text)
        return message

    def _connect(self) -> smtplib.SMTP:
        host, secure = self._server.hostname or "", ssl.create_default_context()
        if self._server.scheme == "smtps":
            return smtplib.SMTP_SSL(host, self._server.port or 465, timeout=TIMEOUT, context=secure)
        server = smtplib.SMTP(host, self._server.port or 587, timeout=TIMEOUT)
        try:
            server.ehlo()
            if server.has_extn("starttls") or not _loopback(host):
                server.starttls(context=secure)  # raises where the server offers none: a password never goes in clear
        except BaseException:
            server.close()
            raise
        return server


class LinkSender:
    """Mails links, one after the other, in a thread of its own."""

    def __init__(self, db: Database, mailer: Mailer | None, now: Callable[[], datetime] = _now) -> None:
        """Without a mailer links are printed to standard error, for a developer at this machine."""
        self._db = db
        self._mailer = mailer
        self._now = now
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def ask(self, address: str, page: str) -> None:
        """Send a link to ``address`` soon. ``page`` is the full address of the page that takes the token."""
        subject, text = said(mark("Sign in to Tillwire")), said(_TEXT)  # here: the thread knows of no language
        self._put(lambda: self._send_link(address, page, subject, text))

    def invite(self, address: str, page: str, token: str, domain: str) -> None:
        """Send the link of an invitation soon. A mail that is lost can be sent again by inviting again."""
        link, subject = f"{page}#{token}", said(mark("See {domain} in Tillwire")).format(domain=domain)
        text = said(_INVITATION).format(domain=domain, link=link, token=token)
        self._put(lambda: self._send(address, subject, text, link, "works once, for three days"))

    def ask_for_alerts(self, address: str, page: str, token: str, domain: str) -> None:
        """Send the link that agrees to alerts soon. A mail that is lost can be asked for again."""
        link, subject = f"{page}#{token}", said(mark("Alerts about {domain} from Tillwire")).format(domain=domain)
        text = said(_ALERTS).format(domain=domain, link=link, token=token)
        self._put(lambda: self._send(address, subject, text, link, "works once, for one day"))

    def _put(self, letter: Callable[[], None]) -> None:
        self._start()
        try:
            self._waiting.put_nowait(letter)
        except queue.Full:
            log.error("%d people wait for sign-in mails already; one more was dropped", MOST_WAITING)

    def close(self) -> None:
        if self._thread is not None:
            with suppress(queue.Full):
                self._waiting.put_nowait(None)
            self._thread.join(CLOSING)

    def _start(self) -> None:
        """At the first need: a server that forks its workers would leave the thread behind in the parent."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sign-in mails", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (each := self._waiting.get()) is not None:
            try:
                each()
            except MailError as error:
                log.error("a sign-in mail could not be sent (%s): see SMTP_URL", error)
            except Exception:  # the next address must not wait for a restart
                log.exception("a sign-in link could not be made")

    def _send_link(self, address: str, page: str, subject: str, text: str) -> None:
        with self._db.write() as session:
            token = sign_in.ask(session, address, self._now())
        if token is None:
            log.warning("an address asks for more sign-in links than it uses; no further mail was sent")
            return
        try:
            link = f"{page}#{token}"
            self._send(address, subject, text.format(link=link, token=token), link, "works once, for 15 minutes")
        except MailError:
            with self._db.write() as session:
                sign_in.withdraw_link(session, token)
            raise

    def _send(self, address: str, subject: str, text: str, link: str, lifetime: str) -> None:
        if self._mailer is None:
            sys.stderr.write(f"{subject} ({lifetime}): {link}\n")
            sys.stderr.flush()
        else:
            self._mailer.send(address, subject, text)


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
