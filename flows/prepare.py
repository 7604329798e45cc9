"""Prepare: DICOM files to crops, with folds fixed before anything learns."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow

from flows.dispatch import (
    Work,
    has_other_workers,
    require_device_here,
    require_model_here,
    train_elsewhere,
)
from lsdc.store.manifest import Manifest
from tasks.annotations import correct_annotations
from tasks.artifacts import shown
from tasks.catalog import publish_catalog
from tasks.coordinates import learn_coordinates
from tasks.crops import cut_crops
from tasks.folds import assign_folds, require_studies
from tasks.identity import occupying
from tasks.index import index_studies, require_usable
from tasks.interrupts import cancelled_when_interrupted
from tasks.phantom import write_demo_data
from tasks.policies import is_kept, result_key
from tasks.quarantine import refuse_bad_files
from tasks.request import open_requested
from tasks.results import ResultSerializer
from tasks.run import Annotations, Device, Run, building, note_results, note_so_far
from tasks.sides import fix_sides
from tasks.training import ended_with_the_flow, takes_hub_weights
from tasks.versions import require_versions


@dataclass(frozen=True)
class Prepared:
    """The training studies' results, from the first stage to the last before training.

    Attributes:
        test: the index of the test studies, where a submission is asked for.
    """

    index: Manifest
    folds: Manifest
    annotations: Manifest
    coordinates: Manifest
    sides: Manifest
    crops: Manifest
    test: Manifest | None = None

    @property
    def manifests(self) -> list[Manifest]:
        """All of them, in the order of the walk."""
        training = [
            self.index,
            self.folds,
            self.annotations,
            self.coordinates,
            self.sides,
            self.crops,
        ]
        return training if self.test is None else [*training, self.test]


def read_training(run: Run) -> tuple[Manifest, Manifest, Manifest]:
    """Take the training studies from files to all that coordinates are learnt from."""
    if run.uses_phantom:
        write_demo_data(run)
    require_studies(run)
    index = index_studies(run, "train")
    note_so_far(run, index)
    publish_catalog(run, [index], after="index")  # what was quarantined can be asked for
    require_usable(run, "train", index)
    folds, annotations = assign_folds(run, index), correct_annotations(run, index)
    note_so_far(run, folds, annotations)
    return index, folds, annotations


def dispatch_coordinates(
    run: Run, index: Manifest, folds: Manifest, annotations: Manifest, *, tries_model: bool
) -> Manifest:
    """Have coordinates learnt: on another worker's GPU, or here where that is not for us.

    Such a worker is asked first whether the model can be had there, if it `tries_model`.
    """
    if not has_other_workers() or is_kept(learn_coordinates, run, index, folds, annotations):
        return learn_coordinates(run, index, folds, annotations)
    key = result_key(learn_coordinates, run, index, folds, annotations)
    told = {"tries_model": True} if tries_model else {}
    work = Work("train-coordinates/default", "coordinates", key, told)
    (coordinates,) = train_elsewhere(run, [work])
    return coordinates


def read_test(run: Run, index: Manifest, *others: Manifest) -> Manifest:
    """Index the test studies, so that what is wrong with them is said before anything is learnt."""
    test = index_studies(run, "test", index)
    note_so_far(run, test)
    publish_catalog(run, [index, *others, test], after="index test")
    require_usable(run, "test", test)
    return test


def prepare_training(
    run: Run, *, for_submission: bool = False, for_training: bool = True
) -> Prepared:
    """Take the training studies from files to crops; for a submission, look at the test studies."""
    index, folds, annotations = read_training(run)
    test = read_test(run, index, folds, annotations) if for_submission and run.has_test else None
    asks_hub = for_training and takes_hub_weights(run)
    coordinates = dispatch_coordinates(run, index, folds, annotations, tries_model=asks_hub)
    note_so_far(run, coordinates)
    so_far = [index, folds, annotations, coordinates]
    refuse_bad_files(run, coordinates, index=index, so_far=so_far)
    sides = fix_sides(run, "train", index, coordinates, annotations)
    note_so_far(run, sides)
    crops = cut_crops(run, "train", index, coordinates, sides)
    note_so_far(run, crops)
    prepared = Prepared(index, folds, annotations, coordinates, sides, crops, test)
    publish_catalog(run, prepared.manifests, after="crops")
    refuse_bad_files(run, crops, index=index, so_far=prepared.manifests)
    note_results(run, prepared.manifests)
    return prepared


@flow(name="prepare", flow_run_name="prepare-{experiment}")
@cancelled_when_interrupted
def prepare(
    experiment: str = "demo",
    settings: list[str] | None = None,
    data: Path | None = None,
    home: Path | None = None,
    folds: int = 4,
    holdout: float = 0.0,
    seed: int = 0,
    device: Device = "auto",
    threads: int | None = None,
    limit: int | None = None,
    annotations: Annotations = "clean",
    max_bad: float = 0.01,
    strict: bool = False,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Index, folds, annotations, coordinates, sides and crops of the training studies.

    Args:
        experiment: whose coordinates and crops are wanted.
        settings: KEY=VALUE, such as training.epochs=2, upon what the experiment says.
        data: the competition's folder, or phantom; without it, that in a home without other data.
        home: where results are kept; without it, LSDC_HOME or ./lsdc-home.
        folds: how many folds the studies are dealt into.
        holdout: share of the studies that no fold gets; scored on its own.
        seed: of folds and models.
        device: auto, cpu or cuda.
        threads: how many the run may use; without it, one a core.
        limit: the first so many training studies only.
        annotations: clean, with the faults that can be proved mended, or raw.
        max_bad: the share of unreadable files that stops a stage.
        strict: refuse to leave a study out.
        resolved: what the experiment's name means, as 'lsdc trigger' sends it; without it, it is
            looked up by its name.
    """
    run = open_requested(
        experiment=experiment,
        resolved=resolved,
        settings=settings or (),
        data=data,
        home=home,
        folds=folds,
        holdout=holdout,
        seed=seed,
        device=device,
        threads=threads,
        limit=limit,
        annotations=annotations,
        max_bad=max_bad,
        strict=strict,
    )
    require_device_here(run)
    with shown(run), occupying(run) as run, building(run):
        prepare_training(run, for_training=False)


