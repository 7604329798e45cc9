"""The options of a phantom, as `lsdc demo-data` takes them."""

from pydantic import Field

from lsdc.experiments.base import Config


class DemoData(Config):
    """What phantom to write; the defaults are those of the home's phantom."""

    studies: int = Field(default=60, description="Number of training studies.")
    test: int = Field(default=6, description="Number of test studies.")
    seed: int = Field(default=0, description="Random seed; the same seed gives the same bytes.")
    size: int = Field(default=128, description="Rows and columns of an image in pixels.")
    fewest_slices: int = Field(default=20, description="Smallest number of slices of a study.")
    most_slices: int = Field(default=28, description="Largest number of slices of a study.")
    quirks: bool = Field(default=True, description="Whether to plant the oddities of real data.")
