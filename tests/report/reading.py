"""Read a report as a person does: its tables by their captions, its text, the table of cases."""

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any


@dataclass
class ReadPage(HTMLParser):
    """A parsed page.

    Attributes:
        tables: the rows of texts of each table, by its caption.
        words: all text outside scripts and styles.
        links: the targets of all links.
        loaded: addresses of images, scripts, fonts and style sheets.
        cases: the table of cases, as the page's script gets it.
    """

    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    words: str = ""
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    cases: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._caption = ""
        self._rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.words += " "
        if tag == "a":
            self.links.append(given.get("href") or "")
        self.loaded += [given[name] or "" for name in ("src", "srcset", "data") if name in given]
        if tag == "link":
            self.loaded.append(given.get("href") or "")
        if tag == "table":
            self._caption, self._rows = "", []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        if tag not in ("meta", "link", "br", "img", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self.tables[" ".join(self._caption.split())] = self._rows

    def handle_data(self, data: str) -> None:
        if "script" in self._open and data.lstrip().startswith("{"):
            self.cases = json.loads(data)
        if {"script", "style"} & set(self._open):
            return
        self.words += data
        if "caption" in self._open:
            self._caption += data
        elif {"td", "th"} & set(self._open):
            self._rows[-1][-1] += (" " if self._open[-1] == "small" else "") + data.strip()


def read_page(html: str) -> ReadPage:
    """Parse a page; fail if it is not well formed enough to have all its tables."""
    page = ReadPage()
    page.feed(html)
    page.close()
    page.words = re.sub(r"\s+", " ", page.words)
    return page


def number(text: str) -> float:
    """Return the number in a cell, of a loss, a count or a share in per cent."""
    return float(text.split()[0].replace(",", "").replace("−", "-").replace("+", ""))
