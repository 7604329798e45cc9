"""What all sections of a report are made of."""

from dataclasses import dataclass
from functools import cached_property

from lsdc.challenges.hemorrhage.report.figures.agreement import Agreement, agreements
from lsdc.challenges.hemorrhage.report.figures.scored import Scored
from lsdc.challenges.hemorrhage.report.figures.sources import RunSource
from lsdc.challenges.hemorrhage.report.figures.where import WhereLost, where_lost
from lsdc.report.runs import content


@dataclass(frozen=True)
class Content(content.Content[RunSource, Scored]):
    """The sources of a report, and their predictions of the images that all of them score."""

    @cached_property
    def lost(self) -> tuple[WhereLost, ...]:
        """Where each source loses its score."""
        return tuple(where_lost(each) for each in self.scored)

    @cached_property
    def agreed(self) -> tuple[dict[str, Agreement], ...]:
        """How each source's predictions agree with the labels."""
        return tuple(agreements(each) for each in self.scored)
