"""What all sections of a report are made of: runs, or tables of predictions, compared."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from lsdc.report.runs.records import RunRecords
from lsdc.scoring.compared import Compared, Scored

R = TypeVar("R", bound=RunRecords)
S = TypeVar("S", bound=Scored)


@dataclass(frozen=True)
class PredictionSource(Generic[S]):
    """A table of predictions, with labels from elsewhere."""

    name: str
    scored: S


@dataclass(frozen=True)
class Content(Generic[R, S]):
    """The sources of a report, and their predictions of the rows that all of them score."""

    sources: tuple[R | PredictionSource[S], ...]
    compared: Compared[S]

    @property
    def scored(self) -> tuple[S, ...]:
        """The predictions of each source of the common rows."""
        return self.compared.scored

    @property
    def first(self) -> S:
        """The predictions of the first source."""
        return self.scored[0]

    @property
    def is_single(self) -> bool:
        """Whether there is only one source, so that its name needs not be repeated."""
        return len(self.sources) == 1

    @property
    def runs(self) -> list[R]:
        """The sources that are runs with records."""
        return [source for source in self.sources if not isinstance(source, PredictionSource)]

    def titled(self, text: str, name: str) -> str:
        """Return a caption, with the name of a source if there are several."""
        return text if self.is_single else f"{text}: {name}"
