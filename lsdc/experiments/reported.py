"""Figures that a log reports for an experiment, to compare with those measured here."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

LOG_FOLDS = 4


class Result(BaseModel):
    """The scores of one training, by the competition's metric unless noted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folds: dict[int, float] = Field(default={}, description="the score of each fold by number")
    losses: dict[int, float] = Field(default={}, description="its validation loss, where given")
    training_losses: dict[int, float] = Field(
        default={}, description="its training loss, where given"
    )
    accuracies: dict[int, float] = Field(
        default={}, description="its share of right labels at one half, where given"
    )
    oof: float | None = Field(default=None, gt=0, description="over all four folds")
    leaderboard: float | None = Field(
        default=None,
        gt=0,
        description="public, of what was submitted; of the private one the log gives no figure",
    )
    leaderboard_views: float | None = Field(
        default=None, gt=0, description="the same, with test-time augmentation"
    )
    kept_by: Literal["metric", "loss"] = Field(
        default="metric", description="what the epochs were chosen by"
    )
    remark: str = Field(default="", description="what sets it apart from the entry's first")

    @property
    def partial(self) -> bool:
        """Whether the scores cover only some of the folds."""
        return self.oof is None and len(self.folds) < LOG_FOLDS


class Reported(Result):
    """An entry's scores, and those of its reruns and of other choices of epoch."""

    again: tuple[Result, ...] = ()

    @property
    def results(self) -> list[Result]:
        """All results with a score or a loss, the entry's own first."""
        return [each for each in (self, *self.again) if each.folds or each.losses or each.oof]
