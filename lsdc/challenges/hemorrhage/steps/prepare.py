"""The steps from DICOM files to prepared slices; folds are fixed before anything is learnt."""

from dataclasses import dataclass

from lsdc.challenges.hemorrhage.competition.tables import open_competition
from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.challenges.hemorrhage.stages.folds import assign_folds
from lsdc.challenges.hemorrhage.stages.index import index_images, require_usable
from lsdc.challenges.hemorrhage.stages.phantom import write_demo_data
from lsdc.challenges.hemorrhage.stages.slices import prepare_slices
from lsdc.challenges.hemorrhage.stages.training import train_fold, train_sequence
from lsdc.challenges.hemorrhage.training.trial import TrialJob
from lsdc.store.manifest import Manifest
from tasks.common.catalog import publish_catalog
from tasks.common.models import require_model
from tasks.common.prepared import BasePrepared
from tasks.common.quarantine import refuse_bad_files
from tasks.run import note_results, note_so_far

# The stages of a run that trains for another run.
STAGES = (write_demo_data, index_images, assign_folds, prepare_slices, train_fold, train_sequence)


@dataclass(frozen=True, kw_only=True)
class Prepared(BasePrepared):
    """The results of all stages before training; the index is of both splits.

    Attributes:
        slices: the prepared slices of the training images.
    """

    slices: Manifest


def prepare_training(
    run: HemorrhageRun,
    *,
    for_submission: bool = False,
    for_training: bool = True,  # noqa: ARG001 (no stage here needs a model)
) -> Prepared:
    """Process the training images up to their slices."""
    if run.uses_phantom:
        write_demo_data(run)
    open_competition(run.data)  # refuses unreadable tables before any image is read
    index = index_images(run)
    note_so_far(run, index)
    publish_catalog(run, [index], after="index")  # so that quarantined files can be queried
    require_usable(run, index)
    folds = assign_folds(run, index)
    note_so_far(run, folds)
    slices = prepare_slices(run, "train", index, _wanted(run, folds))
    note_so_far(run, slices)
    prepared = Prepared(
        index=index,
        folds=folds,
        slices=slices,
        test=index if for_submission and run.has_test else None,
    )
    publish_catalog(run, prepared.manifests, after="slices")
    refuse_bad_files(run, slices, index=index, images="images", so_far=prepared.manifests)
    note_results(run, prepared.manifests)
    return prepared


def _wanted(run: HemorrhageRun, folds: Manifest) -> list[str] | None:
    """Return the studies in folds or held out, if the run uses only some; else None."""
    if run.limit is None:
        return None
    tables = [run.table(folds, name)["study_id"] for name in ("folds", "holdout")]
    return sorted({study for table in tables for study in table})


def require_model_here(run: HemorrhageRun) -> None:
    """Refuse a model that cannot be trained, before any data is prepared for it."""
    require_model(run, TrialJob)
