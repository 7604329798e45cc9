"""The experiment that a run takes if it names none."""

import pytest

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.experiments.defaults import Defaults


@pytest.mark.parametrize("gpu_gb", [None, 8.0])
def test_challenge_without_experiments_for_a_gpu_has_one_for_every_device(
    gpu_gb: float | None,
) -> None:
    choice = Defaults(synthetic="demo", on_gpu=(), on_cpu="small").choose(EXPERIMENTS, gpu_gb)
    assert choice.experiment == "small"
    assert "with or without a GPU" in choice.reason
