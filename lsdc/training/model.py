"""The model: a timm backbone a slice, an LSTM over the slices, attention, one head a question."""

import difflib
from typing import Any

import timm
import torch
from torch import Tensor, nn

from lsdc.errors import SettingsError

_ABSENT = -1e4  # attention score: exp() of it is 0, yet a sample without any slice is no NaN
_PLACE_SPREAD = 1.0  # of the places' vectors at first; features begin at about 0.6


class SliceSequenceModel(nn.Module):
    """Grades a sequence of slices; each head attends to the slices that answer its question.

    A slice that is not there never reaches the backbone: a learned vector stands for it in the
    sequence, and no head attends to it. A slice's place in the sequence has a meaning of its own,
    so each place adds a learned vector. The LSTM's output is joined to what it was given: from
    scratch the heads learn from the slices long before the LSTM has learned to pass them on.
    """

    def __init__(
        self,
        backbone: str,
        *,
        pretrained: bool,
        slices: int,
        heads: int,
        classes: int,
        lstm_width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        width = lstm_width
        self.backbone = _create_backbone(backbone, pretrained=pretrained)
        features, expects = self.backbone.num_features, self.backbone.pretrained_cfg
        # Without the norm a backbone from scratch hardly learns: its features all look the same.
        self.reduce = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width))
        self.absent = nn.Parameter(torch.zeros(width))
        self.places = nn.Parameter(_PLACE_SPREAD * torch.randn(slices, width))
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(3 * width, heads)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleList(nn.Linear(3 * width, classes) for _ in range(heads))
        # The grey level's mean and spread that the backbone expects, of its three colours.
        self.mean, self.spread = (sum(expects[key]) / 3 for key in ("mean", "std"))

    def forward(self, slices: Tensor, present: Tensor) -> Tensor:
        """Logits of every head.

        Args:
            slices: (b, s, h, w) uint8, or float from 0 to 1.
            present: (b, s) bool.

        Returns:
            (b, heads, classes)
        """
        features = self.absent.expand(*present.shape, -1)  # (b, s, width)
        if bool(present.any()):
            seen = self.reduce(self.backbone(self._pixels(slices[present])))
            features = features.to(seen.dtype).masked_scatter(present.unsqueeze(-1), seen)
        features = features + self.places
        sequence = torch.cat([self.lstm(self.dropout(features))[0], features], dim=-1)
        scores = self.attention(sequence).masked_fill(~present.unsqueeze(-1), _ABSENT)
        weights = scores.softmax(dim=1)  # (b, s, heads)
        pooled = self.dropout(torch.einsum("bsh,bsf->bhf", weights, sequence))
        logits = [head(pooled[:, i]) for i, head in enumerate(self.heads)]
        return torch.stack(logits, dim=1)

    def _pixels(self, slices: Tensor) -> Tensor:
        """(n, h, w) to (n, 1, h, w), scaled as the backbone expects."""
        white = 1 if slices.is_floating_point() else 255
        pixels: Tensor = (slices.unsqueeze(1).float() / white - self.mean) / self.spread
        return pixels.contiguous(memory_format=torch.channels_last)


def _create_backbone(name: str, *, pretrained: bool) -> Any:
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "see timm.list_models()"
        raise SettingsError(f"model.backbone: timm knows no {name!r}; {hint}")
    try:
        backbone = timm.create_model(name, pretrained=pretrained, in_chans=1, num_classes=0)
    except (OSError, RuntimeError) as error:  # no network and not in the cache; or never published
        if not pretrained:
            raise
        raise SettingsError(
            f"model.backbone: no pretrained weights of {name!r} ({type(error).__name__}); fetch "
            f"https://huggingface.co/timm/{_published_name(name)} into the Hugging Face cache "
            "where there is a network, or set model.pretrained = false"
        ) from error
    return backbone.to(memory_format=torch.channels_last)


def _published_name(name: str) -> str:
    config = timm.models.get_pretrained_cfg(name)
    return f"{config.architecture}.{config.tag}" if config and config.tag else name
