"""What the lab log reports of an experiment: figures to stand beside those measured here."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

LOG_FOLDS = 4


class Result(BaseModel):
    """The figures of one training: the competition's metric unless said; lower is better."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folds: dict[int, float] = Field(default={}, description="the score of each fold by number")
    losses: dict[int, float] = Field(default={}, description="its validation loss, where given")
    oof: float | None = Field(default=None, gt=0, description="over all four folds")
    leaderboard: float | None = Field(
        default=None,
        gt=0,
        description="public, of what was submitted; of the private one the log gives no figure",
    )
    kept_by: Literal["metric", "loss"] = Field(
        default="metric", description="what the epochs were chosen by"
    )
    remark: str = Field(default="", description="what sets it apart from the entry's first")

    @property
    def partial(self) -> bool:
        """Whether the figures are of some of the folds alone."""
        return self.oof is None and len(self.folds) < LOG_FOLDS


class Reported(Result):
    """An entry's figures, and those of its reruns and of other choices of epoch."""

    again: tuple[Result, ...] = ()

    @property
    def results(self) -> list[Result]:
        """All that has a figure, the entry's first before the others."""
        return [each for each in (self, *self.again) if each.folds or each.oof]
