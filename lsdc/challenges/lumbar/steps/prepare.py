"""The steps from DICOM files to crops; folds are fixed before anything is learnt."""

from dataclasses import dataclass

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.annotations import correct_annotations
from lsdc.challenges.lumbar.stages.coordinates import learn_coordinates
from lsdc.challenges.lumbar.stages.crops import cut_crops
from lsdc.challenges.lumbar.stages.folds import assign_folds, require_studies
from lsdc.challenges.lumbar.stages.index import index_studies, require_usable
from lsdc.challenges.lumbar.stages.marks import mark_slices
from lsdc.challenges.lumbar.stages.phantom import write_demo_data
from lsdc.challenges.lumbar.stages.sides import fix_sides
from lsdc.challenges.lumbar.stages.training import (
    require_judges,
    takes_hub_weights,
    train_fold,
    train_judge,
)
from lsdc.challenges.lumbar.training.trial import TrialJob
from lsdc.store.manifest import Manifest
from tasks.common.catalog import publish_catalog
from tasks.common.models import require_model
from tasks.common.prepared import BasePrepared
from tasks.common.quarantine import refuse_bad_files
from tasks.dispatch import TrainingJob, train_on_workers, trains_on_gpu_pool
from tasks.run import note_results, note_so_far
from tasks.versions import installed_versions

# The stages of a run that trains for another run.
STAGES = (
    write_demo_data,
    index_studies,
    assign_folds,
    correct_annotations,
    learn_coordinates,
    fix_sides,
    cut_crops,
    mark_slices,
    train_judge,
    train_fold,
)


@dataclass(frozen=True, kw_only=True)
class Prepared(BasePrepared):
    """The training studies' results of all stages before training.

    Attributes:
        marks: the annotated slices; None unless the model learns to tell them.
    """

    annotations: Manifest
    coordinates: Manifest
    sides: Manifest
    crops: Manifest
    marks: Manifest | None = None

    @property
    def for_training(self) -> tuple[Manifest, Manifest, Manifest | None]:
        """What a fold is trained on: crops, folds and marks."""
        return self.crops, self.folds, self.marks


def deal_studies(run: LumbarRun) -> tuple[Manifest, Manifest]:
    """Index the training studies and assign them to folds."""
    if run.uses_phantom:
        write_demo_data(run)
    require_studies(run)
    index = index_studies(run, "train")
    note_so_far(run, index)
    publish_catalog(run, [index], after="index")  # so that quarantined files can be queried
    require_usable(run, "train", index)
    folds = assign_folds(run, index)
    note_so_far(run, folds)
    return index, folds


def read_training(run: LumbarRun) -> tuple[Manifest, Manifest, Manifest]:
    """Prepare the training studies up to all inputs of the coordinates stage."""
    index, folds = deal_studies(run)
    annotations = correct_annotations(run, index)
    note_so_far(run, annotations)
    return index, folds, annotations


def dispatch_coordinates(
    run: LumbarRun, index: Manifest, folds: Manifest, annotations: Manifest, *, tries_model: bool
) -> Manifest:
    """Learn the coordinates on another worker's GPU, or here if there are no other workers.

    With `tries_model`, that worker first checks that it can load the folds' model.
    """
    inputs = run, index, folds, annotations
    if not trains_on_gpu_pool() or learn_coordinates.find(*inputs):
        return learn_coordinates(*inputs)
    parameters = {"tries_model": True} if tries_model else {}
    job = TrainingJob(
        "train-coordinates/default", "coordinates", learn_coordinates, inputs, parameters
    )
    (coordinates,) = train_on_workers(run, [job], installed_versions(STAGES))
    return coordinates


def read_test(run: LumbarRun, index: Manifest, *others: Manifest) -> Manifest:
    """Index the test studies early, so that problems with them are reported before training."""
    test = index_studies(run, "test", index)
    note_so_far(run, test)
    publish_catalog(run, [index, *others, test], after="index test")
    require_usable(run, "test", test)
    return test


def prepare_training(
    run: LumbarRun, *, for_submission: bool = False, for_training: bool = True
) -> Prepared:
    """Process the training studies up to their crops; for a submission, index the test studies."""
    index, folds, annotations = read_training(run)
    test = read_test(run, index, folds, annotations) if for_submission and run.has_test else None
    asks_hub = for_training and takes_hub_weights(run)
    coordinates = dispatch_coordinates(run, index, folds, annotations, tries_model=asks_hub)
    note_so_far(run, coordinates)
    so_far = [index, folds, annotations, coordinates]
    refuse_bad_files(run, coordinates, index=index, images="instances", so_far=so_far)
    sides = fix_sides(run, "train", index, coordinates, annotations)
    note_so_far(run, sides)
    crops = cut_crops(run, "train", index, coordinates, sides)
    note_so_far(run, crops)
    marks = None
    if run.experiment.loss.slice_weight:
        marks = mark_slices(run, index, annotations, coordinates, sides, crops)
        note_so_far(run, marks)
    prepared = Prepared(
        index=index,
        folds=folds,
        test=test,
        annotations=annotations,
        coordinates=coordinates,
        sides=sides,
        crops=crops,
        marks=marks,
    )
    publish_catalog(run, prepared.manifests, after="crops")
    refuse_bad_files(run, crops, index=index, images="instances", so_far=prepared.manifests)
    note_results(run, prepared.manifests)
    return prepared


def require_model_here(run: LumbarRun) -> None:
    """Refuse a model that cannot be trained, or too few folds to judge labels."""
    require_judges(run)
    require_model(run, TrialJob)
