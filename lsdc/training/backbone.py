"""Backbones from timm, their pretrained weights, and how they pool their last feature map."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import timm
from timm.layers import SelectAdaptivePool2d
from torch import nn

from lsdc.errors import SettingsError
from lsdc.training.pooling import GeneralisedMean

_SUFFIXES = (".safetensors", ".bin", ".pth")


@dataclass(frozen=True)
class BackboneSettings:
    """A timm model without its classifier.

    Attributes:
        name: as timm knows it, usually with the tag of its weights.
        channels: of an image; weights for three colours are mapped to as many.
        size_px: the side of an image.
        map_pool: how the last feature map becomes a vector.
        drop_path: stochastic depth, how often a block is left out.
    """

    name: str
    channels: int
    size_px: int
    map_pool: Literal["avg", "max", "gem"]
    drop_path: float


def create_backbone(
    settings: BackboneSettings, *, pretrained: bool, weights: Path | None = None
) -> Any:
    """A timm model from (n, channels, size, size) to (n, num_features).

    Args:
        settings: which one.
        pretrained: whether it has learnt before; else its weights are as torch's seed has them.
        weights: its weights, or a folder with NAME.safetensors, NAME.bin, NAME.pth or NAME/ with a
            model.* of these kinds; without, they come from timm's hub or its cache.

    Raises:
        SettingsError: no such model, no such weights, or settings that this model does not have.
    """
    name = settings.name
    config = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    if not timm.is_model(name.partition(".")[0]) or config is None:
        raise SettingsError(f"model.backbone: timm knows no {name!r}; {_suggest(name)}")
    options: dict[str, Any] = {}
    if config.fixed_input_size:
        options["img_size"] = settings.size_px
    if settings.drop_path:
        options["drop_path_rate"] = settings.drop_path
    if settings.map_pool == "max":
        options["global_pool"] = "max"
    if pretrained and weights:
        options["pretrained_cfg_overlay"] = {"file": str(_find_weights(weights, name))}
    try:
        backbone = timm.create_model(
            name, pretrained=pretrained, in_chans=settings.channels, num_classes=0, **options
        )
    except (TypeError, AssertionError, ValueError) as error:
        raise SettingsError(
            f"model.backbone: timm's {name} cannot be had with {options or 'these settings'} "
            f"({error}); try another backbone, model.map_pool 'avg' and model.drop_path 0"
        ) from error
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise _unreachable(name, weights, error) from error
    if settings.map_pool == "gem":
        _pool_by_generalised_mean(backbone, name)
    return backbone


def published_name(name: str) -> str:
    """The name of weights on the hub; without a tag, with the one that timm chooses."""
    config = timm.models.get_pretrained_cfg(name)
    return f"{config.architecture}.{config.tag}" if config and config.tag else name


def _find_weights(weights: Path, name: str) -> Path:
    if not weights.is_dir():
        places = [weights]
    else:
        names = [name, published_name(name)]
        places = [weights / f"{each}{suffix}" for each in names for suffix in _SUFFIXES]
        places += [weights / each / f"model{suffix}" for each in names for suffix in _SUFFIXES]
    for place in places:
        if place.is_file():
            return place
    raise SettingsError(
        f"--weights {weights}: no weights of {published_name(name)} there; expected "
        f"{places[0]}, fetched from https://huggingface.co/timm/{published_name(name)}, or use "
        "--no-pretrained"
    )


def _unreachable(name: str, weights: Path | None, error: Exception) -> SettingsError:
    if weights:
        reason = str(error).strip().splitlines()[0]
        return SettingsError(
            f"--weights {weights}: not the weights of {published_name(name)} ({reason}); fetch "
            f"https://huggingface.co/timm/{published_name(name)}, or use --no-pretrained"
        )
    return SettingsError(  # no network and not in the cache; or never published
        f"model.backbone: no pretrained weights of {name!r} ({type(error).__name__}); fetch "
        f"https://huggingface.co/timm/{published_name(name)} into the Hugging Face cache or a "
        "folder for --weights where there is a network, or use --no-pretrained"
    )


def _suggest(name: str) -> str:
    architecture = name.partition(".")[0]
    if timm.is_model(architecture):
        known = timm.list_pretrained(f"{architecture}.*")
        close = difflib.get_close_matches(name, known, n=1, cutoff=0)
    else:
        close = difflib.get_close_matches(architecture, timm.list_models(), n=1)
    return f"did you mean {close[0]!r}?" if close else "see timm.list_models()"


def _pool_by_generalised_mean(backbone: nn.Module, name: str) -> None:
    for path, module in backbone.named_modules():
        if isinstance(module, SelectAdaptivePool2d) and isinstance(
            module.pool, nn.AdaptiveAvgPool2d
        ):
            backbone.set_submodule(path, nn.Sequential(GeneralisedMean(), module.flatten))
            return
    raise SettingsError(
        f"model.map_pool: {name} has no map of features to pool by 'gem'; expected 'avg'"
    )
