"""How a model is trained, apart from what it is, what it sees and what its loss is."""

from dataclasses import dataclass
from typing import Literal

Keep = Literal["last", "loss", "metric", "both"]


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained.

    Attributes:
        epochs: how often every sample is seen, unless some are repeated.
        batch_size: samples that go through the model together.
        accumulate: batches whose gradients make up one update of the weights.
        optimiser: both decay weights decoupled from the gradient.
        learning_rate: its peak.
        weight_decay: of all parameters.
        schedule: how the learning rate rises and falls; see `lsdc.training.schedule`.
        warmup: share of all updates over which it rises.
        flat: share of all updates over which it then stays at its peak.
        max_norm: to which gradients are clipped; None is not at all.
        ema_decay: of a moving average of the weights, which then is what is evaluated and kept.
        freeze_epochs: epochs at first in which the backbone learns nothing.
        precision: of the forward pass, by autocast, of predictions too; weights are float32.
        keep: the weights of which epoch: the last, or the best by validation loss, by score or by
            the mean of the two. All but the last choose on the very fold that is scored.
        checkpoint_steps: a checkpoint is saved after so many updates of the weights, and at each
            epoch's end.
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
