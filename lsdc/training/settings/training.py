"""Training settings: optimiser, schedule, batches, precision, checkpoints."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

Beta = Annotated[float, Field(ge=0, lt=1)]
BatchBy = Literal["sample", "study"]
Keep = Literal["last", "loss", "metric", "both"]


class TrainingSettings(Config):
    """Settings of the training: everything except the architecture, the input and the loss."""

    epochs: int = Field(default=10, ge=1, description="Number of epochs.")
    batch_size: int = Field(
        default=8,
        ge=1,
        description="Number of samples per batch; with batch_by 'study', the number of studies.",
    )
    batch_by: BatchBy = Field(
        default="sample",
        description=(
            "What training batches are made of. 'sample': samples of any studies; 'study': all "
            "samples of each study, so that a batch has several times batch_size samples."
        ),
    )
    accumulate: int = Field(
        default=1, ge=1, description="Gradient accumulation: number of batches per optimiser step."
    )
    optimiser: Literal["adamw", "radam", "ranger"] = Field(
        default="adamw",
        description="Optimiser; 'ranger' is RAdam with lookahead: half of every 6 steps is undone.",
    )
    betas: tuple[Beta, Beta] = Field(
        default=(0.9, 0.999),
        description=(
            "Decay of the optimiser's means of the gradient and of its square. 'one_cycle' changes "
            "the first one during training."
        ),
    )
    learning_rate: float = Field(default=4e-4, gt=0, description="Peak learning rate.")
    backbone_learning_rate: float | None = Field(
        default=None,
        gt=0,
        description=(
            "Peak learning rate of the backbone, which follows the same schedule; none means "
            "learning_rate."
        ),
    )
    weight_decay: float = Field(default=1e-2, ge=0, description="Weight decay of the optimiser.")
    schedule: Literal["cosine", "one_cycle"] = Field(
        default="cosine",
        description=(
            "Learning-rate schedule. 'cosine': linear warm-up and cosine decay; 'one_cycle': "
            "OneCycleLR."
        ),
    )
    warmup: float = Field(
        default=0.2, ge=0, lt=1, description="Fraction of all steps that is used for warm-up."
    )
    flat: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=(
            "Fraction of all steps at the peak learning rate, between warm-up and cosine decay."
        ),
    )
    max_norm: float | None = Field(
        default=None,
        gt=0,
        description="Gradient clipping: largest norm of the gradient; none means no clipping.",
    )
    ema_decay: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description=(
            "Decay of the exponential moving average (EMA) of the weights. If it is set, the "
            "averaged weights are scored and saved."
        ),
    )
    freeze_epochs: int = Field(
        default=0,
        ge=0,
        description=(
            "Number of epochs at the start in which the backbone is frozen; if it is frozen in all "
            "epochs, only what follows the backbone is trained."
        ),
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32",
        description=(
            "Precision of the forward pass in training and prediction; bfloat16 and float16 use "
            "autocast (mixed precision)."
        ),
    )
    keep: Keep = Field(
        default="last",
        description=(
            "Which epoch is kept. 'last': the last epoch; 'loss', 'metric', 'both': the best epoch "
            "on the validation fold, by validation loss, by metric, or by the mean of the two; the "
            "scores are then marked selected."
        ),
    )
    checkpoint_steps: int = Field(
        default=500,
        ge=1,
        description="Number of optimiser steps between two checkpoints within an epoch.",
    )
    stall_minutes: float = Field(
        default=15.0,
        gt=0,
        description=(
            "Minutes without progress after which a training counts as stalled and is stopped."
        ),
    )

    @model_validator(mode="after")
    def _check_schedule(self) -> Self:
        if self.schedule == "one_cycle" and self.flat:
            raise ValueError(
                "schedule 'one_cycle' does not use flat: expected flat 0, or schedule 'cosine'"
            )
        if self.warmup + self.flat > 1:
            raise ValueError(
                f"warmup {self.warmup} + flat {self.flat}: expected a sum of at most 1"
            )
        if self.freeze_epochs > self.epochs:
            raise ValueError(
                f"freeze_epochs {self.freeze_epochs}: expected at most epochs, {self.epochs}"
            )
        if self.backbone_learning_rate is not None and self.freeze_epochs == self.epochs:
            raise ValueError(
                "backbone_learning_rate has no effect: the backbone is frozen in all epochs; "
                f"expected none, or freeze_epochs below {self.epochs}"
            )
        return self
