"""The coordinates stage's child process: trains the keypoint nets and predicts points with them.

`coordinates.jobs` defines its jobs. The result file `found` holds these arrays:
by (model, study), NaN where the model did not predict the study: points_mm (..., levels, 3),
confidence (..., levels), shifted (...), disputed (..., levels);
by (model, series): moved_mm (..., 3), infinite where a series is not moved (see
`coordinates.agreement`);
by (model, study) for each family F: F_sides_mm (..., 2 * levels, 3) and F_sides_confidence
(..., 2 * levels), NaN and 0 where nothing is found.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsdc.challenges.lumbar.coordinates.agreement import Agreement, agree
from lsdc.challenges.lumbar.coordinates.jobs import LearnJob, LocateJob, PredictPointsJob
from lsdc.challenges.lumbar.coordinates.keypoint_targets import ANCHORS, FAMILIES, Family, boxes_mm
from lsdc.challenges.lumbar.coordinates.level_assignment import View
from lsdc.challenges.lumbar.coordinates.level_points import complete_levels, fuse_views
from lsdc.challenges.lumbar.vocabulary import LEVELS
from lsdc.training.device import pick_device
from lsdc.training.events import ModelPredicting, NetEpochDone
from lsdc.training.keypoints.batches import Stacks
from lsdc.training.keypoints.fit import train_keypoints
from lsdc.training.keypoints.inference import find_candidates, find_satellites
from lsdc.training.keypoints.nets import Net, Satellites, load_net, save_net
from lsdc.training.oom import advice_when_memory_runs_out
from lsdc.training.process import OnEvent, child_main
from lsdc.training.settings.memory import MemorySettings

_MEMORY = MemorySettings(
    ("coordinates.image_size", "coordinates.axial_image_size"), "coordinates.batch_size"
)

Floats = NDArray[np.float64]
Found = dict[str, Floats]

SAGITTAL, AXIAL = (family.name for family in FAMILIES)


@dataclass(frozen=True)
class _Views:
    """A family's prepared views."""

    family: Family
    stacks: Stacks
    studies: NDArray[np.int64]
    series: NDArray[np.int64]
    folder: Path

    @property
    def satellites(self) -> Satellites:
        return Satellites(ANCHORS, boxes_mm(self.family))

    def of(self, study: int) -> list[int]:
        return [int(stack) for stack in np.flatnonzero(self.studies == study)]

    def slices_of(self, stack: int) -> dict[int, NDArray[np.int64]]:
        """Return the stack's slices by series; the series that wins contradictions comes first."""
        slices = self.stacks.slices(stack)
        own = self.series[slices]
        return {int(series): slices[own == series] for series in np.unique(own)}

    def normal(self, slices: NDArray[np.int64]) -> Floats:
        """Return the mean normal (3,) of the slices."""
        planes = self.stacks.planes_mm[slices]
        normals = np.cross(planes[:, 1], planes[:, 2])
        mean: Floats = normals.mean(axis=0)
        return mean / np.linalg.norm(mean)


def locate(job: LearnJob | PredictPointsJob, on_event: OnEvent) -> dict[str, Any]:
    """Run the job and write its result file."""
    job = job.model_copy(update={"device": str(pick_device(job.device))})
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(True)
    # No code here reads uninitialised memory; filling it would cost 5 % of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    views = {
        family.name: _open_views(job.work / family.name, family)
        for family in FAMILIES
        if family.name in job.families
    }
    results = (
        _learn(job, views, on_event)
        if isinstance(job, LearnJob)
        else _predict(job, views, on_event)
    )
    found = list(results)
    arrays: dict[str, Any] = {name: np.stack([each[name] for each in found]) for name in found[0]}
    np.savez(job.found, **arrays)
    return {}


def _open_views(folder: Path, family: Family) -> _Views:
    with np.load(folder / "stacks.npz") as arrays:
        held = dict(arrays)
    studies, series = held.pop("studies"), held.pop("series")
    stacks = Stacks(images=np.load(folder / "images.npy", mmap_mode="r"), **held)
    return _Views(family, stacks, studies, series, folder)


def _learn(job: LearnJob, views: Mapping[str, _Views], on_event: OnEvent) -> Iterator[Found]:
    config = job.config
    folds = np.load(job.work / "folds.npy")
    numbers, nets_in_all = count(1), len(job.folds) * len(views)
    for fold in job.folds:
        taught = (folds != fold) & (folds >= 0)
        nets = {}
        for name, own in views.items():
            targets = np.load(own.folder / "targets.npy")
            targets[~taught[own.studies]] = np.nan
            if not np.isfinite(targets).any():
                continue
            with advice_when_memory_runs_out(config.batch_size, job.device, _MEMORY):
                nets[name] = train_keypoints(
                    replace(own.stacks, planes_mm=np.load(own.folder / "taught.npy")),
                    targets,
                    own.satellites,
                    config,
                    shift_along=config.shift_along,
                    seed=job.seed,
                    device=job.device,
                    on_epoch=_epoch_callback(
                        on_event, fold=fold, views=name, net=next(numbers), nets=nets_in_all
                    ),
                )
            file = job.models / f"fold-{fold}-{name}.safetensors"
            save_net(nets[name], file, job.metadata[name])
        yield _predict_points(nets, views, np.flatnonzero((folds == fold) | (folds < 0)), job)


