"""The model, which also returns what its heads read."""

from torch import Tensor, nn

from lsdc.training.models.model import SliceModel
from lsdc.training.models.outputs import Outputs


class Embedder(nn.Module):
    """A trained model whose outputs have the features of each sample, beside the logits.

    Args:
        model: the model, whose weights are shared.
    """

    def __init__(self, model: SliceModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, slices: Tensor, present: Tensor, members: Tensor | None = None) -> Outputs:
        """Return the outputs of the model; `features` has (b, m x width), its images in order."""
        features, seen = self.model.encode(slices, present)
        return self.model.read(features, seen, members)._replace(features=features.flatten(1))
