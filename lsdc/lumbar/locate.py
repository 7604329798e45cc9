"""The coordinates stage's child process: trains the keypoint nets and asks them for points.

The job names `work`, a folder with `images.npy` and `stacks.npz` (planes_mm, starts, keys), the
`device` and the `threads`. It is one of two:

- to learn: `train` (settings), `folds`, `seed`, `metadata` for the files of the nets and `models`,
  the folder for them; `teaching.npz` (targets_mm, folds by series) lies beside the images. One net
  a fold is trained on the other folds, then asked for the series of its fold and of no fold.
- to locate: `models`, the files of trained nets, each asked for every series.

Leaves `found.npz` in `work`: points_mm (nets, series, points, 3) and confidence (nets, series,
points), NaN where a net was not asked.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsdc.training.device import pick_device
from lsdc.training.keypoint_fit import KeypointSettings, Stacks, find_keypoints, train_keypoints
from lsdc.training.keypoints import load_net, save_net
from lsdc.training.memory import advice_when_memory_runs_out
from lsdc.training.process import Tell, child_main

Found = tuple[NDArray[np.float64], NDArray[np.float64]]


def locate(job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Do the job that the module describes."""
    job["device"] = str(pick_device(job["device"]))
    torch.set_num_threads(job["threads"])
    torch.use_deterministic_algorithms(True)
    work = Path(job["work"])
    with np.load(work / "stacks.npz") as arrays:
        stacks = Stacks(images=np.load(work / "images.npy", mmap_mode="r"), **arrays)
    found = list(_learn(job, work, stacks, tell) if "train" in job else _ask(job, stacks, tell))
    np.savez(
        work / "found.npz",
        points_mm=np.stack([points for points, _ in found]),
        confidence=np.stack([confidence for _, confidence in found]),
    )
    return {}


def _learn(job: dict[str, Any], work: Path, stacks: Stacks, tell: Tell) -> Iterator[Found]:
    settings = KeypointSettings(**job["train"])
    clock = _Clock(len(job["folds"]), tell)
    with np.load(work / "teaching.npz") as teaching:
        targets, folds = teaching["targets_mm"], teaching["folds"]
    for number, fold in enumerate(job["folds"]):
        taught = np.where(((folds != fold) & (folds >= 0))[:, None, None], targets, np.nan)
        with advice_when_memory_runs_out(
            settings.batch_size, job["device"], "coordinates.batch_size"
        ):
            net = train_keypoints(
                stacks,
                taught,
                settings,
                seed=job["seed"],
                device=job["device"],
                on_epoch=clock.of_fold(number),
            )
        save_net(net, Path(job["models"]) / f"fold-{fold}.safetensors", job["metadata"])
        asked = np.flatnonzero((folds == fold) | (folds < 0))
        yield find_keypoints(net, stacks, asked, device=job["device"])


def _ask(job: dict[str, Any], stacks: Stacks, tell: Tell) -> Iterator[Found]:
    for number, path in enumerate(job["models"], start=1):
        net = load_net(Path(path)).to(job["device"])
        yield find_keypoints(net, stacks, np.arange(len(stacks.keys)), device=job["device"])
        tell({"stage": "coordinates", "model": number, "models": len(job["models"])})


class _Clock:
    """Tells each epoch's end, with the time that the epochs still to come will take."""

    def __init__(self, folds: int, tell: Tell) -> None:
        self._folds, self._folds_left, self._tell = folds, folds, tell
        self._done, self._start = 0, time.monotonic()

    def of_fold(self, fold: int) -> Callable[[int, int, float], None]:
        self._folds_left -= 1

        def on_epoch(epoch: int, epochs: int, loss: float) -> None:
            self._done += 1
            left = epochs - epoch + self._folds_left * epochs
            seconds = (time.monotonic() - self._start) / self._done * left
            self._tell(
                {
                    "stage": "coordinates",
                    "fold": fold,
                    "folds": self._folds,
                    "epoch": epoch,
                    "epochs": epochs,
                    "loss": round(loss, 4),
                    "seconds_left": round(seconds, 1),
                }
            )

        return on_epoch


if __name__ == "__main__":
    child_main(locate)
