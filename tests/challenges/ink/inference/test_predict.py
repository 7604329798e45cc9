"""Maps predicted in a child process: by several networks, and gone on with after a kill."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lsdc.challenges.ink.config.presets import EXPERIMENTS
from lsdc.challenges.ink.inference.predict import PredictJob, Wanted, predict
from lsdc.challenges.ink.inference.predict_child import work
from lsdc.challenges.ink.training.network import build_network
from lsdc.errors import ChildDiedError
from lsdc.run_context import run_context
from lsdc.training.checkpoint import save_weights
from lsdc.training.events import Event, TilesPredicted
from lsdc.training.trained_fold import WEIGHTS
from tests.challenges.ink.made_run import write_volumes

SETTINGS = [
    *("tiles.size_px=32", "tiles.first_layer=26", "tiles.groups=8"),
    *("inference.stride_px=16", "inference.batch_size=4"),
]
WANTED = (
    Wanted(region="1", fragment="1", first_row=0, end_row=96),
    Wanted(region="2-1", fragment="2", first_row=70, end_row=150),
)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> PredictJob:
    """Return a job of two networks with weights as they begin."""
    root = tmp_path_factory.mktemp("maps")
    experiment = EXPERIMENTS.load("ink-demo", SETTINGS)
    models = (root / "fold-0", root / "fold-1")
    for seed, folder in enumerate(models):
        folder.mkdir()
        torch.manual_seed(seed)
        network = build_network(experiment, pretrained=False)
        save_weights(folder / WEIGHTS, network.state_dict())
    write_volumes(root / "volumes")
    return PredictJob(
        experiment=experiment,
        models=models,
        volumes=root / "volumes",
        wanted=WANTED,
        out=root / "out",
        identity="one",
        device="cpu",
        threads=1,
    )


def run(job: PredictJob, out: Path, **changed: object) -> dict[str, np.ndarray]:
    """Return the maps by region; in this process, where torch is loaded already."""
    told: list[Event] = []
    work(job.model_copy(update={"out": out, **changed}), told.append)
    done = [each for each in told if isinstance(each, TilesPredicted)]
    assert done[-1].share == 1
    return {each.region: np.load(out / each.file) for each in job.wanted}


def test_a_map_of_two_networks_is_the_mean_of_theirs(job: PredictJob, tmp_path: Path) -> None:
    both = run(job, tmp_path / "both")
    alone = [run(job, tmp_path / str(n), models=job.models[n : n + 1]) for n in (0, 1)]
    for region, found in both.items():
        each = [maps[region].astype(np.float64) for maps in alone]
        assert np.abs(each[0] - each[1]).max() > 0.01
        assert np.abs(found - (each[0] + each[1]) / 2).max() < 1e-3
    assert both["1"].shape == (96, 80)
    assert both["2-1"].shape == (80, 64)


def test_a_killed_process_keeps_the_regions_that_are_complete(
    job: PredictJob, tmp_path: Path
) -> None:
    whole, out = run(job, tmp_path / "whole"), tmp_path / "out"

    def kill(event: Event) -> None:
        if (out / "1.npy").is_file():
            for child in run_context().children:
                child.kill()

    with pytest.raises(ChildDiedError, match="SIGKILL"):
        predict(job.model_copy(update={"out": out}), log=out / "log", on_event=kill)
    kept = (out / "1.npy").stat().st_mtime_ns
    assert not (out / "2-1.npy").exists()
    found = run(job, out)
    assert (out / "1.npy").stat().st_mtime_ns == kept
    for region, expected in whole.items():
        assert np.array_equal(found[region], expected)
