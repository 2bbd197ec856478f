"""Mail: to one address, over a proved line, or not at all; and nothing of it in the log."""

from __future__ import annotations

import datetime as dt
import logging
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.db import Database
from app.models import SignInLink
from app.services import mail, sign_in
from app.services.mail import LinkSender, Mailer, MailError
from app.simulators.wp_certificate import make_certificate
from tests.postbox import Postbox

ANNA, US = "anna@shop.example", "tillwire@us.example"
PAGE = "https://tillwire.example/sign-in/link"


@pytest.fixture
def certified(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    return make_certificate(tmp_path, ())


@pytest.fixture
def secure(certified: tuple[Path, ssl.SSLContext]) -> ssl.SSLContext:
    return certified[1]


@pytest.fixture
def trusted(certified: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certified[0]))


def test_a_mail_goes_to_its_one_address_with_what_a_mail_needs() -> None:
    with Postbox() as box:
        Mailer(f"smtp://127.0.0.1:{box.port}", US).send(ANNA, "Sign in", "Grüße\n.\nfrom us\n")
    [sent] = box.mails
    assert (sent["From"], sent["To"], sent["Subject"]) == (US, ANNA, "Sign in")
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent["Message-ID"].endswith("@us.example>")
    assert sent["Date"]
    assert sent.get_content() == "Grüße\n.\nfrom us\n"
    assert [line for line in box.heard if line.upper().startswith("RCPT")] == [f"rcpt TO:<{ANNA}>"]


@pytest.mark.parametrize("broken", ["anna@shop.example\r\nBcc: eve@evil.example", "anna@shop.example\nSubject: x"])
def test_an_address_cannot_smuggle_in_a_header(broken: str) -> None:
    with Postbox() as box, pytest.raises(ValueError, match=r"newline|linefeed"):
        Mailer(f"smtp://127.0.0.1:{box.port}", US).send(broken, "Sign in", "text")
    assert box.mails == []


@pytest.mark.usefixtures("trusted")
def test_over_starttls_name_and_password_are_given_after_the_line_is_secure(secure: ssl.SSLContext) -> None:
    with Postbox(secure=secure) as box:
        Mailer(f"smtp://us%40x:p%3Ass@localhost:{box.port}", US).send(ANNA, "Sign in", "text")
    verbs = [line.split(" ")[0].upper() for line in box.heard]
    assert verbs == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]
    assert "AUTH PLAIN AHVzQHgAcDpzcw==" in box.heard  # \0us@x\0p:ss
    assert len(box.mails) == 1


@pytest.mark.usefixtures("trusted")
def test_smtps_is_secure_from_the_first_byte(secure: ssl.SSLContext) -> None:
    with Postbox(secure=secure, at_once=True) as box:
        Mailer(f"smtps://localhost:{box.port}", US).send(ANNA, "Sign in", "text")
    assert len(box.mails) == 1


@pytest.mark.parametrize(("scheme", "at_once"), [("smtp", False), ("smtps", True)])
def test_a_server_that_cannot_prove_its_name_gets_nothing(secure: ssl.SSLContext, scheme: str, at_once: bool) -> None:
    with Postbox(secure=secure, at_once=at_once) as box, pytest.raises(MailError, match=r"^SSLCertVerificationError$"):
        Mailer(f"{scheme}://us:password@localhost:{box.port}", US).send(ANNA, "Sign in", "text")
    assert not [line for line in box.heard if line.upper().startswith(("AUTH", "MAIL"))]


def test_a_server_elsewhere_that_offers_no_tls_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "_loopback", lambda host: False)
    with Postbox() as box, pytest.raises(MailError, match=r"^SMTPNotSupportedError$"):
        Mailer(f"smtp://us:password@127.0.0.1:{box.port}", US).send(ANNA, "Sign in", "text")
    assert not [line for line in box.heard if line.upper().startswith(("AUTH", "MAIL"))]


