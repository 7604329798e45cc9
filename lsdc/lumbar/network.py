"""The network of an experiment, the device it runs on, and what is recorded of both."""

import importlib.metadata
import platform
from pathlib import Path

import torch

from lsdc.experiments.config import Experiment
from lsdc.lumbar.vocabulary import CONDITIONS, GRADES
from lsdc.training.model import SliceSequenceModel

_LIBRARIES = ("torch", "timm", "albumentations", "opencv-python-headless", "numpy")


def build_model(experiment: Experiment, *, pretrained: bool) -> SliceSequenceModel:
    """A model with a head a condition and a class a grade; weights as torch's seed has them."""
    config = experiment.model
    return SliceSequenceModel(
        config.backbone,
        pretrained=pretrained,
        slices=experiment.slices.count,
        heads=len(CONDITIONS),
        classes=len(GRADES),
        lstm_width=config.width,
        dropout=config.dropout,
    )


def describe(device: torch.device) -> dict[str, object]:
    """What decides the last bits of a result."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "cpu": _cpu(),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def _cpu() -> str:
    """The processor's model and the instructions that torch uses of it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = named[0] if named else platform.processor() or platform.machine()
    return f"{model} ({torch.backends.cpu.get_cpu_capability()})"
