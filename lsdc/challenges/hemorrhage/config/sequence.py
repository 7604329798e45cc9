"""The second model, over the slices of a study."""

from typing import Literal

from pydantic import Field

from lsdc.experiments.base import Config
from lsdc.training.settings.training import TrainingSettings

_OF_STACKING = ("reach", "strength")


class SequenceConfig(Config):
    """A model that labels each slice from what the slice model says of all slices of its study.

    It reads the outputs of the slice model of the same fold, which has not seen the fold's labels,
    and is trained on the other folds' studies alone.
    """

    kind: Literal["none", "lstm", "gru", "stacking"] = Field(
        default="none",
        description=(
            "The model. 'none': the slice model's predictions are final; 'lstm' and 'gru': a "
            "bidirectional recurrent net over the features of the slices, their differences to the "
            "slices before and after, the slice model's logits and the steps in mm; 'stacking': a "
            "logistic regression a label on the slice model's logits of a slice and its neighbours."
        ),
    )
    width: int = Field(default=512, ge=8, description="Number of states of each direction.")
    layers: int = Field(default=2, ge=1, le=4, description="Number of recurrent layers.")
    dropout: float = Field(
        default=0.3, ge=0, lt=1, description="Dropout rate ahead of, within and after the net."
    )
    epochs: int = Field(default=12, ge=1, description="Number of epochs of the net.")
    batch_size: int = Field(default=8, ge=1, description="Number of studies per training step.")
    learning_rate: float = Field(default=3e-4, gt=0, description="Peak learning rate of the net.")
    weight_decay: float = Field(default=1e-2, ge=0, description="Weight decay of the net.")
    reach: int = Field(
        default=3,
        ge=0,
        le=20,
        description="For 'stacking': number of neighbours before and after a slice that it reads.",
    )
    strength: float = Field(
        default=0.1,
        gt=0,
        description=("For 'stacking': weight of the data against the penalty, scikit-learn's C."),
    )

    @property
    def is_net(self) -> bool:
        """Whether it is a recurrent net."""
        return self.kind in ("lstm", "gru")

    def training(self, of_slices: TrainingSettings) -> TrainingSettings:
        """Return the settings of the net's training.

        Args:
            of_slices: the settings of the slice model's training, for precision and checkpoints.
        """
        return TrainingSettings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup=0.1,
            precision=of_slices.precision,
            checkpoint_steps=of_slices.checkpoint_steps,
            stall_minutes=of_slices.stall_minutes,
        )

    def has_effect(self, setting: str) -> bool:
        """Return whether a setting has an effect with this kind of model."""
        if setting in _OF_STACKING:
            return self.kind == "stacking"
        return setting == "kind" or self.is_net