@pytest.mark.parametrize(("refuses", "said"), [("RCPT", "SMTPRecipientsRefused"), ("AUTH", "SMTPAuthenticationError")])
def test_what_the_server_refuses_is_told_without_address_or_password(refuses: str, said: str) -> None:
    with Postbox(refuses=refuses) as box, pytest.raises(MailError) as error:
        Mailer(f"smtp://us:password@127.0.0.1:{box.port}", US).send(ANNA, "Sign in", "text")
    assert str(error.value) == said
    assert error.value.__cause__ is None


def test_a_server_that_is_not_there_is_told_too() -> None:
    with Postbox() as box:
        pass
    with pytest.raises(MailError, match=r"^ConnectionRefusedError$"):
        Mailer(f"smtp://127.0.0.1:{box.port}", US).send(ANNA, "Sign in", "text")


# links


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    yield found
    found.close()


def test_a_mailed_link_carries_its_token_where_no_server_sees_it(db: Database) -> None:
    with Postbox() as box:
        sender = LinkSender(db, Mailer(f"smtp://127.0.0.1:{box.port}", US))
        sender.ask(ANNA, PAGE)
        sender.close()
    [sent] = box.mails
    found = re.search(rf"^{re.escape(PAGE)}#(\S{{43}})$", sent.get_content(), re.MULTILINE)
    assert found
    assert f"\n{found[1]}\n" in sent.get_content()  # as a code, for a browser without scripts
    with db.write() as session:
        assert sign_in.use_link(session, found[1], dt.datetime.now(dt.UTC))


def test_an_address_is_not_flooded_and_the_log_does_not_name_it(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    with Postbox() as box:
        sender = LinkSender(db, Mailer(f"smtp://127.0.0.1:{box.port}", US))
        for _ in range(5):
            sender.ask(ANNA, PAGE)
        sender.close()
    assert len(box.mails) == 3
    said = "an address asks for more sign-in links than it uses; no further mail was sent"
    assert [record.getMessage() for record in caplog.records] == [said, said]


def test_after_a_mail_that_failed_the_next_one_goes_out(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    with Postbox(refuses="RCPT") as box:
        sender = LinkSender(db, Mailer(f"smtp://127.0.0.1:{box.port}", US))
        sender.ask(ANNA, PAGE)
        while not caplog.records:
            pass
        box.refuses = ""
        sender.ask("bert@shop.example", PAGE)
        sender.close()
    assert [each["To"] for each in box.mails] == ["bert@shop.example"]
    assert caplog.record_tuples == [
        ("app.services.mail", logging.ERROR, "a sign-in mail could not be sent (SMTPRecipientsRefused): see SMTP_URL")
    ]


def test_mails_that_failed_do_not_use_up_the_links_of_an_address(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with Postbox(refuses="RCPT") as box:
        sender = LinkSender(db, Mailer(f"smtp://127.0.0.1:{box.port}", US))
        for _ in range(3):
            sender.ask(ANNA, PAGE)
        while len(caplog.records) < 3:
            time.sleep(0.01)
        box.refuses = ""
        sender.ask(ANNA, PAGE)
        sender.close()
    assert [each["To"] for each in box.mails] == [ANNA]
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(SignInLink)) == 1


def test_without_a_mail_server_the_link_is_printed_for_the_developer(
    db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    sender = LinkSender(db, None)
    sender.ask(ANNA, PAGE)
    sender.close()
    printed = capsys.readouterr()
    assert printed.out == ""
    found = re.fullmatch(
        rf"Sign in to Tillwire \(works once, for 15 minutes\): {re.escape(PAGE)}#(\S{{43}})\n", printed.err
    )
    assert found
    with db.write() as session:
        assert sign_in.use_link(session, found[1], dt.datetime.now(dt.UTC))


def test_a_flood_is_dropped_and_not_piled_up(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    sender = LinkSender(db, None)
    with db.begin():  # nothing can be written meanwhile
        for number in range(mail.MOST_WAITING + 3):
            sender.ask(f"x{number}@shop.example", PAGE)
    dropped = "200 people wait for sign-in mails already; one more was dropped"
    assert {record.getMessage() for record in caplog.records} == {dropped}
    assert 2 <= len(caplog.records) <= 3  # one may be in hand already
    sender.close()
    with db.read() as session:
        assert (session.scalar(select(func.count()).select_from(SignInLink)) or 0) <= mail.MOST_WAITING + 1
