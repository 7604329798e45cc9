"""The child process of `predict`."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsdc.challenges.ink.inference.grid import lay_grid
from lsdc.challenges.ink.inference.predict import PredictJob, Wanted
from lsdc.challenges.ink.inference.predict_map import Predict, predict_map
from lsdc.challenges.ink.training.predict import load_networks, predict_tiles
from lsdc.challenges.ink.volumes.volume import Volume
from lsdc.training.device import pick_device
from lsdc.training.events import TilesPredicted
from lsdc.training.oom import advice_when_memory_runs_out
from lsdc.training.process import OnEvent, child_main


def work(job: PredictJob, on_event: OnEvent) -> dict[str, Any]:
    """Predict the job's regions; see `inference.predict.predict`."""
    experiment, device = job.experiment, pick_device(job.device)
    torch.set_num_threads(job.threads)
    memory = replace(experiment.memory, batch_size="inference.batch_size")
    mean = mean_of_models(job, device)
    volumes = {each.region: Volume.open(job.volumes / each.fragment) for each in job.wanted}
    tiles = {each.region: _count_tiles(each, volumes[each.region], job) for each in job.wanted}
    before, every = 0, sum(tiles.values())
    for each in job.wanted:
        out = job.out / each.file

        def tell(done: int, _all: int, before: int = before) -> None:
            on_event(TilesPredicted(done=before + done, tiles=every))

        if not out.is_file():
            with advice_when_memory_runs_out(experiment.inference.batch_size, device, memory):
                predict_map(
                    volumes[each.region],
                    (each.first_row, each.end_row),
                    mean,
                    experiment,
                    out,
                    identity=job.identity,
                    on_tiles=tell,
                )
        before += tiles[each.region]
    return {"regions": len(job.wanted)}


def mean_of_models(job: PredictJob, device: torch.device) -> Predict:
    """Return a function that predicts tiles by the mean of the models' probabilities."""
    networks = load_networks(job.models, job.experiment, device=device)

    def predict(tiles: NDArray[Any]) -> NDArray[np.float32]:
        total = np.zeros((len(tiles), *tiles.shape[-2:]), np.float32)
        for network in networks:
            total += predict_tiles(network, tiles, job.experiment, device=device)
        total /= len(networks)
        return total

    return predict


def _count_tiles(wanted: Wanted, volume: Volume, job: PredictJob) -> int:
    experiment = job.experiment
    rows = wanted.first_row, wanted.end_row
    size, edge = experiment.tiles.size_px, experiment.inference.edge_px
    return lay_grid(
        *rows, volume.shape[:2], size=size, stride=experiment.stride_px, edge=edge
    ).tiles


if __name__ == "__main__":
    child_main(work, PredictJob)