def _predict(
    job: PredictPointsJob, views: Mapping[str, _Views], on_event: OnEvent
) -> Iterator[Found]:
    for number, files in enumerate(job.models, start=1):
        nets = {
            name: load_net(file).to(job.device) for name, file in files.items() if name in views
        }
        yield _predict_points(nets, views, np.arange(job.studies), job)
        models, studies = len(job.models), job.studies
        on_event(ModelPredicting(model=number, models=models, done=studies, samples=studies))


def _predict_points(
    nets: Mapping[str, Net],
    views: Mapping[str, _Views],
    chosen: NDArray[np.int64],
    job: LocateJob,
) -> Found:
    """Return the arrays (see the module) that one model's nets predict for the `chosen` studies."""
    studies, levels, device = job.studies, len(LEVELS), job.device
    points = np.full((studies, levels, 3), np.nan)
    confidence = np.full((studies, levels), np.nan)
    shifted = np.full(studies, np.nan)
    disputed = np.full((studies, levels), np.nan)
    moved = np.full((job.series, 3), np.nan)
    anchors = np.full((studies, levels, 3), np.nan)
    for study in chosen.tolist():
        comparison = _compare(nets, views, study, device)
        chain = comparison.chain
        points[study], confidence[study] = chain.points_mm, chain.confidence
        shifted[study], disputed[study] = chain.shifted, comparison.disputed
        for own in views.values():
            for stack in own.of(study):
                for series in own.slices_of(stack):
                    moved[series] = comparison.moves.get(series, np.inf)
        completed = complete_levels(chain.points_mm, chain.confidence)
        if completed is not None:
            anchors[study] = completed[0]
    result = {
        "points_mm": points,
        "confidence": confidence,
        "shifted": shifted,
        "disputed": disputed,
        "moved_mm": moved,
    }
    for name, own in views.items():
        sides = np.full((studies, len(ANCHORS), 3), np.nan)
        trust = np.zeros((studies, len(ANCHORS)))
        if name in nets:
            away = np.where(np.isfinite(moved), moved, 0.0)[own.series]  # (slices, 3)
            planes = own.stacks.planes_mm.copy()
            planes[:, 0] -= away
            found_mm, shares = find_satellites(
                nets[name],
                replace(own.stacks, planes_mm=planes),
                anchors[own.studies],
                own.satellites,
                device=device,
            )
            for study in np.unique(own.studies).tolist():
                mine = own.of(study)
                sides[study], trust[study] = fuse_views(found_mm[mine], shares[mine])
        result |= {f"{name}_sides_mm": sides, f"{name}_sides_confidence": trust}
    return result


def _compare(
    nets: Mapping[str, Net], views: Mapping[str, _Views], study: int, device: str
) -> Agreement:
    """Run the nets on a study's views, then compare and join the results."""
    seen = {name: views[name].of(study) for name in nets}

    def look(name: str, stack: int, slices: NDArray[np.int64]) -> View:
        own = views[name]
        found = find_candidates(nets[name], own.stacks, stack, device=device, slices=slices)
        # T1 and T2 together weigh as much as the axial slices.
        weight = 1 / len(seen[name])
        return View(found.places_mm, found.shares, own.normal(slices), weight)

    sagittal, together, alone = {}, None, {}
    for stack in seen.get(SAGITTAL, []):
        for series, slices in views[SAGITTAL].slices_of(stack).items():
            sagittal[series] = look(SAGITTAL, stack, slices)
    for stack in seen.get(AXIAL, []):
        own = views[AXIAL].slices_of(stack)
        together = look(AXIAL, stack, views[AXIAL].stacks.slices(stack))
        alone = {
            series: together if len(own) == 1 else look(AXIAL, stack, slices)
            for series, slices in own.items()
        }
    return agree(dict(sorted(sagittal.items())), together, alone)


def _epoch_callback(on_event: OnEvent, **net: Any) -> Callable[[int, int, float], None]:
    """Return a callback that reports the end of each epoch; `net` has the event's other fields."""
    return lambda epoch, epochs, loss: on_event(
        NetEpochDone(**net, epoch=epoch, epochs=epochs, loss=round(loss, 4))
    )


if __name__ == "__main__":
    child_main(locate, LearnJob | PredictPointsJob)
