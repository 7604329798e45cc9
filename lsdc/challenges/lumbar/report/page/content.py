"""What all sections of a report are made of."""

from dataclasses import dataclass
from functools import cached_property

from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.report.figures.where import WhereLost, where_lost
from lsdc.challenges.lumbar.scoring.scored import Scored
from lsdc.report.runs import content


@dataclass(frozen=True)
class Content(content.Content[RunSource, Scored]):
    """The sources of a report, and their predictions of the rows that all of them score."""

    @cached_property
    def lost(self) -> tuple[WhereLost, ...]:
        """Where each source loses its score."""
        return tuple(where_lost(each) for each in self.scored)
