"""Pretrained weights in local files, instead of the Hugging Face Hub or its cache."""

from pathlib import Path

from lsdc.errors import SettingsError

_SUFFIXES = (".safetensors", ".bin", ".pth")


def find_weights(weights: Path, name: str) -> Path:
    """Return the file with the weights of the timm model `name`.

    Args:
        weights: this file, or a folder with NAME.safetensors, NAME.bin, NAME.pth or NAME/ with a
            model.* of these kinds.
        name: timm name of the weights, with their tag.

    Raises:
        SettingsError: there is no such file.
    """
    places = [weights]
    if weights.is_dir():
        places = [weights / f"{name}{suffix}" for suffix in _SUFFIXES]
        places += [weights / name / f"model{suffix}" for suffix in _SUFFIXES]
    for place in places:
        if place.is_file():
            return place
    raise SettingsError(
        f"--weights {weights}: no weights of {name} found, expected {places[0]}; fetch "
        f"https://huggingface.co/timm/{name}, or use --no-pretrained"
    )
