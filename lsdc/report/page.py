"""The page: sections and cases in one HTML file that loads nothing from elsewhere."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lsdc.report import numbers
from lsdc.report.blocks import Section
from lsdc.report.cases import Cases

_ROOM = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: the title.
        about: a line below it.
        sections: the sections; with cases, one of their blocks is a `CaseTable`.
        made_by: the program and its version.
        cases: the table of all cases; None without any.
        classes: the names of the classes, in the order of their colours.
    """

    title: str
    about: str
    sections: Sequence[Section]
    made_by: str
    cases: Cases | None = None
    classes: Sequence[str] = ()


def render(page: Page) -> str:
    """Return the page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(_ROOM),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    # The only sequence that could end the script element early.
    cases = page.cases.as_json().replace("<", "\\u003c") if page.cases is not None else ""
    environment.filters |= {"data_url": _data_url, "percent": numbers.percent}
    return environment.get_template("page.html").render(
        page=page,
        blocks=environment.get_template("blocks.html").make_module({"classes": page.classes}),
        style=Markup(_read("page.css")),
        script=Markup(_read("page.js")),
        cases=Markup(cases),
    )


def _read(name: str) -> str:
    return (_ROOM / name).read_text(encoding="utf-8")


def _data_url(image: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(image).decode()}"
