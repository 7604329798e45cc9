"""Backbones from timm, their pretrained weights, and the pooling of their last feature map."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from timm.layers import SelectAdaptivePool2d
from torch import nn

from lsdc.errors import SettingsError
from lsdc.training.models.pooling import GeneralisedMean
from lsdc.training.models.weights import find_weights
from lsdc.training.settings.dense import DenseModelSettings
from lsdc.training.settings.model import ModelSettings


def create_backbone(
    name: str,
    settings: ModelSettings,
    *,
    channels: int,
    shape: tuple[int, int],
    pretrained: bool,
    weights: Path | None = None,
) -> Any:
    """Create a timm model without its classifier, (n, channels, h, w) to (n, head_hidden_size).

    Some models, such as MobileNet, widen the features of their last map in a layer before the
    classifier, which stays: their `num_features` is of the map.

    Args:
        name: timm name of the model, usually with the tag of its weights.
        settings: settings of the model, of which map_pool and drop_path count here.
        channels: number of image channels; RGB weights are adapted to it.
        shape: rows and columns of an image.
        pretrained: whether to load pretrained weights; else they are drawn from torch's seed.
        weights: file or folder of the weights, see `find_weights`; None takes the Hugging Face Hub
            or its cache.

    Raises:
        SettingsError: the model or its weights do not exist, or it does not support the settings.
    """
    options: dict[str, Any] = {"num_classes": 0}
    if settings.map_pool == "max":
        options["global_pool"] = "max"
    backbone = _create(
        name,
        options,
        settings.drop_path,
        channels=channels,
        shape=shape,
        pretrained=pretrained,
        weights=weights,
        remedy="model.map_pool 'avg' and model.drop_path 0",
    )
    if settings.map_pool == "gem":
        _pool_by_generalised_mean(backbone, name)
    return backbone


def create_map_backbone(
    name: str,
    settings: DenseModelSettings,
    stages: Sequence[int],
    *,
    channels: int,
    shape: tuple[int, int],
    pretrained: bool,
    weights: Path | None = None,
) -> Any:
    """Create a timm model of the maps of some stages, (n, channels, h, w) to a list of maps.

    Of the settings, drop_path counts here. The stages whose maps it returns are counted from 0.
    The others are as for `create_backbone`.

    Raises:
        SettingsError: see `create_backbone`.
    """
    return _create(
        name,
        {"features_only": True, "out_indices": tuple(stages)},
        settings.drop_path,
        channels=channels,
        shape=shape,
        pretrained=pretrained,
        weights=weights,
        remedy="model.drop_path 0",
    )


def map_strides(name: str) -> list[int]:
    """Return the strides of the maps of a timm model's stages, such as [2, 4, 8, 16, 32].

    Raises:
        SettingsError: the model does not exist, or has no stages.
    """
    config = _published_config(name)
    try:
        with torch.device("meta"):
            made = timm.create_model(config.architecture, features_only=True)
    except (TypeError, AssertionError, ValueError, RuntimeError, LookupError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SettingsError(
            f"model.backbone: {name} has no maps of several sizes ({reason}); try a convolutional "
            "model or a hierarchical transformer, such as convnext_tiny.fb_in1k"
        ) from error
    strides: list[int] = made.feature_info.reduction()
    return strides


def _create(
    name: str,
    options: dict[str, Any],
    drop_path: float,
    *,
    channels: int,
    shape: tuple[int, int],
    pretrained: bool,
    weights: Path | None,
    remedy: str,
) -> Any:
    """Create a timm model with further options; see `create_backbone`."""
    options = {"in_chans": channels, **options}
    if _published_config(name).fixed_input_size:
        options["img_size"] = shape
    if drop_path:
        options["drop_path_rate"] = drop_path
    chance = torch.get_rng_state()
    try:
        backbone = timm.create_model(name, **options)
    except (TypeError, AssertionError, ValueError, RuntimeError, LookupError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SettingsError(
            f"model.backbone: timm cannot create {name} with {options} ({reason}); try another "
            f"backbone, or {remedy}"
        ) from error
    if pretrained:
        torch.set_rng_state(chance)
        backbone = _load_pretrained(backbone, name, options, weights)
    return backbone


def published_name(name: str) -> str:
    """Return the name of weights on the hub, with timm's default tag if it has none."""
    config = _published_config(name)
    return f"{config.architecture}.{config.tag}" if config.tag else name


def _published_config(name: str) -> Any:
    try:
        config = timm.models.get_pretrained_cfg(name)
    except RuntimeError:  # no such tag
        config = None
    if config is None or not timm.is_model(name.partition(".")[0]):
        raise SettingsError(f"model.backbone: timm has no model {name!r}; {_suggest(name)}")
    return config


def _load_pretrained(
    fresh: nn.Module, name: str, options: dict[str, Any], weights: Path | None
) -> nn.Module:
    """Return the model with pretrained weights; `fresh` was drawn from the same random state."""
    overlay = None if weights is None else {"file": str(find_weights(weights, name))}
    try:
        backbone: nn.Module = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay=overlay, **options
        )
    except (OSError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise _unreachable(name, weights, str(error)) from error
    # timm ignores weights missing from a file; they then equal those of `fresh`.
    loaded = dict(backbone.named_parameters())
    lacking = [
        key
        for key, drawn in fresh.named_parameters()
        if drawn.ndim > 1 and torch.equal(drawn, loaded[key])
    ]
    if lacking:
        raise _unreachable(name, weights, f"{lacking[0]} is missing")
    return backbone


def _unreachable(name: str, weights: Path | None, reason: str) -> SettingsError:
    reason = reason.strip().partition("\n")[0].rstrip(".")
    if weights:
        return SettingsError(
            f"--weights {weights}: not the weights of {published_name(name)} ({reason}); fetch "
            f"https://huggingface.co/timm/{published_name(name)}, or use --no-pretrained"
        )
    return SettingsError(  # no network and not in the cache; or never published
        f"model.backbone: no pretrained weights of {name!r} ({reason}); fetch "
        f"https://huggingface.co/timm/{published_name(name)} into the Hugging Face cache or a "
        "folder for --weights on a machine with a network, or use --no-pretrained"
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
