"""The model of an experiment."""

from pydantic import Field

from lsdc.training.settings.model import ModelSettings


class ModelConfig(ModelSettings):
    """The model, which may see axial slices with a backbone of their own."""

    axial_backbone: str | None = Field(
        default=None, description="A second backbone for axial slices only."
    )

    @property
    def backbones(self) -> tuple[str, ...]:
        """The one or two backbones."""
        return (
            (self.backbone,)
            if self.axial_backbone is None
            else (self.backbone, self.axial_backbone)
        )
