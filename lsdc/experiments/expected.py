"""What is expected of an experiment that nobody has run yet: estimates with their source."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Range = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class Expected(BaseModel):
    """Estimates of an experiment's score and cost; nothing here was measured.

    Each range is the smallest and the largest value that is expected.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    oof: Range | None = Field(default=None, description="the score over all folds")
    of: str = Field(default="all folds", description="what has this score")
    source: str = Field(default="", description="what the estimate of the score rests on")
    gpu_hours: Range | None = Field(
        default=None, description="to train four folds on one GPU, at 15 to 25 TFLOP/s"
    )
    gpu_gb: Range | None = Field(default=None, description="memory of the GPU that training takes")
    core_hours: Range | None = Field(
        default=None, description="to train four folds without a GPU, times the number of cores"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("oof", "gpu_hours", "gpu_gb", "core_hours"):
            given = getattr(self, name)
            if given is not None and given[0] > given[1]:
                raise ValueError(f"{name}: expected smallest <= largest, got {list(given)}")
        if self.oof is not None and not self.source:
            raise ValueError("source: expected what the estimate of the score rests on, got ''")
        return self

    @property
    def score_words(self) -> str:
        """The expected score, such as "0.385 to 0.395"; empty if there is none."""
        return "" if self.oof is None else "{:.3f} to {:.3f}".format(*self.oof)

    @property
    def cost_words(self) -> str:
        """The expected hours and memory; empty if there are none."""
        words = []
        if self.gpu_hours is not None:
            words.append("{:g} to {:g} hours for four folds on one GPU".format(*self.gpu_hours))
        if self.gpu_gb is not None:
            words.append("{:g} to {:g} GB of its memory".format(*self.gpu_gb))
        if self.core_hours is not None:
            words.append("{:g} to {:g} core-hours for four folds".format(*self.core_hours))
        return ", ".join(words)
