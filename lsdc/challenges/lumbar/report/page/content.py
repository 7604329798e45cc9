"""What all sections of a report are made of."""

from dataclasses import dataclass
from functools import cached_property

from lsdc.challenges.lumbar.report.figures.sources import RunSource, Source
from lsdc.challenges.lumbar.report.figures.where import WhereLost, where_lost
from lsdc.challenges.lumbar.scoring.compared import Compared
from lsdc.challenges.lumbar.scoring.scored import Scored


@dataclass(frozen=True)
class Content:
    """The sources of a report, and their predictions on the rows that all of them score."""

    sources: tuple[Source, ...]
    compared: Compared

    @property
    def scored(self) -> tuple[Scored, ...]:
        """The predictions of each source on the common rows."""
        return self.compared.scored

    @property
    def first(self) -> Scored:
        """The predictions of the first source."""
        return self.scored[0]

    @property
    def is_single(self) -> bool:
        """Whether there is only one source, so that its name needs not be repeated."""
        return len(self.sources) == 1

    @property
    def runs(self) -> list[RunSource]:
        """The sources that are runs with records."""
        return [source for source in self.sources if isinstance(source, RunSource)]

    @cached_property
    def lost(self) -> tuple[WhereLost, ...]:
        """Where each source loses its score."""
        return tuple(where_lost(each) for each in self.scored)

    def titled(self, text: str, name: str) -> str:
        """Return a caption, with the name of a source if there are several."""
        return text if self.is_single else f"{text}: {name}"
