"""The model: a timm backbone a slice, an LSTM over the slices, attention, one head a question."""

import difflib
from typing import Any

import timm
import torch
from torch import Tensor, nn

from lsdc.errors import SettingsError

_ABSENT = -1e4  # attention score: exp() of it is 0, yet a sample without any slice is no NaN


class SliceSequenceModel(nn.Module):
    """Grades a sequence of slices; each head attends to the slices that answer its question.

    A slice that is not there never reaches the backbone: a learned vector stands for it in the
    sequence, and no head attends to it.
    """

    def __init__(
        self,
        backbone: str,
        *,
        pretrained: bool,
        heads: int,
        classes: int,
        lstm_width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.backbone = _create_backbone(backbone, pretrained=pretrained)
        features, expects = self.backbone.num_features, self.backbone.pretrained_cfg
        self.absent = nn.Parameter(torch.zeros(features))
        self.lstm = nn.LSTM(features, lstm_width, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(2 * lstm_width, heads)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleList(nn.Linear(2 * lstm_width, classes) for _ in range(heads))
        # The grey level's mean and spread that the backbone expects, of its three colours.
        self.mean, self.spread = (sum(expects[key]) / 3 for key in ("mean", "std"))

    def forward(self, slices: Tensor, present: Tensor) -> Tensor:
        """Logits of every head.

        Args:
            slices: (b, s, h, w) uint8.
            present: (b, s) bool.

        Returns:
            (b, heads, classes)
        """
        features = self.absent.expand(*present.shape, -1)  # (b, s, f)
        if bool(present.any()):
            pixels = slices[present].unsqueeze(1).float() / 255  # (slices that are there, 1, h, w)
            pixels = ((pixels - self.mean) / self.spread).contiguous(
                memory_format=torch.channels_last
            )
            seen = self.backbone(pixels)
            features = features.to(seen.dtype).masked_scatter(present.unsqueeze(-1), seen)
        sequence, _ = self.lstm(self.dropout(features))  # (b, s, 2 * width)
        scores = self.attention(sequence).masked_fill(~present.unsqueeze(-1), _ABSENT)
        weights = scores.softmax(dim=1)  # (b, s, heads)
        pooled = torch.einsum("bsh,bsf->bhf", weights, sequence)
        pooled = self.dropout(pooled)
        return torch.stack([head(pooled[:, i]) for i, head in enumerate(self.heads)], dim=1)


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
