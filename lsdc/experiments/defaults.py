"""The experiment that a run takes if it names none, by the data and the device."""

from dataclasses import dataclass
from typing import Any

from lsdc.experiments.presets import AUTO, Experiments


@dataclass(frozen=True)
class Choice:
    """The experiment that is taken, and why."""

    experiment: str
    reason: str


@dataclass(frozen=True)
class Defaults:
    """The experiments of a challenge that are taken if a run names none.

    Attributes:
        synthetic: on synthetic data.
        on_gpu: on a GPU, best first; each says in `expected.gpu_gb` what memory it takes. None if
            no experiment needs a GPU.
        on_cpu: without a GPU, or on one that is too small for all of `on_gpu`.
    """

    synthetic: str
    on_gpu: tuple[str, ...]
    on_cpu: str

    def choose(self, experiments: Experiments[Any], gpu_gb: float | None) -> Choice:
        """Choose an experiment for real data.

        Args:
            experiments: the challenge's experiments.
            gpu_gb: the memory of the GPU, infinite if it is not known; None without a GPU.
        """
        if not self.on_gpu:
            return Choice(self.on_cpu, "the preset for real data, with or without a GPU")
        if gpu_gb is None:
            return Choice(self.on_cpu, f"for training without a GPU; {self.on_gpu[0]} needs one")
        for name in self.on_gpu:
            _, needed = experiments.load(name).expected.gpu_gb
            if needed <= gpu_gb:
                return Choice(name, f"the best preset for a GPU with {_memory(gpu_gb)}")
        reason = f"small enough for a GPU with {_memory(gpu_gb)}, where {name} needs {needed:g} GB"
        return Choice(self.on_cpu, reason)


def choice_line(choice: Choice) -> str:
    """Return the line that tells the user what was chosen, and how to choose another one."""
    return (
        f"experiment {choice.experiment}: {choice.reason}; choose another with the parameter "
        f"experiment ('lsdc experiments list' lists them), in place of {AUTO!r}"
    )


def _memory(gpu_gb: float) -> str:
    return "unknown memory" if gpu_gb == float("inf") else f"{gpu_gb:.0f} GB of memory"