@flow(
    name="train-coordinates",
    flow_run_name="train-coordinates-{experiment}",
    persist_result=True,
    result_serializer=ResultSerializer(),
)
@cancelled_when_interrupted
def train_coordinates(
    experiment: str = "demo",
    settings: list[str] | None = None,
    data: Path | None = None,
    home: Path | None = None,
    folds: int = 4,
    holdout: float = 0.0,
    seed: int = 0,
    device: Device = "auto",
    threads: int | None = None,
    limit: int | None = None,
    annotations: Annotations = "clean",
    max_bad: float = 0.01,
    strict: bool = False,
    resolved: dict[str, Any] | None = None,
    versions: dict[str, str] | None = None,
    tries_model: bool = False,
) -> Manifest:
    """Learn the coordinates of an experiment, a small model a fold.

    Args:
        experiment: whose coordinates are wanted.
        settings: KEY=VALUE, such as coordinates.epochs=2, upon what the experiment says.
        data: the competition's folder, or phantom; without it, that in a home without other data.
        home: where results are kept; without it, LSDC_HOME or ./lsdc-home.
        folds: how many folds the studies are dealt into.
        holdout: share of the studies that no fold gets; scored on its own.
        seed: of folds and models.
        device: auto, cpu or cuda.
        threads: how many the run may use; without it, one a core.
        limit: the first so many training studies only.
        annotations: clean, with the faults that can be proved mended, or raw.
        max_bad: the share of unreadable files that stops a stage.
        strict: refuse to leave a study out.
        resolved: what the experiment's name means, as 'lsdc trigger' sends it; without it, it is
            looked up by its name.
        versions: of the run that sent this one; a worker that has others refuses.
        tries_model: refuse first of all if weights or device of the folds' models are not here.
    """
    require_versions(versions)
    run = open_requested(
        experiment=experiment,
        resolved=resolved,
        settings=settings or (),
        data=data,
        home=home,
        folds=folds,
        holdout=holdout,
        seed=seed,
        device=device,
        threads=threads,
        limit=limit,
        annotations=annotations,
        max_bad=max_bad,
        strict=strict,
    )
    require_device_here(run)
    with shown(run), occupying(run, wait=False) as run, building(run), ended_with_the_flow():
        if tries_model:
            require_model_here(run)
        coordinates = learn_coordinates(run, *read_training(run))
        note_so_far(run, coordinates)
    return coordinates
