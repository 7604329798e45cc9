"""Test-time augmentation: the views of a sample whose predictions are averaged."""

from pydantic import Field

from lsdc.training.settings.views import ViewSettings


class TtaConfig(ViewSettings):
    """Test-time augmentation (TTA): a prediction is the mean over the unchanged sample and views.

    It applies to all predictions of a trained model, but not to the validation after each epoch.
    """

    mirror: bool = Field(
        default=False,
        description=(
            "Whether there is a view of the patient's mirror image: the order of slices and the "
            "axial images are swapped, and the predictions of left and right are swapped back."
        ),
    )
