"""Train folds: a model a fold, and the score of what each had not seen."""

from prefect import flow

from lsdc.challenges.current import (
    STAGES,
    CurrentRun,
    prepare_training,
    require_model_here,
    train_and_score,
    train_here,
)
from tasks.artifacts import shown
from tasks.dispatch import require_device_here
from tasks.identity import locked_experiment, require_needs
from tasks.interrupts import cancelled_when_interrupted, ended_with_the_flow
from tasks.open_flow_run import open_requested
from tasks.request import FoldRequest, RunRequest, flow_parameters
from tasks.run import locked_home
from tasks.versions import require_versions


@flow(name="train-folds", flow_run_name="train-folds-{experiment}")
@cancelled_when_interrupted
@flow_parameters(RunRequest)
def train_folds(request: RunRequest) -> None:
    """Train every fold of an experiment and score it out of fold; prepares what is missing."""
    run = open_requested(CurrentRun, request)
    require_device_here(run)
    with shown(run), locked_experiment(run) as run, locked_home(run):
        require_needs(run)
        require_model_here(run)
        train_and_score(run, prepare_training(run))


@flow(name="train-fold", flow_run_name="train-fold-{fold}-{experiment}")
@cancelled_when_interrupted
@flow_parameters(FoldRequest, without=("only_fold",))
def train_fold(request: FoldRequest) -> None:
    """Train one fold of an experiment; prepares what is missing."""
    require_versions(request.versions, STAGES)
    run = open_requested(CurrentRun, request.model_copy(update={"only_fold": request.fold}))
    require_device_here(run)
    # Waiting, it would keep a GPU from those whom it waits for.
    with shown(run), locked_experiment(run, wait=False) as run:
        with locked_home(run), ended_with_the_flow():
            require_needs(run)
            require_model_here(run)
            prepared = prepare_training(run)
        train_here(run, prepared)  # other folds are trained beside it
