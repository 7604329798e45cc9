"""The steps from layers to prepared volumes; folds are fixed before anything is learnt."""

from dataclasses import dataclass

from lsdc.challenges.ink.competition.tables import open_competition
from lsdc.challenges.ink.run import InkRun
from lsdc.challenges.ink.stages.folds import assign_folds
from lsdc.challenges.ink.stages.index import index_layers
from lsdc.challenges.ink.stages.maps import predict_fold
from lsdc.challenges.ink.stages.phantom import write_demo_data
from lsdc.challenges.ink.stages.training import train_fold
from lsdc.challenges.ink.stages.volumes import prepare_volumes
from lsdc.challenges.ink.training.trial import TrialJob
from lsdc.store.manifest import Manifest
from tasks.common.catalog import publish_catalog
from tasks.common.models import require_model
from tasks.common.prepared import BasePrepared
from tasks.run import note_results, note_so_far

# The stages of a run that trains for another run.
STAGES = (write_demo_data, index_layers, assign_folds, prepare_volumes, train_fold, predict_fold)


@dataclass(frozen=True, kw_only=True)
class Prepared(BasePrepared):
    """The results of all stages before training; the index is of both splits.

    Attributes:
        volumes: the prepared training fragments.
    """

    volumes: Manifest


def prepare_training(
    run: InkRun,
    *,
    for_submission: bool = False,
    for_training: bool = True,  # noqa: ARG001 (no stage here needs a model)
) -> Prepared:
    """Prepare the training fragments up to their volumes."""
    if run.uses_phantom:
        write_demo_data(run)
    open_competition(run.data)  # refuses unreadable pictures before any layer is read
    index = index_layers(run)
    note_so_far(run, index)
    folds = assign_folds(run)
    note_so_far(run, folds)
    volumes = prepare_volumes(run, "train", index)
    note_so_far(run, volumes)
    prepared = Prepared(
        index=index,
        folds=folds,
        volumes=volumes,
        test=index if for_submission and run.has_test else None,
    )
    publish_catalog(run, prepared.manifests, after="volumes")
    note_results(run, prepared.manifests)
    return prepared


def require_model_here(run: InkRun) -> None:
    """Refuse a model that cannot be trained, before any data is prepared for it."""
    require_model(run, TrialJob)
