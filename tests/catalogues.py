"""A language for tests: every text that translators are given stands between ⟦ and ⟧, and nothing else does."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from tests.processes import ROOT

PSEUDO = "eo"  #: a language that Babel knows and we do not have
#: As in the Makefile.
KEYWORDS = ("_l", "lazy_gettext", "mark")
_TOLD = {"alt", "aria-label", "content", "data-label", "placeholder", "title"}  #: attributes that are read out
_DATA = {"code", "pre", "script", "style", "textarea", "time"}  #: elements whose content is nobody's sentence


def collect(found: Path) -> None:
    """Write what translators are given to the file ``found``, as ``make texts`` does."""
    keywords = [part for each in KEYWORDS for part in ("-k", each)]
    command = [sys.executable, "-m", "babel.messages.frontend", "-q", "extract", "-F", "babel.cfg", *keywords]
    subprocess.run([*command, "-o", str(found), "."], cwd=ROOT, check=True)


def write_pseudo(folder: Path) -> None:
    """Make ``folder`` one of catalogues, with `PSEUDO` in it."""
    collect(folder / "messages.pot")
    catalog = Catalog(locale=PSEUDO)
    with (folder / "messages.pot").open("rb") as file:
        for message in read_po(file):
            ids = message.id if isinstance(message.id, (list, tuple)) else (message.id,)
            if any(ids):
                wrapped = tuple(f"⟦{each}⟧" for each in ids)
                catalog.add(message.id, wrapped if len(ids) > 1 else wrapped[0])
    place = folder / PSEUDO / "LC_MESSAGES"
    place.mkdir(parents=True)
    with (place / "messages.mo").open("wb") as file:
        write_mo(file, catalog)


class Told(HTMLParser):
    """The texts that a page shows or reads out, but for data that is marked up as such."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._data: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _DATA or given.get("translate") == "no":
            self._data.append(tag)
        if tag != "meta" and not self._data:
            self.texts += [value for name, value in attrs if name in _TOLD and value]
        if tag == "input" and given.get("type") == "submit":
            self.texts.append(given.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if self._data and self._data[-1] == tag:
            self._data.pop()

    def handle_data(self, data: str) -> None:
        if not self._data and data.strip():
            self.texts.append(" ".join(data.split()))


def unmarked(page: str, data: frozenset[str]) -> list[str]:
    """What ``page`` says beside the texts that can be translated, and beside ``data``: words that are nobody's."""
    while (less := re.sub(r"⟦[^⟦⟧]*⟧", " ", page)) != page:
        page = less
    return [text for text in Told(page).texts if not _words(text) <= data]


def _words(text: str) -> set[str]:
    return {word for word in _WORD.findall(_WORKED_OUT.sub(" ", text)) if len(word) > 1}


#: Addresses, amounts, sizes, moments and lengths of time, as Babel writes them; names with dots, as of fields.
_WORKED_OUT = re.compile(
    r"https?://\S+|\b[A-Z]{3}\s[\d.,\s]+|[\d.,]+\skB|\d{4}-\w{3}-\d\d|\d+ \w+( \d{4})?(, \d\d:\d\d)?|\b\w+(\.\w+)+"
)
_WORD = re.compile(r"[^\W\d_][\w-]*")
