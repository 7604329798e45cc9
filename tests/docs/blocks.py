"""The code blocks of the README and of the documentation, and what they need to run."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_NEEDS = re.compile(r"\*\*Needs (a GPU|a run|a cluster|a Kaggle account|the network)\b[^*]*\*\*")

_CALL = re.compile(r"^(?:[A-Z_]+=\S+ +)*lsdc (.*)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Attributes:
        page: the page, relative to the root of the repository.
        line: the line where it begins, from 1.
        language: the word after the fence, or "".
        text: the content.
        needs: what the sentence before the block says that it needs, such as `a GPU`, or "".
    """

    page: str
    line: int
    language: str
    text: str
    needs: str

    @property
    def script(self) -> str:
        """The block as a shell script: all of `sh`, the lines after a `$` of `console`."""
        if self.language == "sh":
            return self.text
        prompted = [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]
        return "\n".join(prompted) if self.language == "console" else ""

    @property
    def commands(self) -> list[list[str]]:
        """The arguments of each call of `lsdc` in the script."""
        script = self.script.replace("\\\n", " ")
        return [shlex.split(found[1], comments=True) for found in _CALL.finditer(script)]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def find_blocks(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page, also those in lists."""
    before = ""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "inline":
            before = token.content
        elif token.type in ("fence", "code_block"):
            needs = _NEEDS.search(before)
            yield Block(
                str(page.relative_to(ROOT)),
                token.map[0] + 1,
                token.info,
                token.content,
                needs[1] if needs else "",
            )
            before = ""


BLOCKS = [block for page in PAGES for block in find_blocks(page)]
