"""What all sections of a report are made of."""

from dataclasses import dataclass
from functools import cached_property

from lsdc.challenges.hemorrhage.report.figures.agreement import Agreement, agreements
from lsdc.challenges.hemorrhage.report.figures.compared import Compared
from lsdc.challenges.hemorrhage.report.figures.scored import Scored
from lsdc.challenges.hemorrhage.report.figures.sources import RunSource, Source
from lsdc.challenges.hemorrhage.report.figures.where import WhereLost, where_lost


@dataclass(frozen=True)
class Content:
    """The sources of a report, and their predictions of the images that all of them score."""

    sources: tuple[Source, ...]
    compared: Compared

    @property
    def scored(self) -> tuple[Scored, ...]:
        """The predictions of each source on the common images."""
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

    @cached_property
    def agreed(self) -> tuple[dict[str, Agreement], ...]:
        """How each source's predictions agree with the labels."""
        return tuple(agreements(each) for each in self.scored)

    def titled(self, text: str, name: str) -> str:
        """Return a caption, with the name of a source if there are several."""
        return text if self.is_single else f"{text}: {name}"
