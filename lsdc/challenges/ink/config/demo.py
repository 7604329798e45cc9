"""The options of a phantom, as `lsdc demo-data` takes them."""

from pydantic import Field

from lsdc.experiments.base import Config


class DemoData(Config):
    """What phantom to write; the defaults are those of the home's phantom."""

    fragments: int = Field(default=3, ge=1, description="Number of training fragments.")
    test: int = Field(default=2, ge=0, description="Number of test fragments.")
    seed: int = Field(default=0, description="Random seed; the same seed gives the same bytes.")
    rows: int = Field(default=640, ge=64, description="Rows of a training fragment in pixels.")
    columns: int = Field(default=576, ge=64, description="Columns of a fragment in pixels.")
    scale: float = Field(
        default=8.0,
        ge=1,
        description=(
            "Pixels of the real fragments that one pixel stands for along rows and columns; 1 is "
            "full size."
        ),
    )
