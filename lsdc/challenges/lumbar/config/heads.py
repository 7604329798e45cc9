"""Which heads, and which context of heads, other settings rule out."""

from lsdc.challenges.lumbar.config.augment import AugmentConfig
from lsdc.challenges.lumbar.config.loss import LossConfig
from lsdc.challenges.lumbar.config.model import ModelConfig
from lsdc.training.settings.training import TrainingSettings


def check_auxiliary_heads(loss: LossConfig, model: ModelConfig) -> None:
    """Refuse auxiliary heads that images of several slices cannot have.

    Raises:
        ValueError: names the settings, and what is possible.
    """
    if loss.view_weight and model.slices_as == "channels":
        raise ValueError(
            "loss.view_weight needs an image per series at least: expected model.slices_as "
            f"'sequence' or 'threes', got {model.slices_as!r}"
        )
    if loss.slice_weight and model.slices_as != "sequence":
        raise ValueError(
            "loss.slice_weight needs an image per slice: expected model.slices_as 'sequence', "
            f"got {model.slices_as!r}"
        )


def check_study_context(
    model: ModelConfig, training: TrainingSettings, augment: AugmentConfig
) -> None:
    """Refuse context over a study whose samples are not together in a batch, or not alike.

    Raises:
        ValueError: names the settings, and what is possible.
    """
    if model.study_context == "none":
        return
    if training.batch_by != "study":
        raise ValueError(
            f"model.study_context {model.study_context!r} needs whole studies in a batch: expected "
            f"training.batch_by 'study', got {training.batch_by!r}"
        )
    if augment.mirror:
        raise ValueError(
            "augment.mirror exchanges left and right in some samples of a study: expected "
            f"augment.mirror 0, or model.study_context 'none', got {augment.mirror} and "
            f"{model.study_context!r}"
        )
