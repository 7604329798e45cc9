"""Prepare: DICOM files to crops, with folds fixed before anything learns."""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow

from lsdc.store.manifest import Manifest
from tasks.annotations import correct_annotations
from tasks.catalog import publish_catalog
from tasks.coordinates import learn_coordinates
from tasks.crops import cut_crops
from tasks.folds import assign_folds
from tasks.index import index_studies
from tasks.phantom import write_demo_data
from tasks.run import Annotations, Run, building, note_results, open_run
from tasks.sides import fix_sides


@dataclass(frozen=True)
class Prepared:
    """The training studies' results, from the first stage to the last before training."""

    index: Manifest
    folds: Manifest
    annotations: Manifest
    coordinates: Manifest
    sides: Manifest
    crops: Manifest

    @property
    def manifests(self) -> list[Manifest]:
        """All of them, in the order of the walk."""
        return [
            self.index,
            self.folds,
            self.annotations,
            self.coordinates,
            self.sides,
            self.crops,
        ]


def prepare_training(run: Run) -> Prepared:
    """Take the training studies from files to crops."""
    if run.uses_phantom:
        write_demo_data(run)
    index = index_studies(run, "train")
    publish_catalog(
        run, [index], after="index"
    )  # what was quarantined can be asked for, come what may
    folds = assign_folds(run, index)
    annotations = correct_annotations(run, index)
    coordinates = learn_coordinates(run, index, folds, annotations)
    sides = fix_sides(run, "train", index, coordinates, annotations)
    crops = cut_crops(run, "train", index, coordinates, sides)
    prepared = Prepared(index, folds, annotations, coordinates, sides, crops)
    publish_catalog(run, prepared.manifests, after="crops")
    note_results(run, prepared.manifests)
    return prepared


@flow(name="prepare", flow_run_name="prepare-{experiment}")
def prepare(
    experiment: str = "demo",
    settings: list[str] | None = None,
    data: Path | None = None,
    home: Path | None = None,
    folds: int = 4,
    holdout: float = 0.0,
    seed: int = 0,
    annotations: Annotations = "clean",
) -> None:
    """Index, folds, annotations, coordinates, sides and crops of the training studies.

    Args:
        experiment: whose coordinates and crops are wanted.
        settings: KEY=VALUE, such as training.epochs=2, upon what the experiment says.
        data: the competition's folder; without it, the phantom's.
        home: where results are kept; without it, LSDC_HOME or ./lsdc-home.
        folds: how many folds the studies are dealt into.
        holdout: share of the studies that no fold gets; scored on its own.
        seed: of folds and models.
        annotations: clean, with the faults that can be proved mended, or raw.
    """
    run = open_run(
        experiment=experiment,
        settings=settings or (),
        data=data,
        home=home,
        folds=folds,
        holdout=holdout,
        seed=seed,
        annotations=annotations,
    )
    with building(run):
        prepare_training(run)
