"""Training settings: optimiser, schedule, batches, precision, checkpoints."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

Keep = Literal["last", "loss", "metric", "both"]


class TrainingSettings(Config):
    """The training of a model, apart from its architecture, its input and its loss."""

    epochs: int = Field(default=10, ge=1, description="Number of epochs.")
    batch_size: int = Field(default=8, ge=1, description="Samples per batch.")
    accumulate: int = Field(default=1, ge=1, description="Batches per step of the optimiser.")
    optimiser: Literal["adamw", "radam"] = Field(default="adamw", description="Optimiser.")
    learning_rate: float = Field(default=4e-4, gt=0, description="Peak learning rate.")
    weight_decay: float = Field(default=1e-2, ge=0, description="Weight decay of the optimiser.")
    schedule: Literal["cosine", "one_cycle"] = Field(
        default="cosine",
        description="Schedule of the learning rate: warm-up and cosine, or one cycle.",
    )
    warmup: float = Field(
        default=0.2, ge=0, lt=1, description="Fraction of all steps that warm up."
    )
    flat: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Fraction of all steps at the peak, before the cosine falls.",
    )
    max_norm: float | None = Field(
        default=None, gt=0, description="Norm to which gradients are clipped."
    )
    ema_decay: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Decay of a moving average of the weights, which is then scored and kept.",
    )
    freeze_epochs: int = Field(
        default=0, ge=0, description="Number of first epochs in which the backbone is frozen."
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32",
        description="Precision of the forward pass, in training and in prediction.",
    )
    keep: Keep = Field(
        default="last",
        description=(
            "Which epoch is kept: the last, or the best on the scored fold by its loss, its"
            " metric, or the mean of 'both'; the scores are then marked selected."
        ),
    )
    checkpoint_steps: int = Field(
        default=500,
        ge=1,
        description="Steps of the optimiser between two checkpoints within an epoch.",
    )
    stall_minutes: float = Field(
        default=15.0,
        gt=0,
        description=(
            "Minutes without progress after which a training counts as stalled and is stopped."
        ),
    )

    @model_validator(mode="after")
    def _check_epochs(self) -> Self:
        if self.schedule == "one_cycle" and self.flat:
            raise ValueError("one_cycle has no flat part: expected flat 0, or schedule 'cosine'")
        if self.warmup + self.flat > 1:
            raise ValueError(
                f"warmup {self.warmup} and flat {self.flat} exceed all steps: expected a sum of at "
                "most 1"
            )
        if self.freeze_epochs >= self.epochs:
            raise ValueError(
                f"freeze_epochs {self.freeze_epochs} of {self.epochs} epochs: expected fewer"
            )
        return self
