"""Training settings, apart from those of the model, its input and its loss."""

from dataclasses import dataclass
from typing import Literal

Keep = Literal["last", "loss", "metric", "both"]


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of a training.

    Attributes:
        epochs: number of passes over the samples.
        batch_size: samples per batch.
        accumulate: batches whose gradients are accumulated for one weight update.
        optimiser: AdamW or RAdam, both with decoupled weight decay.
        learning_rate: peak learning rate.
        weight_decay: weight decay of all parameters.
        schedule: learning rate schedule; see `lsdc.training.schedule`.
        warmup: fraction of all updates over which the learning rate rises.
        flat: fraction of all updates over which it then stays at its peak.
        max_norm: norm to which gradients are clipped; None disables clipping.
        ema_decay: decay of a moving average of the weights, which is then evaluated and kept.
        freeze_epochs: number of first epochs in which the backbone is frozen.
        precision: autocast precision of the forward pass, in prediction too; weights are float32.
        keep: epoch whose weights are kept: the last, or the best by validation loss, by score or
            by the mean of the two. All but "last" select on the same fold that is scored.
        checkpoint_steps: number of weight updates between checkpoints; each epoch ends with one.
    """

    epochs: int
    batch_size: int
    accumulate: int
    optimiser: Literal["adamw", "radam"]
    learning_rate: float
    weight_decay: float
    schedule: Literal["cosine", "one_cycle"]
    warmup: float
    flat: float
    max_norm: float | None
    ema_decay: float | None
    freeze_epochs: int
    precision: Literal["float32", "bfloat16", "float16"]
    keep: Keep
    checkpoint_steps: int
