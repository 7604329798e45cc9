"""The experiment of a run that names none: by the data and the device."""

from pathlib import Path

import pytest
import torch

import tasks.run
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.run import LumbarRun
from tasks.device import gpu_memory_gb
from tasks.request import RunRequest
from tasks.run import open_run, with_experiment


def chosen(home: Path, *, elsewhere: bool = False, **given: object) -> tuple[str, list[str]]:
    """Return the experiment that is taken, and the lines that are printed."""
    lines: list[str] = []
    request = RunRequest.of(home=home, **given)
    found = with_experiment(LumbarRun, request, elsewhere=elsewhere, say=lines.append)
    return found.experiment, lines


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    folder = tmp_path / "rsna-2024"
    folder.mkdir()
    return folder


@pytest.fixture
def gpu_gb(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(tasks.run, "gpu_memory_gb", lambda: request.param)


def test_synthetic_data_takes_the_demo_without_a_word(tmp_path: Path, phantom: Path) -> None:
    for given in ({}, {"data": Path("phantom")}, {"data": phantom}):
        assert chosen(tmp_path / "home", **given) == ("demo", [])
    assert open_run(LumbarRun, RunRequest.of(home=tmp_path / "home")).experiment.name == "demo"


@pytest.mark.parametrize(
    ("gpu_gb", "experiment", "said"),
    [
        (24.0, "winners-joint", "GPU with 24 GB"),
        (10.0, "winners-joint", "GPU with 10 GB"),
        (8.0, "winners-joint-low-memory", "GPU with 8 GB"),
        (4.0, "small", "where winners-joint-low-memory needs 6 GB"),
        (None, "small", "without a GPU; winners-joint needs one"),
    ],
    indirect=["gpu_gb"],
)
@pytest.mark.usefixtures("gpu_gb")
def test_own_data_takes_the_best_preset_for_the_device_and_says_so(
    experiment: str, said: str, own_data: Path, tmp_path: Path
) -> None:
    found, (line,) = chosen(tmp_path / "home", data=own_data)
    assert found == experiment
    assert line.startswith(f"experiment {experiment}: ")
    assert said in line
    assert "choose another with the parameter experiment" in line


@pytest.mark.parametrize("gpu_gb", [24.0], indirect=True)
@pytest.mark.usefixtures("gpu_gb")
def test_run_on_the_cpu_of_a_machine_with_a_gpu_takes_the_small_preset(
    own_data: Path, tmp_path: Path
) -> None:
    found, (line,) = chosen(tmp_path / "home", data=own_data, device="cpu")
    assert found == "small"
    assert "without a GPU" in line


@pytest.mark.parametrize("gpu_gb", [None], indirect=True)
@pytest.mark.usefixtures("gpu_gb")
def test_host_without_a_gpu_takes_the_word_of_device_if_others_train(
    own_data: Path, tmp_path: Path
) -> None:
    asked = {"data": own_data, "elsewhere": True}
    found, (line,) = chosen(tmp_path / "home", **asked)
    assert found == "small"
    assert "If the hosts that train have GPUs, set device to cuda" in line
    found, (line,) = chosen(tmp_path / "home", **asked, device="cuda")
    assert found == "winners-joint"
    assert "unknown memory" in line


def test_named_or_resolved_experiment_is_kept(own_data: Path, tmp_path: Path) -> None:
    assert chosen(tmp_path, data=own_data, experiment="exp118") == ("exp118", [])
    resolved = EXPERIMENTS.resolve("winners-canal")
    assert chosen(tmp_path, data=own_data, resolved=resolved) == ("winners-canal", [])


def test_every_default_exists_and_learns_all_conditions() -> None:
    defaults = LumbarRun.defaults
    for name in (defaults.synthetic, *defaults.on_gpu, defaults.on_cpu):
        experiment = EXPERIMENTS.load(name)
        assert experiment.labels == EXPERIMENTS.load("baseline").labels
    needed = [EXPERIMENTS.load(name).expected.gpu_gb for name in defaults.on_gpu]
    assert needed == sorted(needed, reverse=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_machine_without_a_gpu_has_no_gpu_memory() -> None:
    assert gpu_memory_gb() is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_memory_is_that_of_the_smallest_gpu() -> None:
    gpus = range(torch.cuda.device_count())
    smallest = min(torch.cuda.get_device_properties(gpu).total_memory for gpu in gpus)
    assert gpu_memory_gb() == smallest / 1e9
