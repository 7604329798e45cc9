"""The model of an experiment."""

from typing import Self

from pydantic import Field, model_validator

from lsdc.training.settings.model import ModelSettings


class ModelConfig(ModelSettings):
    """The model, which may see axial slices with a backbone of their own."""

    axial_backbone: str | None = Field(
        default=None, description="A second backbone for axial slices only."
    )

    @model_validator(mode="after")
    def _check_axial_backbone(self) -> Self:
        if self.encoder == "volume" and self.axial_backbone is not None:
            raise ValueError(
                f"axial_backbone {self.axial_backbone!r}: encoder 'volume' reads the slices of all "
                "series with one backbone; expected none"
            )
        return self

    @property
    def backbones(self) -> tuple[str, ...]:
        """The one or two backbones."""
        return (
            (self.backbone,)
            if self.axial_backbone is None
            else (self.backbone, self.axial_backbone)
        )
